"""
A car that knows nothing yet: random actions in the Gymnasium environment, filmed.

    python examples/random_policy.py                      # random.gif
    python examples/random_policy.py --out random.mp4     # needs ffmpeg
    python examples/random_policy.py --track oval --steps 300 --seed 7

Put a policy of your own, from whatever library, in the place of `action_space.sample()`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import gymnasium
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from services.simulator.film import Film

Picture = NDArray[np.uint8]

GIF_SIZE = (320, 240)


def main(arguments: Sequence[str] | None = None) -> None:
    """Drive, then write what the car saw."""
    options = read_options(arguments)
    environment = gymnasium.make(
        "services.simulator.gym:Slipstream-v1", track=options.track, render_mode="rgb_array"
    )
    pictures, total = drive(environment, options.steps, options.seed)
    write(options.out, pictures, environment.metadata["render_fps"])
    environment.close()
    print(f"{options.steps} steps, reward {total:.1f}: {options.out}")


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description="Drive at random and film it.")
    parser.add_argument("--track", default="loop", help="a built-in track, or an .npy file")
    parser.add_argument("--steps", type=int, default=150, help="camera steps, 15 a second")
    parser.add_argument("--seed", type=int, default=0, help="of the starts and the actions")
    parser.add_argument("--out", type=Path, default=Path("random.gif"), help="a .gif or .mp4 file")
    return parser.parse_args(arguments)


def drive(
    environment: gymnasium.Env[Picture, int], steps: int, seed: int
) -> tuple[list[Picture], float]:
    """The pictures of all steps, and the sum of their rewards."""
    pictures, total = [], 0.0
    environment.action_space.seed(seed)
    environment.reset(seed=seed)
    for _ in range(steps):
        _, reward, terminated, truncated, _ = environment.step(environment.action_space.sample())
        pictures.append(environment.render())
        total += float(reward)
        if terminated or truncated:
            environment.reset()
    return pictures, total


def write(file: Path, pictures: Sequence[Picture], frames_per_s: int) -> None:
    """An animated GIF, or a video where the name ends in .mp4."""
    if file.suffix == ".mp4":
        height, width, _ = pictures[0].shape
        with Film(file, width, height, frames_per_s) as film:
            for picture in pictures:
                film.add(picture)
        return
    first, *rest = [Image.fromarray(picture).resize(GIF_SIZE) for picture in pictures]
    first.save(file, save_all=True, append_images=rest, duration=1000 / frames_per_s, loop=0)


if __name__ == "__main__":
    main()
