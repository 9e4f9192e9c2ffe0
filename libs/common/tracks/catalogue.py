"""The built-in tracks: our own designs, one YAML plan each in the folder `built_in`."""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import yaml

from libs.common.errors import NotFound
from libs.common.tracks.sections import lay_out
from libs.common.tracks.track import Track


def built_in_names() -> tuple[str, ...]:
    """Names of the built-in tracks, in alphabetical order."""
    return tuple(sorted(_plans()))


@cache
def load_built_in(name: str) -> Track:
    """
    A built-in track by name.

    Raises:
        NotFound: no track has that name; the message lists those there are.
    """
    plan = _plans().get(name)
    if plan is None:
        raise NotFound(f"no built-in track {name!r}; there are {', '.join(built_in_names())}")
    return lay_out(name, yaml.safe_load(plan.read_text("utf-8")))


@cache
def _plans() -> dict[str, Traversable]:
    folder = files("libs.common.tracks") / "built_in"
    plans = [entry for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    return {plan.name.removesuffix(".yaml"): plan for plan in plans}
