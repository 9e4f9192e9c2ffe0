"""`make bench`: every row, one after the other; each in its own process, as memory counts too."""

import subprocess
import sys

ROWS = (
    "simulator_speed",
    "camera_speed",
    "simulator_peers",
    "reward_speed",
    "learner_speed",
    "policy_runtimes",
    "bus_overhead",
    "engine_speed",
    "journal_speed",
    "upload_speed",
    "viewers_cost",
    "event_to_pixel",
)

if __name__ == "__main__":
    for row in ROWS:
        subprocess.run([sys.executable, "-m", f"tests.bench.{row}"], check=True)
