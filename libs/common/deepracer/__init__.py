"""DeepRacer's formats: metadata, hyperparameters, run folders, the layout of a run in S3."""
