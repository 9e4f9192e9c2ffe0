"""A track in numbers."""

from dataclasses import dataclass

from libs.common.tracks.borders import signed_area_m2
from libs.common.tracks.track import Track


@dataclass(frozen=True)
class TrackFacts:
    """What there is to say of a track; metres, rounded to millimetres."""

    name: str
    closed: bool
    direction: str
    points: int
    length_m: float
    width_min_m: float
    width_mean_m: float
    width_max_m: float
    bounds_m: tuple[float, float, float, float]  # x_min, y_min, x_max, y_max of the borders


def find_facts(track: Track) -> TrackFacts:
    """The numbers of a track; its points are counted without the closing one."""
    x_min, y_min, x_max, y_max = (round(bound_m, 3) for bound_m in track.bounds_m)
    return TrackFacts(
        name=track.name,
        closed=track.closed,
        direction=direction_of(track),
        points=len(track.centre),
        length_m=round(track.length_m, 3),
        width_min_m=round(float(track.widths_m.min()), 3),
        width_mean_m=round(float(track.widths_m.mean()), 3),
        width_max_m=round(float(track.widths_m.max()), 3),
        bounds_m=(x_min, y_min, x_max, y_max),
    )


def direction_of(track: Track) -> str:
    """`counterclockwise` or `clockwise`; `open` of a track that is no loop."""
    if not track.closed:
        return "open"
    return "counterclockwise" if signed_area_m2(track.centre) > 0 else "clockwise"
