"""What the first car's camera saw last."""

import base64
from dataclasses import dataclass

from libs.common.events import CameraSeen, PolicyView
from services.streamer.shown import Shown


class CameraShown(Shown):
    """One picture; `jpeg` is base64, empty where there is no picture yet."""

    car: int
    width: int
    height: int
    jpeg: str
    policy: PolicyView | None  # what the policy made of this picture; None where nobody tells


@dataclass
class Camera:
    """The newest picture of one run; older ones are of no interest to anyone."""

    seen: CameraSeen | None = None

    def shown(self) -> CameraShown:
        """The picture as JSON carries it."""
        if self.seen is None:
            return CameraShown(car=0, width=0, height=0, jpeg="", policy=None)
        return CameraShown(
            car=self.seen.car,
            width=self.seen.width,
            height=self.seen.height,
            jpeg=base64.b64encode(self.seen.jpeg).decode(),
            policy=self.seen.policy,
        )
