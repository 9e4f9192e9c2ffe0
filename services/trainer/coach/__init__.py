"""Engine `coach`: stock rl-coach 1.0.1 learns in a process and an environment of its own."""
