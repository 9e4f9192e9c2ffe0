"""
Our pictures against camera stills of the official simulator.

A still's pose on a track is found in two steps: many poses are compared with it by what each pixel
shows (`search_poses`), then the best are moved until the edges of borders and dashes coincide
(`refine_pose`). What is left between the edges of the two pictures is the error (`compare`).
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.optimize import minimize
from scipy.spatial import cKDTree

from libs.common.deepracer.world_spec import WorldSpec
from libs.common.errors import InvalidInput
from libs.common.tracks import Track
from services.simulator.camera import Camera, Mount, make_camera, render_cars
from services.simulator.ground_lines import Lines, edges_of, sample_lines
from services.simulator.pictures import Pictures
from services.simulator.vehicle import CAR, Cars
from services.simulator.world import BORDER, DASH, FIELD, ROAD, draw_labels

STILL_MOUNT = Mount(height_m=0.139, horizontal_fov_rad=math.radians(70))
"""
The stills' camera, by a joint fit of both published stills and of pitch, height and field of view:
14.97°, 0.138 m and 69.96°. The robot description agrees on the pitch; it says 0.130 m, above a base
that hovers over the ground, and 1.13 rad (64.7°), with which no pose fits (see docs/worlds.md).
"""

LOOK = WorldSpec.model_validate({"look": "championship"})

WIDTH, HEIGHT = 640, 480
NETWORK_WIDTH = 160  # what errors are told in pixels of
SEARCH_SIZE = 64, 48
GROUND_SHARE = 0.275  # of the picture's height that is above the ground of stills
CAPPED_PX = 12.0  # an edge that is farther away counts as much
BATCH = 4096
NOTHING = 255  # label of what is no ground
EDGE_PX = 2.5  # how far the colours of both sides mix
EDGE_COLOUR = (255, 0, 255)

SEARCH_STEP_M = 0.08
SEARCH_OFFSETS = np.linspace(-0.45, 0.45, 10)  # shares of the road's width
SEARCH_TURNS_RAD = np.radians(np.arange(-44, 45, 4))
CANDIDATES = 8
THIN_EDGES = 250  # of each kind, for a first, rough fit
FINALISTS = 2

Pose = NDArray[np.float64]
"""x, y of the model's origin in metres and the heading in radians."""


Start = tuple[float, str, Pose]
"""How good a pose is, on which track, and the pose."""


class StillFit(NamedTuple):
    """A pose and how far the edges of the two pictures are apart there, at 160×120."""

    track: str
    x_m: float
    y_m: float
    heading_rad: float
    # Medians, over both ways between the edges of the two pictures; None where there are none.
    border_error_px: float | None
    dash_error_px: float | None
    error_px: float | None
    picture: NDArray[np.uint8]  # ours, (480, 640, 3)


def label_picture(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """
    What each pixel of a colour picture (height, width, 3) of a championship world shows.

    A pixel that shows an edge is white or orange where that is the larger part of it, else what is
    beside it.
    """
    red, green, blue = (picture[:, :, part].astype(np.int16) for part in range(3))
    labels = np.full(red.shape, NOTHING, np.uint8)
    labels[(blue > green) & (blue > red + 8) & (blue < 110) & (red > 20)] = ROAD
    labels[(green > red + 20) & (green > blue + 8) & (green > 70)] = FIELD
    away, (rows, columns) = distance_transform_edt(labels == NOTHING, return_indices=True)
    labels = np.where(away <= EDGE_PX, labels[rows, columns], NOTHING).astype(np.uint8)
    labels[np.minimum(np.minimum(red, green), blue) > 140] = BORDER
    labels[red > blue + 90] = DASH
    labels[: round(len(labels) * GROUND_SHARE)] = NOTHING
    return labels


def fit_still(
    still: NDArray[np.uint8],
    tracks: Mapping[str, Track],
    mount: Mount = STILL_MOUNT,
    spec: WorldSpec = LOOK,
) -> StillFit:
    """
    Find where on which of the tracks a still (480, 640, 3) was taken.

    Raises:
        InvalidInput: the still shows no road of a championship world.
    """
    labels = label_picture(still)
    if np.isin(labels, (ROAD, BORDER)).mean() < 0.05:
        raise InvalidInput("the picture shows no road; accepted: a still of a championship world")
    found: list[Start] = [
        (score, name, pose)
        for name, track in tracks.items()
        for score, pose in search_poses(labels, track, mount, spec)
    ]
    found.sort(key=lambda candidate: -candidate[0])
    seen, camera = edges_of(labels), make_camera(WIDTH, HEIGHT, mount)
    lines = {name: sample_lines(tracks[name], spec) for _, name, _ in found[:CANDIDATES]}
    thin = {kind: edges[:: 1 + len(edges) // THIN_EDGES] for kind, edges in seen.items()}

    def refine(edges: Lines, starts: list[Start], reaches_m: tuple[float, ...]) -> list[Start]:
        """The poses moved, the best first."""
        moved = []
        for _, name, start in starts:
            pose, cost = refine_pose(edges, lines[name], camera, start, reaches_m)
            moved.append((cost, name, pose))
        return sorted(moved, key=lambda candidate: candidate[0])

    roughly = refine(thin, found[:CANDIDATES], (0.08, 0.04))[:FINALISTS]
    shifted = refine(thin, _beside(roughly, spec.dash_period_m), (0.04,))[:FINALISTS]
    _, name, pose = refine(seen, shifted, (0.02, 0.01))[0]
    return compare(still, tracks[name], pose, mount, spec)


def _beside(starts: list[Start], period_m: float) -> list[Start]:
    """Poses, and the same a dash further on and back: there one dash may pass for the next."""
    return [
        (cost, name, pose + way * period_m * np.array((math.cos(pose[2]), math.sin(pose[2]), 0)))
        for cost, name, pose in starts
        for way in (-1, 0, 1)
    ]


def search_poses(
    labels: NDArray[np.uint8], track: Track, mount: Mount, spec: WorldSpec
) -> list[tuple[float, Pose]]:
    """The poses whose pictures agree best with a still's labels: shares of pixels and poses."""
    width, height = SEARCH_SIZE
    step = labels.shape[1] // width
    wanted = labels[step // 2 :: step, step // 2 :: step][:height, :width]
    ground = wanted != NOTHING
    world, camera = draw_labels(track, spec), make_camera(width, height, mount)
    poses = _poses_on(track)
    images = np.empty((BATCH, height, width), np.uint8)
    scores = np.empty(len(poses))
    for begin in range(0, len(poses), BATCH):
        batch = poses[begin : begin + BATCH]
        shown = images[: len(batch)]
        render_cars(_cars_at(batch), world, camera, shown)
        scores[begin : begin + BATCH] = (shown[:, ground] == wanted[ground]).mean(axis=1)
    return _best_apart(scores, poses)


def _poses_on(track: Track) -> NDArray[np.float64]:
    """(n, 3) poses all over the road, both ways."""
    along_m = np.arange(0, track.length_m, SEARCH_STEP_M)
    centre, heading = track.points_at(along_m), track.headings_at(along_m)
    left = np.column_stack((-np.sin(heading), np.cos(heading)))
    width_m = float(np.median(track.widths_m))
    poses = []
    for offset in SEARCH_OFFSETS * width_m:
        for turn in (*SEARCH_TURNS_RAD, *(SEARCH_TURNS_RAD + math.pi)):
            poses.append(np.column_stack((centre + offset * left, heading + turn)))
    return np.vstack(poses)


def _cars_at(poses: NDArray[np.float64]) -> Cars:
    cars = np.zeros(len(poses), CAR)
    cars["x_m"], cars["y_m"], cars["heading_rad"] = poses.T
    return cars


def _best_apart(scores: NDArray[np.float64], poses: Pose) -> list[tuple[float, Pose]]:
    """The best poses that are not beside each other."""
    scores, best = scores.copy(), []
    for _ in range(CANDIDATES):
        index = int(np.argmax(scores))
        best.append((float(scores[index]), poses[index]))
        apart = np.hypot(*(poses[:, :2] - poses[index, :2]).T)
        scores[apart < 0.3] = -1
    return best


def refine_pose(
    seen: Lines, lines: Lines, camera: Camera, start: Pose, reaches_m: tuple[float, ...]
) -> tuple[Pose, float]:
    """
    Move a pose until a track's lines lie on the edges that are seen.

    Args:
        seen: edges in the still, columns and rows of pixels by kind.
        lines: the track's, on the ground, by kind.
        reaches_m: how far each new search begins around the best pose so far.

    Returns:
        The pose, and the mean distance that is left in pixels.
    """
    pose, cost = start, math.inf
    for reach in reaches_m:
        corners = pose + np.vstack((np.zeros(3), np.diag((reach, -reach, reach * 0.6))))
        found = minimize(
            lambda values: _misfit(seen, lines, camera, values),
            pose,
            method="Nelder-Mead",
            options={"initial_simplex": corners, "maxfev": 120},
        )
        pose, cost = found.x, float(found.fun)
    return pose, cost


def _misfit(seen: Lines, lines: Lines, camera: Camera, pose: Pose) -> float:
    """Mean distance from the edges that are seen to the lines of a kind, each kind alike."""
    total = 0.0
    for kind, edges in seen.items():
        drawn = project_points(lines[kind], pose, camera)
        if len(drawn) == 0:
            return CAPPED_PX
        distances, _ = cKDTree(drawn).query(edges, distance_upper_bound=CAPPED_PX)
        total += float(np.minimum(distances, CAPPED_PX).mean())
    return total / len(seen)


def project_points(points: NDArray[np.float64], pose: Pose, camera: Camera) -> NDArray[np.float64]:
    """Columns and rows where points of the ground (n, 2) are seen, those in the picture alone."""
    sine, cosine = math.sin(pose[2]), math.cos(pose[2])
    right, up = points[:, 0] - pose[0], points[:, 1] - pose[1]
    ahead, left = cosine * right + sine * up - camera.ahead_m, cosine * up - sine * right
    tilt_sine, tilt_cosine = math.sin(camera.pitch_rad), math.cos(camera.pitch_rad)
    depth = ahead * tilt_cosine + camera.height_m * tilt_sine
    down = camera.height_m * tilt_cosine - ahead * tilt_sine
    near = depth > 0.05
    column = camera.width / 2 - camera.focal_px * left[near] / depth[near]
    row = camera.height / 2 + camera.focal_px * down[near] / depth[near]
    inside = (np.abs(column - camera.width / 2) < camera.width / 2 + CAPPED_PX) & (
        (row > camera.height * GROUND_SHARE - CAPPED_PX) & (row < camera.height + CAPPED_PX)
    )
    seen: NDArray[np.float64] = np.column_stack((column, row))[inside]
    return seen


def compare(
    still: NDArray[np.uint8], track: Track, pose: Pose, mount: Mount, spec: WorldSpec
) -> StillFit:
    """How far the edges of a still and of our picture are apart at a pose."""
    picture = Pictures(track, spec).draw(_cars_at(pose[None]), WIDTH, HEIGHT, mount=mount)
    seen, drawn = edges_of(label_picture(still)), edges_of(label_picture(picture))
    distances = {kind: _distances(seen[kind], drawn.get(kind)) for kind in seen}
    dashes = distances.pop("dash", np.zeros(0))
    borders = np.concatenate(list(distances.values()))
    return StillFit(
        track=track.name,
        x_m=float(pose[0]),
        y_m=float(pose[1]),
        heading_rad=float(pose[2]),
        border_error_px=_median(borders),
        dash_error_px=_median(dashes),
        error_px=_median(np.concatenate((borders, dashes))),
        picture=picture,
    )


def overlay(still: NDArray[np.uint8], picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Our picture with the still's edges drawn over it, (480, 640, 3)."""
    drawn = picture.copy()
    for edges in edges_of(label_picture(still)).values():
        columns, rows = np.floor(edges - 0.5).astype(np.intp).T
        drawn[rows, columns] = EDGE_COLOUR
    return drawn


def _distances(seen: NDArray[np.float64], drawn: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Both ways between the edges of two pictures, in pixels of the network's."""
    if drawn is None:
        return np.full(len(seen), math.inf)
    there, _ = cKDTree(drawn).query(seen)
    back, _ = cKDTree(seen).query(drawn)
    distances: NDArray[np.float64] = np.concatenate((there, back)) * (NETWORK_WIDTH / WIDTH)
    return distances


def _median(distances: NDArray[np.float64]) -> float | None:
    return float(np.median(distances)) if len(distances) else None
