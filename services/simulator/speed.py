"""How fast the simulator is: camera steps per second, stage by stage, and the memory it takes."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass

import numpy as np
import psutil
from numpy.typing import NDArray

from libs.common.deepracer.race_spec import RaceSpec
from libs.common.reward.process import RewardProcess
from libs.common.tracks import Track
from services.simulator.race import Race

STEERING_RAD = np.radians([-30, -15, 0, 15, 30])
SPEED_MPS = 1.5
WARM_UP_STEPS = 20

HEADINGS = ("track", "cars", "worth", "steps/s", "per core", "drive", "reward", "see", "MB")
LEGEND = (
    "160x120 grey, random actions; cars/threads; drive (dynamics, geometry, rules), reward and see "
    "(record, camera): processor time for one step of one car in µs"
)

Reward = Callable[[], NDArray[np.float64]]


@dataclass(frozen=True)
class Speed:
    """
    What one batch of cars reaches.

    Processor time counts all threads and the reward function's process; that of a stage is for one
    step of one car.
    """

    track: str
    length_m: float
    cars: int
    threads: int
    reward: str  # "constant", or "sandbox" where a Python function runs in a process of its own
    steps_per_s: float  # by the clock
    steps_per_core_s: float
    drive_us: float  # dynamics, track geometry, rules
    reward_us: float
    see_us: float  # record and camera
    memory_mb: float  # resident, of this process

    def as_json(self) -> dict[str, object]:
        """Its values, rounded to what they are good for."""
        return {
            name: round(value, 2) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }

    def as_row(self) -> list[object]:
        """Cells under `HEADINGS`."""
        stages_us = (self.drive_us, self.reward_us, self.see_us)
        return [
            self.track,
            f"{self.cars}/{self.threads}",
            self.reward,
            f"{self.steps_per_s:,.0f}",
            f"{self.steps_per_core_s:,.0f}",
            *(f"{stage_us:.1f}" for stage_us in stages_us),
            round(self.memory_mb),
        ]


def measure_speed(
    track: Track, cars: int, threads: int = 1, seconds: float = 1.0, reward: str | None = None
) -> Speed:
    """
    Drive random actions for `seconds`.

    Args:
        track: what is driven on.
        cars: in one batch.
        threads: that share them.
        seconds: by the clock.
        reward: source of a reward function, run in its sandbox; None: every step is worth 1.

    Raises:
        InvalidInput: a race does not take so many cars.
        RewardError: the reward function broke its contract.
    """
    race = Race(track, RaceSpec(), "5", seeds=range(cars), threads=threads)
    with ExitStack() as stack:
        rewards, processes = _constant(cars), [psutil.Process()]
        if reward is not None:
            sandbox = stack.enter_context(RewardProcess(reward, race.fixed_params(0)))
            processes.append(psutil.Process(sandbox.pid))
            rewards = lambda: np.array(sandbox.rewards(race.measured_columns()))  # noqa: E731
        clocks, steps, spent_s = _drive(race, rewards, processes, seconds)
    drive_us, reward_us, see_us = (clocks / steps / cars * 1e6).tolist()
    return Speed(
        track=track.name,
        length_m=track.length_m,
        cars=cars,
        threads=threads,
        reward="constant" if reward is None else "sandbox",
        steps_per_s=steps * cars / spent_s,
        steps_per_core_s=steps * cars / float(clocks.sum()),
        drive_us=drive_us,
        reward_us=reward_us,
        see_us=see_us,
        memory_mb=processes[0].memory_info().rss / 1e6,
    )


def _constant(cars: int) -> Reward:
    ones = np.ones(cars)
    return lambda: ones


def _drive(
    race: Race, rewards: Reward, processes: Sequence[psutil.Process], seconds: float
) -> tuple[NDArray[np.float64], int, float]:
    """Processor seconds of the three stages, the steps driven and the clock's seconds."""
    random = np.random.default_rng(0)
    speed_mps = np.full(race.cars, SPEED_MPS)
    spent_s, steps = np.zeros(3), 0
    for _ in range(WARM_UP_STEPS):
        _step(race, rewards, random, speed_mps)
    elsewhere_s = _processor_s(processes[1:])
    began_s = time.perf_counter()
    while time.perf_counter() - began_s < seconds:
        spent_s += _step(race, rewards, random, speed_mps)
        steps += 1
    took_s = time.perf_counter() - began_s
    spent_s[1] += _processor_s(processes[1:]) - elsewhere_s
    return spent_s, steps, took_s


def _step(
    race: Race, rewards: Reward, random: np.random.Generator, speed_mps: NDArray[np.float64]
) -> NDArray[np.float64]:
    """One step of all cars; this process's processor seconds for each stage, (3,)."""
    actions = random.integers(0, len(STEERING_RAD), race.cars)
    marks = [time.process_time()]
    race.step(STEERING_RAD[actions], speed_mps, actions)
    marks.append(time.process_time())
    values = rewards()
    marks.append(time.process_time())
    race.finish_step(values)
    marks.append(time.process_time())
    return np.diff(marks)


def _processor_s(processes: Sequence[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return float(sum(each.user + each.system for each in times))
