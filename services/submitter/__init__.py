"""Consumes RunEnded.
Publishes ModelPackaged."""
