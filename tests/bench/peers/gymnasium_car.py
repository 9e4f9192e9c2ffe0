"""
Gymnasium's CarRacing: Box2D physics, its camera from above drawn by pygame, one car.

    python -m tests.bench.peers.gymnasium_car
"""

import gymnasium

from tests.bench.peers.turns import serve


def main() -> None:
    """Drive at random whenever it is this process's turn."""
    environment = gymnasium.make("CarRacing-v3", continuous=False)
    environment.action_space.seed(0)
    environment.reset(seed=0)

    def step() -> int:
        _, _, terminated, truncated, _ = environment.step(environment.action_space.sample())
        if terminated or truncated:
            environment.reset()
        return 1

    serve(f"Gymnasium {gymnasium.__version__}", step)


if __name__ == "__main__":
    main()
