"""The embedded stack: NATS, S3 and the services under a supervisor, in one state folder."""
