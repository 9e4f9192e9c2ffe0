"""
A batch of cars driving by DeepRacer's rules, in arenas: copies of the track that share nothing.

Arrays in, arrays out: nothing is done car by car in Python but for cars whose episode ended. One
camera step is always

    race.step(steering_rad, speed_mps, actions)
    params = race.reward_params()  # only where a reward function asks for them
    result = race.finish_step(rewards)

after which `race.observations` shows the new state; cars whose episode ended are at their next
start by then. What the cars of an arena do depends on their seeds and their commands alone, never
on other arenas, on threads or on how many cars there are.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.randomisation_spec import DYNAMICS_KEYS, RandomisationSpec
from libs.common.deepracer.run_spec import RaceSpec
from libs.common.errors import InvalidInput
from libs.common.events import StepColumns
from libs.common.tracks import Track
from services.simulator import rules
from services.simulator.bodies import Bodies
from services.simulator.course import measure_cars, survey
from services.simulator.episode_log import NO_ACTION, EpisodeLog, Rows, as_columns, idle_commands
from services.simulator.randomisation import draw_factors
from services.simulator.resets import hold_paused_cars, make_room, put_back_cars
from services.simulator.reward_params import (
    Columns,
    Params,
    as_params,
    fixed_params,
    measured_columns,
    object_columns,
)
from services.simulator.sensors import Measured
from services.simulator.starts import begin_episodes, plan_starts
from services.simulator.traffic import NO_TRAFFIC, find_others, plan_traffic
from services.simulator.vehicle import (
    CAR,
    CONTROL_HZ,
    REFERENCE_POINT_M,
    Cars,
    drive_cars,
    dynamics_for,
    vary_dynamics,
)
from services.simulator.views import Look, Views
from services.simulator.world import World

MAX_CARS = 4096
FEWEST_CARS_A_THREAD = 8  # handing fewer to another thread costs more than it saves


class Incidents(NamedTuple):
    """What went wrong in an episode."""

    off_track_count: int
    crash_count: int
    immobilized_count: int
    reversed_count: int
    reset_count: int  # how often the car was put back on the road


class EndedEpisode(NamedTuple):
    """An episode that the last step ended."""

    car: int
    rows: Rows  # (steps + 1,) `STEP`, the first for its start
    incidents: Incidents
    lap_times_s: tuple[float, ...]  # of each completed lap, penalties included

    @property
    def columns(self) -> StepColumns:
        """Its steps as they travel on the bus."""
        return as_columns(self.rows)


class StepResult(NamedTuple):
    """What one step led to; arrays are (cars,) and the caller's to keep."""

    reward: NDArray[np.float64]
    done: NDArray[np.bool_]
    truncated: NDArray[np.bool_]  # done by the step limit, not by what the car did
    status: NDArray[np.int64]  # code, see `rules.STATUSES`
    episode: NDArray[np.int64]  # each car's own count, from 0
    steps: NDArray[np.int64]
    progress_pct: NDArray[np.float64]
    episode_reward: NDArray[np.float64]
    lap_s: NDArray[np.float64]  # of laps the mean; nan where not all were completed
    ended: list[EndedEpisode]  # of the cars that are done, in their order

    @property
    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """All but `ended`, in their order."""
        return self[:-1]


class CarState(NamedTuple):
    """Where a car is, for viewers."""

    x_m: float
    y_m: float
    heading_rad: float
    speed_mps: float
    progress_pct: float
    episode: int


class Race:
    """
    One car for each seed; see `plan_starts` for where episodes begin, `Traffic` for what else is on
    the road. In head-to-model every `race.cars_on_track` cars in a row share an arena.
    """

    def __init__(
        self,
        track: Track,
        race: RaceSpec,
        metadata: ModelMetadata | str,
        seeds: Sequence[int],
        *,
        look: Look | None = None,
        world: World | None = None,
        others: Sequence[ModelMetadata] = (),
        evaluating: bool = False,
        resets: bool = False,
        threads: int = 1,
    ) -> None:
        """
        Args:
            track: what is driven on.
            race: its kind and rules.
            metadata: of the model: its version picks the dynamics, its sensors are sensed. The
                version alone is a car with a camera.
            seeds: one for each car; `evaluating` takes the first of each arena for all of it.
            look: of the world, and what of it and of the car's dynamics is randomised; the plain
                one by default.
            world: as `draw_world` makes it of the track and the look, which is the default.
            others: metadata of other models that drive, whose sensors are sensed as well.
            evaluating: cars of an arena start together, one behind the other.
            resets: DeepRacer's race rules: laps, penalties, back on the road after a breach.
            threads: large batches are shared out among so many; results are the same to the bit.

        Raises:
            InvalidInput: more cars than it takes, none, arenas that are not full, or ranges of
                dynamics that no car has.
        """
        _check_cars(len(seeds), race)
        self.track, self._resets = track, resets
        full, version = _split(metadata)
        self._ranges, self._seeds = (look or Look()).randomisation, tuple(seeds)
        self._usual = dynamics_for(version)
        _check_dynamics(self._usual, self._ranges)
        self._dynamics = np.full(len(seeds), self._usual)
        self._course = survey(track)
        ways = (track, track.reversed())
        self._fixed = tuple(fixed_params(way, bool(row)) for row, way in enumerate(ways))
        self._cars = np.zeros(len(seeds), CAR)
        self._starts = plan_starts(track, race, seeds, together=evaluating)
        self._traffic = plan_traffic(track, race, seeds)
        self._views = Views(track, look or Look(), seeds, self._traffic, world, full, others)
        self.observations = self._views.images
        self._draws = self._ranges.varies_picture or self._ranges.varies_dynamics
        self._rulebook = rules.write_rulebook(track.length_m, race, resets)
        self._reset_room = make_room()
        self._others = find_others(self._traffic)
        self._commands = idle_commands(len(seeds))
        self._has_actions = False
        self._log = EpisodeLog(len(seeds))
        self._lap_ends_s: dict[int, list[float]] = {}
        self._parts = _share_out(len(self._traffic.bodies), len(seeds), threads)
        self._crew = ThreadPoolExecutor(len(self._parts)) if len(self._parts) > 1 else None
        self._begin_episodes(np.arange(len(seeds)))
        self.look()

    @property
    def cars(self) -> int:
        """Number of cars."""
        return len(self._cars)

    @property
    def sensed(self) -> Measured:
        """(cars, ...) what each sensor of the metadata measured last, by its name."""
        return self._views.sensed

    def observed_by(self, metadata: ModelMetadata) -> Measured:
        """As `sensed`, of the race's metadata or one of its `others`; see `Views`."""
        return self._views.observed_by(metadata)

    @property
    def bodies(self) -> Bodies:
        """(arenas, bodies) what else is on the road now; learners' own ones in head-to-model."""
        return self._traffic.bodies

    def step(
        self, steering_rad: ArrayLike, speed_mps: ArrayLike, actions: ArrayLike | None = None
    ) -> None:
        """
        Drive all cars for one camera period.

        Args:
            steering_rad: (cars,) commanded angles, + = left.
            speed_mps: (cars,) commanded speeds.
            actions: (cars,) indices in a discrete action space; None for continuous actions.
        """
        self._commands.steering_rad[:] = steering_rad
        self._commands.speed_mps[:] = speed_mps
        self._has_actions = actions is not None
        self._commands.actions[:] = NO_ACTION if actions is None else actions
        if self._resets:
            hold_paused_cars(self._cars, *self._commands[:2])
        self._in_parts(self._advance)

    def reward_params(self) -> list[Params]:
        """The whole `params` of each car's reward function after `step`."""
        measured = self.measured_params()
        return [{**self.fixed_params(car), **values} for car, values in enumerate(measured)]

    def fixed_params(self, car: int) -> Params:
        """The part of a car's `params` that holds while it drives one way round."""
        return self._fixed[int(self._cars["course"][car])]

    def measured_params(self) -> list[Params]:
        """The part of each car's `params` that changes with every step."""
        return as_params(self.measured_columns())

    def measured_columns(self) -> Columns:
        """The same, one array for each key; to be read before the next step."""
        columns = measured_columns(self._cars, *self._commands[:2])
        if self._has_actions:
            columns["action"] = self._commands.actions
        if self._traffic.kind != NO_TRAFFIC:
            lap_m = self.track.length_m
            columns |= object_columns(self._cars, self._traffic, self._others, lap_m)
        return columns

    @property
    def states(self) -> Cars:
        """(cars,) `CAR`, to read: where the cars are and how their episodes stand."""
        view = self._cars.view()
        view.setflags(write=False)
        return view

    def finish_step(self, rewards: ArrayLike, *, restart: bool = True) -> StepResult:
        """
        Record the step with its rewards (cars,), restart cars that ended, take pictures.

        Without `restart` they stay, and are seen, where their episodes ended until `restart`.
        """
        values = np.array(rewards, dtype=np.float64).reshape(self.cars)
        self._log.record(self._cars, self._commands, values)
        self._note_laps()
        result = self._conclude(values)
        if self._resets:
            put_back_cars(self._cars, self._traffic, self._course, self._rulebook, self._reset_room)
        ended = np.flatnonzero(result.done)
        if restart and len(ended):
            self.restart(ended)
        self.look()
        return result

    def restart(self, cars: Sequence[int] | NDArray[np.int64]) -> None:
        """Put these cars at the starts of their next episodes; what they see there is not drawn."""
        indices = np.asarray(cars, np.int64)
        self._cars["episode"][indices] += 1
        self._begin_episodes(indices)

    def look(self) -> None:
        """Draw what all cars see now into `observations`, and measure with the other sensors."""
        self._in_parts(self._render)

    def poses(self) -> list[CarState]:
        """Where all cars are; `x_m`, `y_m` is the point that logs record."""
        fields = ("front_x_m", "front_y_m", "heading_rad", "speed_mps", "progress_pct", "episode")
        return [CarState(*values) for values in self._cars[list(fields)].tolist()]

    def pose(
        self, car: int, *, front_x_m: float, front_y_m: float, heading_rad: float, **seen: float
    ) -> None:
        """
        Put a car where a log has it, to be looked at; the race does not go on from there.

        `seen` is what else is shown of it, as `progress_pct`.
        """
        state = self._cars[car]
        state["x_m"] = front_x_m - REFERENCE_POINT_M * math.cos(heading_rad)
        state["y_m"] = front_y_m - REFERENCE_POINT_M * math.sin(heading_rad)
        seen |= {"front_x_m": front_x_m, "front_y_m": front_y_m, "heading_rad": heading_rad}
        for name, value in seen.items():
            state[name] = value

    def frame(self, car: int, width: int = 320, height: int = 240) -> NDArray[np.uint8]:
        """(height, width, 3) picture of what a car sees, for people."""
        return self._views.picture(self._cars, car, width, height)

    def _in_parts(self, work: Callable[[int, int], None]) -> None:
        """Do some work for all arenas, shared out among the threads."""
        if self._crew is None:
            work(*self._parts[0])
        else:
            list(self._crew.map(work, *zip(*self._parts, strict=True)))

    def _advance(self, begin: int, end: int) -> None:
        """Drive the cars of arenas `begin` to `end` and see what becomes of them."""
        part = self._cars_of(begin, end)
        cars, (steering_rad, speed_mps, _) = self._cars[part], self._commands
        drive_cars(cars, steering_rad[part], speed_mps[part], self._dynamics[part])
        measure_cars(cars, self._course)
        rules.run_arenas(self._cars, begin, end, self._traffic, self._course, self._rulebook)

    def _render(self, begin: int, end: int) -> None:
        self._views.look(self._cars, self._cars_of(begin, end))

    def _cars_of(self, begin: int, end: int) -> slice:
        together = self._traffic.cars_in_arena
        return slice(begin * together, end * together)

    def _conclude(self, rewards: NDArray[np.float64]) -> StepResult:
        cars, status = self._cars, self._cars["status"].copy()
        steps, done = cars["steps"].copy(), status != rules.IN_PROGRESS
        lap_s = steps / (CONTROL_HZ * self._rulebook.laps)
        return StepResult(
            reward=rewards,
            done=done,
            truncated=status == rules.TIME_UP,
            status=status,
            episode=cars["episode"].copy(),
            steps=steps,
            progress_pct=cars["progress_pct"].copy(),
            episode_reward=cars["episode_reward"].copy(),
            lap_s=np.where(status == rules.LAP_COMPLETE, lap_s, np.nan),
            ended=[self._conclude_episode(car) for car in np.flatnonzero(done).tolist()],
        )

    def _conclude_episode(self, index: int) -> EndedEpisode:
        car = self._cars[index]
        return EndedEpisode(
            car=index,
            rows=self._log.steps(index, car["steps"]),
            incidents=Incidents(
                off_track_count=int(car["off_track_count"]),
                crash_count=int(car["crash_count"]),
                immobilized_count=int(car["immobilized_count"]),
                reversed_count=int(car["reversed_count"]),
                reset_count=int(car["resets"]),
            ),
            lap_times_s=tuple(np.diff(self._lap_ends_s.pop(index, [0.0])).tolist()),
        )

    def _note_laps(self) -> None:
        """When each car crossed the line."""
        finished = np.flatnonzero(self._cars["lap_ended"])
        for index in finished.tolist():
            now_s = float(self._cars["steps"][index]) / CONTROL_HZ
            self._lap_ends_s.setdefault(index, [0.0]).append(now_s)

    def _begin_episodes(self, indices: NDArray[np.int64]) -> None:
        """Put cars at the start of their present episodes."""
        begin_episodes(self._cars, indices, self._starts, self._traffic, self._course)
        if self._draws:
            for car in indices.tolist():
                self._draw_episode(car)
        self._log.begin(self._cars, indices)

    def _draw_episode(self, car: int) -> None:
        """What a car's present episode drives with and looks like."""
        episode = int(self._cars["episode"][car])
        factors = draw_factors(self._ranges, 0, self._seeds[car], episode)
        changes = {key: float(factors[key]) for key in DYNAMICS_KEYS}
        self._dynamics[car] = vary_dynamics(self._usual, **changes)
        self._views.renew(car, factors)


def _split(metadata: ModelMetadata | str) -> tuple[ModelMetadata | None, str]:
    """The metadata, where there are any, and their version."""
    return (None, metadata) if isinstance(metadata, str) else (metadata, metadata.version)


def _check_dynamics(usual: np.void, ranges: RandomisationSpec) -> None:
    """Refuse ranges whose ends no car can drive with, before any does."""
    spans = {key: getattr(ranges, key) for key in DYNAMICS_KEYS}
    for end in (0, 1):
        vary_dynamics(usual, **{key: span[end] for key, span in spans.items() if span})


def _check_cars(cars: int, race: RaceSpec) -> None:
    if not 1 <= cars <= MAX_CARS:
        raise InvalidInput(f"got {cars} cars; accepted: 1 to {MAX_CARS}")
    if cars % race.cars_in_arena:
        raise InvalidInput(
            f"got {cars} cars for tracks that {race.cars_in_arena} share; accepted: a multiple "
            f"of {race.cars_in_arena}"
        )


def _share_out(arenas: int, cars: int, threads: int) -> list[tuple[int, int]]:
    """Even runs of arenas, one for each thread that is worth it."""
    parts = max(1, min(threads, arenas, cars // FEWEST_CARS_A_THREAD))
    bounds = [arenas * part // parts for part in range(parts + 1)]
    return list(zip(bounds, bounds[1:], strict=False))
