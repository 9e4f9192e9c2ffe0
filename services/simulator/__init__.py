"""Consumes rollout.collect and policy.evaluate commands, and the learner's actions.
Publishes episodes, evaluations, reward failures; poses and pictures of watched runs."""
