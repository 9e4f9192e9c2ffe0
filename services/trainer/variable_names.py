"""
Which of a checkpoint's variables are a network's, whoever wrote them.

Writers differ in the scopes above the networks (`main_level/agent/main/online/`, `…/global/` where
processes shared the weights, none at all) and in what they call the one camera: `observation` until
2019, its sensor's name since. Below that the names are rl_coach's in all of them.
"""

import re
from collections.abc import Iterable

from services.trainer.architecture import ONLINE, Blueprint

CAMERA_SCOPES = frozenset({"OBSERVATION", "CAMERA", "FRONT_FACING_CAMERA", "LEFT_CAMERA"})
"""What writers call a single camera that gives one grey image."""

_OTHER = re.compile(r"/Adam(_\d+)?(:0)?$|/target/")
"""The optimiser's slots, and copies of a network that lag behind it."""
_NETWORK = re.compile(r"(?:^|/)(network_[01])/([^/]+)/(.+?)(?::0)?$")


def find_variables(stored: Iterable[str], blueprint: Blueprint) -> dict[str, str]:
    """
    The stored name of every variable by the name that the network has for it.

    Where several names mean one variable, that of the `online` network counts. A name that is the
    network's own means itself.
    """
    names, own = list(stored), blueprint.weight_shapes()
    found = {name: name for name in names if name in own}
    for name in sorted(names, key=lambda each: (f"{ONLINE}/" not in each, each)):
        known = _known_name(name, blueprint)
        if known is not None:
            found.setdefault(known, name)
    return found


def _known_name(name: str, blueprint: Blueprint) -> str | None:
    match = None if _OTHER.search(name) else _NETWORK.search(name)
    if match is None:
        return None
    network, scope, rest = match.groups()
    cameras = blueprint.cameras
    if scope not in blueprint.inputs and scope.upper() in CAMERA_SCOPES and len(cameras) == 1:
        scope = cameras[0]
    return f"{ONLINE}/{network}/{scope}/{rest}"
