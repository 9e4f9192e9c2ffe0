"""What names may look like, wherever they are written."""

RUN_ID_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"
"""A run's name is its id: in subjects of the bus, in keys of the store, in URLs."""
