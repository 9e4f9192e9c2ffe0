"""
EnvPool's CarRacing: Box2D physics and its camera from above, many cars in C++ threads.

    python -m tests.bench.peers.envpool_cars CARS THREADS
"""

import itertools
import sys
import warnings

import envpool
import numpy as np

from tests.bench.peers.turns import serve

ACTIONS = 64  # drawn beforehand, so that the draw is not measured


def main(cars: int, threads: int) -> None:
    """Drive at random whenever it is this process's turn."""
    warnings.simplefilter("ignore")  # of EnvPool's own spaces
    pool = envpool.make(
        "CarRacing-v3", env_type="gymnasium", num_envs=cars, num_threads=threads, seed=0
    )
    random = np.random.default_rng(0)
    # Steering, gas and brake; little of the last, or nothing would move.
    actions = random.uniform([-1, 0, 0], [1, 1, 0.2], (ACTIONS, cars, 3)).astype(np.float32)
    pool.reset()
    turns = itertools.cycle(actions)

    def step() -> int:
        pool.step(next(turns))
        return cars

    serve(f"EnvPool {envpool.__version__}", step)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
