"""Consumes run.start, run.stop and run.resume commands, evaluations and rollouts.
Publishes run, iteration and checkpoint events, rollout.collect and policy.evaluate commands."""
