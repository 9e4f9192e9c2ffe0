"""Where the cars of one run are now."""

from libs.common.events import CarPose, CarsMoved
from services.streamer.shown import Shown

GONE_AFTER_S = 2.0
"""A car that nobody tells of for so long is off the map; poses come ten times a second."""


class CarShown(Shown):
    """One car on the map: metres, radians."""

    key: str  # of its rollout and its number; evaluations drive beside the training
    car: int
    x_m: float
    y_m: float
    heading_rad: float
    speed_mps: float
    progress_pct: float
    episode: int


class Traffic:
    """The newest pose of each car, of as many simulators as drive the run."""

    def __init__(self) -> None:
        self._cars: dict[str, tuple[CarShown, float]] = {}

    def move(self, message: CarsMoved, now_s: float) -> None:
        """Take the poses of one rollout's cars."""
        for pose in message.cars:
            shown = _shown(message.rollout_id, pose)
            self._cars[shown.key] = (shown, now_s)

    def expire(self, now_s: float) -> bool:
        """Forget the cars that nobody tells of any more; whether there were any."""
        gone = [key for key, (_, at_s) in self._cars.items() if now_s - at_s > GONE_AFTER_S]
        for key in gone:
            del self._cars[key]
        return bool(gone)

    def cars(self) -> list[CarShown]:
        """Every car that drives, by rollout and number."""
        return [self._cars[key][0] for key in sorted(self._cars)]


def _shown(rollout_id: str, pose: CarPose) -> CarShown:
    return CarShown(
        key=f"{rollout_id}/{pose.car:03d}",
        car=pose.car,
        x_m=round(pose.x_m, 3),
        y_m=round(pose.y_m, 3),
        heading_rad=round(pose.heading_rad, 3),
        speed_mps=round(pose.speed_mps, 2),
        progress_pct=round(pose.progress_pct, 1),
        episode=pose.episode,
    )
