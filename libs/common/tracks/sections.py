"""Roads laid out as straights and arcs: how the built-in tracks are written down."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from libs.common.errors import InvalidInput
from libs.common.tracks.track import FloatArray, Track

MAX_CLOSING_GAP_M = 0.02
CORNER_M = 0.5
CLOSING = "closing"


@dataclass(frozen=True)
class Section:
    """A straight (`curvature_1pm` 0) or an arc (+ = left)."""

    length_m: float
    curvature_1pm: float

    def follow(
        self, x_m: float, y_m: float, heading_rad: float, distance_m: float
    ) -> tuple[float, float, float]:
        """The pose after `distance_m` along this section."""
        turn = self.curvature_1pm * distance_m
        # A chord of an arc points half-way through its turn; sinc makes the straight no exception.
        chord_m = distance_m * float(np.sinc(turn / 2 / math.pi))
        x_m += chord_m * math.cos(heading_rad + turn / 2)
        y_m += chord_m * math.sin(heading_rad + turn / 2)
        return x_m, y_m, heading_rad + turn


def lay_out(name: str, plan: dict[str, Any]) -> Track:
    """
    A closed track of a plan: `width_m`, `waypoint_spacing_m`, `start` and `sections`.

    A section is `{straight_m: 2.0}`, `{left_deg: 90, radius_m: 1.0}` or the same with `right_deg`;
    `start` is x, y in metres and the heading in degrees; where it is left out, the heading is 0
    and the road begins half a metre from both axes. Two straights that do not run in one
    direction may be `{straight_m: closing}`: as long as it takes to come back to the start.

    Raises:
        InvalidInput: the plan does not come back to its start.
    """
    sections = _close_plan(name, [_read_section(entry) for entry in plan["sections"]])
    length_m = sum(section.length_m for section in sections)
    count = round(length_m / float(plan["waypoint_spacing_m"]))
    start = plan.get("start", (0.0, 0.0, 0.0))
    poses = _sample_poses(sections, start, np.linspace(0.0, length_m, count + 1))
    centre, normal = _close_exactly(name, poses)
    half_width_m = float(plan["width_m"]) / 2
    # Counter-clockwise round the infield: the inner border is on the left.
    inner, outer = centre + half_width_m * normal, centre - half_width_m * normal
    shift = 0.0 if "start" in plan else CORNER_M - outer.min(axis=0)
    return Track(name, centre + shift, inner + shift, outer + shift, closed=True)


def _read_section(entry: dict[str, Any]) -> Section:
    if "straight_m" in entry:
        length_m = entry["straight_m"]
        return Section(math.nan if length_m == CLOSING else float(length_m), 0.0)
    side, sign = ("left_deg", 1.0) if "left_deg" in entry else ("right_deg", -1.0)
    radius_m = entry["radius_m"]
    return Section(math.radians(entry[side]) * radius_m, sign / radius_m)


def _close_plan(name: str, sections: list[Section]) -> list[Section]:
    """The sections with lengths for the two that close the plan, where there are such."""
    closing = [index for index, section in enumerate(sections) if math.isnan(section.length_m)]
    if not closing:
        return sections
    pose, ways = (0.0, 0.0, 0.0), []
    for section in sections:
        if math.isnan(section.length_m):
            ways.append((math.cos(pose[2]), math.sin(pose[2])))
        else:
            pose = section.follow(*pose, section.length_m)
    if len(ways) != 2 or abs(np.linalg.det(ways)) < 1e-3:
        raise InvalidInput(
            f"track {name!r}: {len(ways)} closing straights; it takes two, in two directions"
        )
    lengths_m = np.linalg.solve(np.transpose(ways), (-pose[0], -pose[1]))
    if lengths_m.min() < 0:
        told = " and ".join(f"{length_m:.3f} m" for length_m in lengths_m)
        raise InvalidInput(f"track {name!r}: its closing straights would be {told} long")
    closed = dict(zip(closing, lengths_m.tolist(), strict=True))
    return [Section(closed.get(i, s.length_m), s.curvature_1pm) for i, s in enumerate(sections)]


def _sample_poses(
    sections: list[Section], start: Sequence[float], distances_m: FloatArray
) -> FloatArray:
    """(k, 3) poses (x, y, heading) of the centre line at rising distances."""
    pose = (float(start[0]), float(start[1]), math.radians(start[2]))
    poses, begin_m, last = [], 0.0, len(sections) - 1
    for index, section in enumerate(sections):
        end_m = math.inf if index == last else begin_m + section.length_m
        inside = distances_m[(distances_m >= begin_m) & (distances_m < end_m)]
        poses += [section.follow(*pose, distance_m - begin_m) for distance_m in inside]
        pose = section.follow(*pose, section.length_m)
        begin_m = end_m
    return np.array(poses)


def _close_exactly(name: str, poses: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Centre and left normals without the closing row, the plan's rounding spread over the lap."""
    gap = poses[-1, :2] - poses[0, :2]
    turn = poses[-1, 2] - poses[0, 2]
    if math.hypot(*gap) > MAX_CLOSING_GAP_M or abs(turn - 2 * math.pi) > 1e-6:
        raise InvalidInput(
            f"track {name!r}: its end misses its start by {math.hypot(*gap):.3f} m after "
            f"turning {math.degrees(turn):.1f}°; accepted are {MAX_CLOSING_GAP_M} m and 360°"
        )
    share = np.linspace(0.0, 1.0, len(poses))[:-1, None]
    normal = np.column_stack((-np.sin(poses[:-1, 2]), np.cos(poses[:-1, 2])))
    return poses[:-1, :2] - share * gap, normal
