"""
This simulator, as Gymnasium's vector environment: dynamics, track geometry, rules, reward, camera.

    python -m tests.bench.peers.slipstream_cars TRACK CARS THREADS
"""

import itertools
import sys

import gymnasium

import services.simulator.gym
from tests.bench.peers.turns import serve

ACTIONS = 64  # drawn beforehand, so that the draw is not measured


def main(track: str, cars: int, threads: int) -> None:
    """Drive at random whenever it is this process's turn."""
    environments = gymnasium.make_vec(
        services.simulator.gym.ID, num_envs=cars, track=track, threads=threads, copy=False
    )
    environments.action_space.seed(0)
    environments.reset(seed=0)
    actions = itertools.cycle([environments.action_space.sample() for _ in range(ACTIONS)])

    def step() -> int:
        environments.step(next(actions))
        return cars

    serve("Slipstream-v1", step)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
