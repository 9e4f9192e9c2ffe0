"""What an episode draws from the ranges of its run's randomisation."""

import math

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.randomisation_spec import (
    DYNAMICS_KEYS,
    PICTURE_KEYS,
    RandomisationSpec,
)
from libs.common.deepracer.short_lists import Rgb

FACTORS = np.dtype(
    [(key, np.float64) for key in (*PICTURE_KEYS, *DYNAMICS_KEYS)]
    + [("texture", np.int64), ("noise_key", np.uint64)]
)
"""One value for each range, by its key; which of the textures; the seed of the picture's noise."""

NEUTRAL = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0} | dict.fromkeys(
    ("friction", "mass", "lag"), 1.0
)
"""What changes nothing, where that is not 0."""

GREY_WEIGHTS = np.array((0.2989, 0.5870, 0.1140))
MIDDLE_GREY = 128.0  # which contrast leaves alone


def draw_factors(spec: RandomisationSpec, seed: int, car: int, episode: int) -> np.void:
    """
    What one episode of one car drives with, a row of `FACTORS`.

    It depends on the run's seed, the car's seed and the episode alone. Each key has a draw of its
    own, so that switching one on or off leaves the others as they were.
    """
    random = np.random.default_rng((seed, car, episode))
    factors: np.void = np.zeros(1, FACTORS)[0]
    for key in (*PICTURE_KEYS, *DYNAMICS_KEYS):
        span, share = getattr(spec, key), random.random()
        low, high = span or (NEUTRAL.get(key, 0.0),) * 2
        factors[key] = low + (high - low) * share
    factors["texture"] = int(random.random() * max(1, len(spec.textures)))
    factors["noise_key"] = random.integers(1, 2**63)
    return factors


def grey_lookup(factors: np.void, colours: tuple[Rgb, ...]) -> NDArray[np.uint8]:
    """
    What each grey of a world becomes, (256,).

    Hue and saturation are of colours: they are applied to the colours that the world is made of,
    and the greys between two of them are shifted by what lies between. Brightness and contrast act
    on the greys themselves.
    """
    before = np.array(colours, np.float64)
    after = np.clip(before @ _colour_matrix(factors).T, 0, 255)
    knots, which = np.unique(before @ GREY_WEIGHTS, return_inverse=True)
    shifts = np.bincount(which, (after - before) @ GREY_WEIGHTS) / np.bincount(which)
    greys = np.arange(256.0)
    greys += np.interp(greys, knots, shifts)
    greys = (greys * factors["brightness"] - MIDDLE_GREY) * factors["contrast"] + MIDDLE_GREY
    table: NDArray[np.uint8] = np.clip(np.rint(greys), 0, 255).astype(np.uint8)
    return table


def _colour_matrix(factors: np.void) -> NDArray[np.float64]:
    """Turns colours around the axis of greys, and moves them away from it or towards it."""
    cosine, sine = math.cos(factors["hue_rad"]), math.sin(factors["hue_rad"])
    third, root = (1 - cosine) / 3, sine / math.sqrt(3)
    row = np.array((cosine + third, third - root, third + root))
    turn = np.stack([np.roll(row, shift) for shift in range(3)])
    saturation = factors["saturation"]
    spread: NDArray[np.float64] = saturation * np.eye(3) + (1 - saturation) * GREY_WEIGHTS
    matrix: NDArray[np.float64] = spread @ turn
    return matrix
