"""
The line of least time round a track, for a car with given grip.

What is sought is how far a line's points lie from the centre line, one on each of the track's cross
sections (`corridor`). Two searches follow each other: the line of least curvature, then from there
the one of least time, with speeds as in `speed_profile` but constant accelerations, so that the
time's gradient can be written down. The times that are told are of the full speed profile.

It is a local optimum, and what a car does between steady states is left out (its steering lags): a
figure to hold results against, that a car cannot quite reach.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from libs.common.tracks import Track
from services.simulator.corridor import Corridor, Shape, measure_corridor
from services.simulator.speed_profile import Grip, driving_times, fastest_speeds
from services.simulator.vehicle import REAR_HALF_TRACK_M

FloatArray = NDArray[np.float64]

BARRIERS = (1e-1, 1e-2, 1e-3)  # shares of the value that a section's barrier counts as
INSIDE = 1e-3  # of the road's width: so far within the borders a search begins
ITERATIONS = 30  # for each barrier, at most
ENOUGH = 1e-6  # of the value: less is no gain
HALVINGS = 8  # of a step that gains nothing
STRAIGHT_1PM = 0.1  # curvature that counts as no more of a bend
STIFFNESS = 1e-4  # of a section that no bend asks to stay
SHARPNESS = 12.0  # of the smooth minimum of the two speed limits
SWERVE_S_M3 = 2e-4  # seconds that a change of curvature counts as: (1/m) squared for each metre
TIGHT_S_M = 5.0  # seconds that a bend beyond full steering counts as, as above
USED_SHARE = 0.5  # of the accelerations that a car has left on the way into and out of bends


@dataclass(frozen=True)
class RacingLine:
    """A line and its speeds: arrays (n,) and (n, 2), of a loop without its first point again."""

    points: FloatArray
    steps_m: FloatArray  # from each point to the next; one fewer where the track is open
    curvature_1pm: FloatArray  # + = left
    offset_m: FloatArray  # from the centre line, + = left
    speeds_mps: FloatArray  # of a flying lap
    lap_s: float  # flying
    standing_lap_s: float  # the first one

    def total_s(self, laps: int) -> float:
        """Of so many laps, the first one from a stand."""
        return self.standing_lap_s + (laps - 1) * self.lap_s


def find_racing_line(track: Track, grip: Grip, margin_m: float = -REAR_HALF_TRACK_M) -> RacingLine:
    """
    The line of least time.

    Args:
        track: as it is driven.
        grip: of the car.
        margin_m: that the middle of the car keeps from the road's borders. The rules ask for one
            wheel on the road, which is why it is below 0 by default.

    Raises:
        InvalidInput: the margin leaves no road.
    """
    corridor = measure_corridor(track, margin_m)
    offsets = np.clip(0.0, corridor.low_m, corridor.high_m)
    for objective in (_curviness, _time):
        offsets = _improve(objective, corridor, grip, offsets)
    return _finish(corridor, grip, offsets)


class _Slope(NamedTuple):
    """A value at a line, and what a search needs to know to go down from it."""

    value: float
    gradient: FloatArray  # (k,) by the offsets
    stiffness: FloatArray  # (n,) by how much squared curvature costs, at each point of the line


Objective = Callable[[FloatArray, Corridor, Grip], _Slope]


def _improve(
    objective: Objective, corridor: Corridor, grip: Grip, offsets: FloatArray
) -> FloatArray:
    """
    Better offsets (k,), by an interior-point method: a barrier at the borders that gets thinner.

    Newton's steps have squared curvature for a stiffness, each place's weighted by how much time
    it costs. Steps by the plain gradient would take thousands to move a whole straight aside.
    """
    low_m, high_m = corridor.low_m, corridor.high_m
    inside_m = INSIDE * (high_m - low_m)
    offsets = np.clip(offsets, low_m + inside_m, high_m - inside_m)
    slope = objective(offsets, corridor, grip)
    for thickness in BARRIERS:
        barrier = thickness * slope.value / len(offsets)
        for _ in range(ITERATIONS):
            moves = _newton_moves(slope, corridor, offsets, barrier)
            found = _walk(objective, corridor, grip, offsets, slope, moves, barrier)
            if found is None:
                break
            offsets, slope = found
    return offsets


def _newton_moves(
    slope: _Slope, corridor: Corridor, offsets: FloatArray, barrier: float
) -> FloatArray:
    turning = Shape.of(corridor, offsets).turning(corridor)
    stiffness = turning.T @ (slope.stiffness[:, None] * turning)
    above, below = offsets - corridor.low_m, corridor.high_m - offsets
    stiffness[np.diag_indices_from(stiffness)] += STIFFNESS + barrier * (above**-2 + below**-2)
    gradient = slope.gradient + barrier * (1 / below - 1 / above)
    return np.asarray(-np.linalg.solve(stiffness, gradient), np.float64)


def _walk(
    objective: Objective,
    corridor: Corridor,
    grip: Grip,
    offsets: FloatArray,
    slope: _Slope,
    moves: FloatArray,
    barrier: float,
) -> tuple[FloatArray, _Slope] | None:
    """As far along the moves as is better, without touching a border; None where nothing is."""
    above, below = offsets - corridor.low_m, corridor.high_m - offsets
    room = np.where(moves > 0, below, above) / np.maximum(np.abs(moves), 1e-12)
    step, here = min(1.0, 0.9 * float(room.min())), slope.value - barrier * _logs(above, below)
    for _ in range(HALVINGS):
        moved = step * moves
        found = objective(offsets + moved, corridor, grip)
        there = found.value - barrier * _logs(above + moved, below - moved)
        if there < here - ENOUGH * slope.value:
            return offsets + moved, found
        step /= 2
    return None


def _logs(above: FloatArray, below: FloatArray) -> float:
    return float(np.log(above).sum() + np.log(below).sum())


def _curviness(offsets: FloatArray, corridor: Corridor, _: Grip) -> _Slope:
    """Squared curvature along the line."""
    shape = Shape.of(corridor, offsets)
    spacing, squared = corridor.spacing, shape.curvature**2
    weights = 2 * shape.pace * spacing
    gradient = shape.pull_back(corridor, squared * spacing, weights * shape.curvature)
    return _Slope(float(np.sum(squared * weights)) / 2, gradient, weights)


def _time(offsets: FloatArray, corridor: Corridor, grip: Grip) -> _Slope:
    """Seconds of a lap with constant accelerations, and a little for swerving."""
    shape = Shape.of(corridor, offsets)
    steps_m = shape.pace * corridor.spacing
    bends = np.abs(shape.curvature) / grip.lateral_mps2
    both = bends**SHARPNESS + grip.top_mps ** (-2 * SHARPNESS)
    limits = both ** (-1 / SHARPNESS)  # squared speeds
    time_s, by_limit, by_step = _time_under(limits, steps_m, grip, corridor.closed)
    by_bend = -by_limit * limits / both * bends ** (SHARPNESS - 1)
    by_curvature = by_bend * np.sign(shape.curvature) / grip.lateral_mps2
    awkward_s, by_awkward = _awkwardness(shape.curvature, corridor, grip)
    gradient = shape.pull_back(corridor, by_step * corridor.spacing, by_curvature + by_awkward)
    stiffness = np.abs(by_curvature) / np.maximum(np.abs(shape.curvature), STRAIGHT_1PM)
    stiffness += 4 * SWERVE_S_M3 / corridor.spacing + 2 * TIGHT_S_M * corridor.spacing * (
        np.abs(shape.curvature) > grip.curvature_1pm
    )
    return _Slope(time_s + awkward_s, gradient, stiffness)


def _awkwardness(curvature: FloatArray, corridor: Corridor, grip: Grip) -> tuple[float, FloatArray]:
    """Seconds that swerving and bends beyond full steering count as, and the gradient."""
    change = np.roll(curvature, -1) - curvature
    if not corridor.closed:
        change[-1] = 0.0
    weight = SWERVE_S_M3 / corridor.spacing
    beyond = np.copysign(np.maximum(np.abs(curvature) - grip.curvature_1pm, 0.0), curvature)
    tight = TIGHT_S_M * corridor.spacing
    value = weight * np.sum(change**2) + tight * np.sum(beyond**2)
    return float(value), 2 * weight * (np.roll(change, 1) - change) + 2 * tight * beyond


def _time_under(
    limits: FloatArray, steps_m: FloatArray, grip: Grip, closed: bool
) -> tuple[float, FloatArray, FloatArray]:
    """
    Seconds under limits of the squared speed (n,) with constant accelerations, and the gradients by
    the limits and by the steps: a speed goes back to one limit, through all steps between.
    """
    count, squared, gaps = len(limits), limits.tolist(), steps_m.tolist()
    gaining = 2 * USED_SHARE * grip.gaining_mps2
    losing = 2 * USED_SHARE * grip.losing_mps2
    start = int(limits.argmin()) if closed else 0
    walk = [(start + step) % count for step in range(count + 1 if closed else count)]
    pairs = list(zip(walk, walk[1:], strict=False))
    braked, pushed = [], []
    for here, after in reversed(pairs):
        if squared[after] + losing * gaps[here] < squared[here]:
            squared[here] = squared[after] + losing * gaps[here]
            braked.append((here, after))
    for here, after in pairs:
        if squared[here] + gaining * gaps[here] < squared[after]:
            squared[after] = squared[here] + gaining * gaps[here]
            pushed.append((here, after))
    speeds = np.sqrt(squared)
    by_squared = (-steps_m / (2 * speeds**3)).tolist()
    by_step = (1 / speeds).tolist()
    for pairs, rate, forwards in ((pushed, gaining, True), (braked, losing, False)):
        for here, after in reversed(pairs):
            bound, free = (after, here) if forwards else (here, after)
            by_squared[free] += by_squared[bound]
            by_step[here] += rate * by_squared[bound]
            by_squared[bound] = 0.0
    return float(np.sum(steps_m / speeds)), np.array(by_squared), np.array(by_step)


def _finish(corridor: Corridor, grip: Grip, offsets: FloatArray) -> RacingLine:
    shape = Shape.of(corridor, offsets)
    points = corridor.shape @ (corridor.centre + offsets[:, None] * corridor.across)
    ring = np.vstack((points, points[:1])) if corridor.closed else points
    steps_m = np.hypot(*np.diff(ring, axis=0).T)
    speeds_mps = fastest_speeds(shape.curvature, steps_m, grip)
    # The standing lap: once round from the line, which is crossed at full speed in the end.
    once = np.append(shape.curvature, shape.curvature[0]) if corridor.closed else shape.curvature
    standing = fastest_speeds(once, steps_m, grip, start_mps=0.0)
    return RacingLine(
        points=points,
        steps_m=steps_m,
        curvature_1pm=shape.curvature,
        offset_m=corridor.shape @ offsets,
        speeds_mps=speeds_mps,
        lap_s=float(driving_times(speeds_mps, steps_m).sum()),
        standing_lap_s=float(driving_times(standing, steps_m).sum()),
    )
