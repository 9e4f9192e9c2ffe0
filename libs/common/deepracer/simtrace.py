"""
Simulation traces from episode events: the 19 columns of `N-iteration.csv` and of log lines.

Column order and log format: reference 1.5. Angles become degrees here. A file's numbers are written
in full, as the published files have them; those of log lines are rounded as DeepRacer prints them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import degrees
from typing import Any

from libs.common.events.rollouts import EpisodeEnded

HEADER = (
    "episode,steps,X,Y,yaw,steer,throttle,action,reward,done,all_wheels_on_track,progress,"
    "closest_waypoint,track_len,tstamp,episode_status,pause_duration,obstacle_crash_counter,"
    "wall_clock"
)

_LOG_FORMATS = (
    *("%d", "%d", "%.4f", "%.4f", "%.4f", "%.2f", "%.2f", "%s", "%.4f", "%s", "%s", "%.4f", "%d"),
    *("%.2f", "%s", "%s", "%.2f", "%d", "%.4f"),
)
"""Of each column, as DeepRacer prints it."""

TRACE_FIELDS = (19, 17, 16, 15)
"""
Fields that a log line may have, by generation.

All since version 6; without `obstacle_crash_counter` and `wall_clock` in versions 4 and 5; without
`pause_duration`, and in 2019 without `episode_status`.
"""


@dataclass(frozen=True)
class TraceRow:
    """One step, its fields in the order of the columns."""

    episode: int
    steps: float  # from 1
    x_m: float
    y_m: float
    yaw_deg: float
    steering_deg: float
    speed_mps: float
    action: str  # an index, or "[steering speed]"
    reward: float
    done: bool
    all_wheels_on_track: bool
    progress_pct: float
    closest_waypoint: int
    track_length_m: float
    sim_time_s: float
    status: str  # "prepare" in an episode's first row
    pause_s: float
    crashes: int
    wall_clock_s: float


def start_times_s(episodes: Iterable[EpisodeEnded]) -> dict[str, float]:
    """
    When each episode began on its car's own clock, in simulated seconds, by the event's id.

    Each car drives its episodes one behind the other; so the clock of a car is what it has driven
    before. Give all episodes of a run, in the order of the journal.
    """
    clocks = CarClocks()
    return {episode.id: clocks.start_s(episode) for episode in episodes}


class CarClocks:
    """Simulated time of each car, for those who take a run's episodes one by one."""

    def __init__(self) -> None:
        self._now_s: defaultdict[tuple[str, int], float] = defaultdict(float)

    def start_s(self, episode: EpisodeEnded) -> float:
        """When this episode began; the next one of its car begins where it ended."""
        car = (episode.phase, episode.car)
        start_s = self._now_s[car]
        self._now_s[car] += duration_s(episode)
        return start_s


def duration_s(episode: EpisodeEnded) -> float:
    """Simulated seconds that the episode took."""
    return episode.columns.sim_time_s[-1] if episode.columns.sim_time_s else 0.0


def simtrace_csv(
    episodes: Iterable[EpisodeEnded], starts_s: Mapping[str, float] | None = None
) -> str:
    """
    The file of these episodes: one iteration of a training, or the trials of an evaluation.

    `starts_s` are the episodes' start times, see `start_times_s`; all begin at 0 without them.
    """
    lines = [HEADER]
    for row in _rows_of_all(episodes, starts_s):
        lines.append(",".join(map(str, _fields(row))))
    return "\n".join(lines) + "\n"


def simtrace_log_lines(
    episodes: Iterable[EpisodeEnded],
    starts_s: Mapping[str, float] | None = None,
    fields: int = TRACE_FIELDS[0],
) -> Iterator[str]:
    """The same rows as `SIM_TRACE_LOG:` lines, without line ends; `fields` of `TRACE_FIELDS`."""
    line = "SIM_TRACE_LOG:" + ",".join(_LOG_FORMATS[:fields])
    for row in _rows_of_all(episodes, starts_s):
        yield line % _fields(row)[:fields]


def _rows_of_all(
    episodes: Iterable[EpisodeEnded], starts_s: Mapping[str, float] | None
) -> Iterator[TraceRow]:
    for episode in sorted(episodes, key=lambda one: one.episode):
        start_s = (starts_s or {}).get(episode.id, 0.0)
        yield from trace_rows(episode, start_s)


def _fields(row: TraceRow) -> tuple[Any, ...]:
    """Not `astuple`, which copies each field deeply and takes three quarters of the time."""
    return tuple(vars(row).values())


def trace_rows(episode: EpisodeEnded, start_s: float = 0.0) -> Iterator[TraceRow]:
    """The rows of one episode that began at `start_s` on the simulated clock."""
    columns = episode.columns
    last = len(columns.x_m) - 1
    for index, sim_time_s in enumerate(columns.sim_time_s):
        yield TraceRow(
            episode=episode.episode,
            steps=index + 1.0,
            x_m=columns.x_m[index],
            y_m=columns.y_m[index],
            yaw_deg=degrees(columns.heading_rad[index]),
            steering_deg=degrees(columns.steering_rad[index]),
            speed_mps=columns.speed_mps[index],
            action=_action(episode, index),
            reward=columns.reward[index],
            done=index == last,
            all_wheels_on_track=columns.all_wheels_on_track[index],
            progress_pct=columns.progress_pct[index],
            closest_waypoint=columns.closest_waypoint[index],
            track_length_m=episode.track_length_m,
            sim_time_s=round(start_s + sim_time_s, 3),
            status=_status(episode, index, last),
            pause_s=columns.pause_s[index] if columns.pause_s else 0.0,
            crashes=columns.crashes[index] if columns.crashes else 0,
            wall_clock_s=_wall_clock_s(episode, sim_time_s),
        )


def _action(episode: EpisodeEnded, index: int) -> str:
    """The action's index; steering and speed where the actions are continuous."""
    action = episode.columns.action[index]
    if action >= 0:
        return str(action)
    following = episode.columns.action[index + 1 :]
    if index == 0 and any(later >= 0 for later in following):
        return str(following[0])  # the start has no action yet: tools know only those of the space
    steering_deg = degrees(episode.columns.steering_rad[index])
    return f"[{steering_deg} {episode.columns.speed_mps[index]}]"


def _status(episode: EpisodeEnded, index: int, last: int) -> str:
    if index == last:
        return episode.status
    if index == 0:
        return "prepare"
    pauses_s = episode.columns.pause_s
    return "pause" if pauses_s and pauses_s[index] > pauses_s[index - 1] else "in_progress"


def _wall_clock_s(episode: EpisodeEnded, sim_time_s: float) -> float:
    """Epoch seconds: the episode's share of the time from its start to its event."""
    whole_s = duration_s(episode)
    share = sim_time_s / whole_s if whole_s else 0.0
    return episode.started_at_s + share * max(episode.at.timestamp() - episode.started_at_s, 0.0)
