"""Consumes every event and every log line.
Publishes LogArchived for traces, metrics and journals put into the store."""
