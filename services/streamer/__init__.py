"""Consumes: run, iteration, episode and evaluation events; poses, pictures, heartbeats.
Publishes: RunWatched while someone looks, its own heartbeat and log lines."""
