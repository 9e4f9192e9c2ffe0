"""
What the journal of one run says of its episodes, and which files are to be made of them.

The files count episodes and iterations as DeepRacer does (`numbering`), whatever the learner calls
an iteration. A file is due when its episodes are complete, or the run is over, and it was not
archived with as many episodes. Only where each episode lies is kept, with what the metrics need of
it: a run's steps are read from the journal again when a file is made of them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Literal, NamedTuple

from libs.common.deepracer import layout
from libs.common.deepracer.layout import evaluation_stamp
from libs.common.deepracer.metrics import encode, evaluation_metrics, training_metrics
from libs.common.deepracer.numbering import Numbering, Place
from libs.common.deepracer.simtrace import CarClocks, duration_s, simtrace_csv, start_times_s
from libs.common.errors import InvalidInput
from libs.common.events import (
    REGISTRY,
    EpisodeEnded,
    EpisodeStatus,
    EvaluationEnded,
    LogArchived,
    Message,
    Phase,
    RunDeleted,
    RunEnded,
    RunQueued,
    RunStarted,
    StepColumns,
    decode_as,
)
from libs.common.journal_reading import (
    Entry,
    read_entries,
    read_line,
    read_tail,
)

TAIL_BYTES = 64 * 1024
"""How much of a journal's end is looked at to see whether there is nothing left to do."""

NEW_IN_METRICS = 0.02
"""Share of new episodes from which the metrics, which hold all, are written anew in mid-run."""

MADE_OF = frozenset(c.type_name for c in (EpisodeEnded, EvaluationEnded, RunEnded, RunDeleted))
"""Types of the events that can make a file due."""

_READ = MADE_OF | {LogArchived.type_name, RunQueued.type_name, RunStarted.type_name}

Kind = Literal["simtrace", "metrics"]


@dataclass(frozen=True)
class DueFile:
    """A file to be made: `make` reads the journal and takes its time."""

    key: str  # in the store
    kind: Kind
    episodes: int
    cause: str | None  # id of the event that made it due
    make: Callable[[], bytes]


@dataclass
class _Group:
    """The episodes of one iteration of the files, or of one evaluation."""

    expected: int | None = None  # None until it is known
    offsets: list[int] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)  # on the clocks of the cars
    places: list[Place] = field(default_factory=list)  # of training episodes
    cause: str | None = None  # id of the event that completed it

    @property
    def complete(self) -> bool:
        return self.expected is not None and len(self.offsets) >= self.expected


class _Summary(NamedTuple):
    """What the metrics need of an episode; a run of hours has tens of thousands."""

    id: str
    phase: Phase
    episode: int
    iteration: int
    car: int
    status: EpisodeStatus
    reward: float
    progress_pct: float
    duration_s: float

    def as_event(self) -> EpisodeEnded:
        columns = StepColumns.model_construct(sim_time_s=(self.duration_s,))
        return EpisodeEnded.model_construct(**self._asdict(), columns=columns)


class RunLog:
    """The state of one run's files; everything here blocks."""

    def __init__(self, path: Path, run_id: str) -> None:
        self.path, self.run_id = path, run_id
        self.offset = 0  # up to which the journal was read
        self._forget()

    def _forget(self) -> None:
        """Begin anew: a run that was deleted has no files, and its name may be used again."""
        self._numbering = Numbering()
        self._iterations: dict[tuple[int, int], _Group] = {}  # by worker and iteration
        self._evaluations: dict[str, _Group] = {}
        self._stamps: dict[str, str] = {}  # of evaluations, by their ids
        self._summaries: defaultdict[int, list[_Summary]] = defaultdict(list)  # by worker
        self._clocks = CarClocks()
        self._archived: dict[str, int] = {}  # key -> episodes
        self._ended_by: str | None = None
        self._journal_archived_for: str | None = None

    def advance(self, end: int | None = None) -> None:
        """Take in what was written since, up to the byte `end`."""
        for entry in read_entries(self.path, self.offset, end):
            if entry.type in _READ and (event := _decode(entry)) is not None:
                self._take(event, entry.offset)
            self.offset = entry.end

    def due(self) -> list[DueFile]:
        """The files to be made now, in the order of their numbers."""
        traces = list(self._due_iterations())
        grown = {worker for worker, _ in traces}
        files = [*(file for _, file in traces), *self._due_evaluations()]
        for worker in sorted(self._summaries):
            if self._metrics_are_due(worker, worker in grown):
                key, total = layout.training_metrics(self.run_id, worker), self._driven_by(worker)
                cause = self._ended_by or (files[-1].cause if files else None)
                make = partial(self._training_metrics, worker)
                files.append(DueFile(key, "metrics", total, cause, make))
        return files

    @property
    def journal_due(self) -> str | None:
        """Id of the event for which the journal itself is to be stored, if it is."""
        return self._ended_by if self._ended_by != self._journal_archived_for else None

    @property
    def episodes(self) -> int:
        """How many episodes the journal holds, trainings and evaluations."""
        return sum(map(self._driven_by, self._summaries))

    def archived(self, key: str, episodes: int) -> None:
        """Remember that a file is in the store with that many episodes."""
        self._archived[key] = episodes

    def journal_archived(self, cause: str | None) -> None:
        """Remember that the journal is in the store for this event."""
        self._journal_archived_for = cause

    # -- taking in ---------------------------------------------------------------------------

    def _take(self, event: Message, offset: int) -> None:
        match event:
            case EpisodeEnded():
                self._take_episode(event, offset)
            case EvaluationEnded():
                group = self._evaluations.setdefault(event.evaluation_id, _Group())
                group.expected, group.cause = len(event.trials), event.id
                self._stamp(event)
                self._ended_by = event.id if self._ended_by else None
            case LogArchived():
                self._take_archived(event)
            case RunQueued():
                self._numbering = Numbering.of(event.spec)
            case RunStarted():
                self._ended_by = None
            case RunEnded():
                self._ended_by = event.id
            case RunDeleted():
                self._forget()

    def _take_episode(self, event: EpisodeEnded, offset: int) -> None:
        start_s = self._clocks.start_s(event)
        if event.phase == "training":
            place = self._numbering.take(event)
            group = self._iterations.setdefault(
                (place.worker, place.iteration), _Group(self._numbering.per_iteration)
            )
            group.places.append(place)
            self._summaries[place.worker].append(_summary(_as_numbered(event, place)))
        else:
            group = self._evaluations.setdefault(event.rollout_id, _Group())
            if self._ended_by is None:
                self._summaries[0].append(_summary(event))
        group.offsets.append(offset)
        group.starts_s.append(start_s)
        if group.complete and event.phase == "training":
            group.cause = event.id

    def _stamp(self, event: EvaluationEnded) -> None:
        """Name an evaluation by the second of its end, or the next that no other one has."""
        ended_s, taken = int(event.at.timestamp()), set(self._stamps.values())
        free = (evaluation_stamp(second) for second in count(ended_s))
        stamp = next(stamp for stamp in free if stamp not in taken)
        self._stamps.setdefault(event.evaluation_id, stamp)

    def _take_archived(self, event: LogArchived) -> None:
        if event.kind == "segment":
            return
        if event.kind == "journal":
            self.journal_archived(event.cause)
            return
        for artifact in event.artifacts:
            key = artifact.uri.removeprefix("s3://").partition("/")[2]
            self.archived(key, event.episodes)

    # -- what is due -------------------------------------------------------------------------

    def _due_iterations(self) -> Iterator[tuple[int, DueFile]]:
        for (worker, number), group in sorted(self._iterations.items()):
            if group.complete or self._ended_by:
                several = worker if self._numbering.workers > 1 else None
                key = layout.training_simtrace(self.run_id, number, several)
                for file in self._due(group, key, "simtrace", self._training_simtrace):
                    yield worker, file

    def _due_evaluations(self) -> Iterator[DueFile]:
        for name, group in self._evaluations.items():
            if group.complete:
                trace = layout.evaluation_simtrace(self.run_id, self._stamps[name])
                metrics = layout.evaluation_metrics(self.run_id, self._stamps[name])
                yield from self._due(group, trace, "simtrace", self._evaluation_simtrace)
                yield from self._due(group, metrics, "metrics", self._evaluation_metrics)

    def _due(
        self, group: _Group, key: str, kind: Kind, make: Callable[[_Group], bytes]
    ) -> Iterator[DueFile]:
        episodes = len(group.offsets)
        if episodes and self._archived.get(key) != episodes:
            cause = group.cause or self._ended_by
            yield DueFile(key, kind, episodes, cause, partial(make, group))

    def _metrics_are_due(self, worker: int, iteration_ended: bool) -> bool:
        """After each iteration, but in a long run only when a share of its episodes is new."""
        stored = self._archived.get(layout.training_metrics(self.run_id, worker), 0)
        fresh = self._driven_by(worker) - stored
        if self._ended_by:
            return fresh != 0
        return iteration_ended and fresh > stored * NEW_IN_METRICS

    def _driven_by(self, worker: int) -> int:
        return len(self._summaries[worker])

    # -- making ------------------------------------------------------------------------------

    def _training_simtrace(self, group: _Group) -> bytes:
        driven = zip(self._episodes(group), group.places, strict=True)
        episodes = [_as_numbered(episode, place) for episode, place in driven]
        starts_s = {one.id: start for one, start in zip(episodes, group.starts_s, strict=True)}
        return simtrace_csv(episodes, starts_s).encode()

    def _evaluation_simtrace(self, group: _Group) -> bytes:
        trials = self._episodes(group)
        return simtrace_csv(trials, start_times_s(trials)).encode()

    def _evaluation_metrics(self, group: _Group) -> bytes:
        return encode(evaluation_metrics(self._episodes(group)))

    def _training_metrics(self, worker: int) -> bytes:
        driven = self._summaries[worker]
        return encode(training_metrics(summary.as_event() for summary in driven))

    def _episodes(self, group: _Group) -> list[EpisodeEnded]:
        lines = (read_line(self.path, offset) for offset in group.offsets)
        return [decode_as(EpisodeEnded, line) for line in lines]


def is_settled(path: Path) -> bool:
    """Whether the end of a journal tells that all files of its run are stored."""
    settled = False
    for entry in read_tail(path, TAIL_BYTES):
        if entry.type in MADE_OF:
            settled = entry.type == RunDeleted.type_name
        elif entry.type == LogArchived.type_name:
            event = _decode(entry)
            settled = isinstance(event, LogArchived) and event.kind == "journal"
    return settled


def _decode(entry: Entry) -> Message | None:
    try:
        return decode_as(REGISTRY[entry.type], entry.data)
    except InvalidInput:  # an event of another version: the files are made without it
        return None


def _as_numbered(episode: EpisodeEnded, place: Place) -> EpisodeEnded:
    """The episode with the numbers that it has in DeepRacer's files."""
    return episode.model_copy(update={"episode": place.number, "iteration": place.iteration})


def _summary(event: EpisodeEnded) -> _Summary:
    return _Summary(
        id=event.id,
        phase=event.phase,
        episode=event.episode,
        iteration=event.iteration,
        car=event.car,
        status=event.status,
        reward=event.reward,
        progress_pct=event.progress_pct,
        duration_s=duration_s(event),
    )
