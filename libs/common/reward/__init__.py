"""The user's reward function in a process of its own, behind limits."""
