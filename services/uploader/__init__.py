"""Consumes every event that announces artifacts.
Publishes ArtifactReplicated and ReplicationFailed."""
