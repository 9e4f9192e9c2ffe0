"""
The local league: evaluations that were asked for, on boards of what can be compared, ranked.

A board is a track, a direction, a kind of race and the rules that it is judged by. Each model is
on it once, with its best entry. DeepRacer's leagues rank by the best lap or by the average one,
penalties included; the fewest resets are ours.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from libs.common.deepracer.race_spec import RaceSpec, RaceType
from libs.common.deepracer.run_spec import EvaluationRules
from libs.common.errors import NotFound
from services.trainer.evaluations import EvaluationRecord
from services.trainer.laps import clean_trials, lap_times_s, mean_s, resets
from services.trainer.ranking import mean_progress_pct

RankBy = Literal["best_lap", "average_lap", "fewest_resets"]

ID_CHARS = 12


class Board(BaseModel, frozen=True):
    """What entries have in common, so that they can be compared."""

    id: str = Field("", description="Made of the other fields")
    track: str
    direction: Literal["counterclockwise", "clockwise", "alternating"]
    type: RaceType
    others: int = Field(description="Boxes, bots or other cars on the road")
    rules: EvaluationRules
    laps: int = Field(description="Of a trial")
    off_track_penalty_s: float | None = Field(description="None by clean rules: it ends the trial")
    crash_penalty_s: float | None


class BoardSummary(BaseModel):
    """A board and who leads it by its best lap."""

    board: Board
    models: int
    entries: int
    leader: str | None = Field(description="None while nobody has completed a lap")
    best_lap_s: float | None
    newest_at: datetime


class Entry(BaseModel):
    """One evaluation on a board. Lap times contain penalties."""

    run: str
    checkpoint: str
    evaluation_id: str
    at: datetime
    trials: int
    completed: int = Field(description="Trials that completed their laps, never put back")
    laps: int
    best_lap_s: float | None
    average_lap_s: float | None
    resets: int = Field(description="How often the car was put back on the road, in all trials")
    mean_progress_pct: float


class Place(Entry):
    """A model on a board, with its best entry."""

    position: int | None = Field(description="From 1, shared by equals; null without a lap")
    gap: float | None = Field(description="To the first one: seconds, or resets in a trial")
    entries: int = Field(description="Of this model on this board")


Rank = tuple[float, ...]
"""Less is better."""


def boards(records: Iterable[EvaluationRecord]) -> list[BoardSummary]:
    """Every board with an entry, the one with the newest entry first."""
    summaries = [_summary(board, entries) for board, entries in _by_board(records).items()]
    return sorted(summaries, key=lambda each: each.newest_at, reverse=True)


def places(
    records: Iterable[EvaluationRecord], board_id: str, by: RankBy
) -> tuple[Board, list[Place]]:
    """
    A board and the models on it, the best first.

    Raises:
        NotFound: no entry is on such a board.
    """
    for board, entries in _by_board(records).items():
        if board.id == board_id:
            return board, _ranked(entries, by)
    raise NotFound(f"no board {board_id!r}; GET /v1/races lists those there are")


def board_of(record: EvaluationRecord) -> Board | None:
    """Where a finished evaluation belongs; None where it does not say what it was judged by."""
    race, rules = record.race, record.rules
    if record.status != "ended" or not record.trials or race is None or rules is None:
        return None
    by_race_rules = rules == "race"
    board = Board(
        track=record.track.name,
        direction="alternating" if race.alternate_direction else race.direction,
        type=race.type,
        others=_others(race, record.opponents),
        rules=rules,
        laps=race.laps if by_race_rules else 1,
        off_track_penalty_s=race.off_track_penalty_s if by_race_rules else None,
        crash_penalty_s=race.crash_penalty_s if by_race_rules else None,
    )
    digest = hashlib.sha256(board.model_dump_json().encode()).hexdigest()
    return board.model_copy(update={"id": digest[:ID_CHARS]})


def _others(race: RaceSpec, opponents: int) -> int:
    return {
        "time_trial": 0,
        "object_avoidance": race.objects.count,
        "head_to_bot": race.bots.count,
        "head_to_model": opponents or race.cars_on_track - 1,
    }[race.type]


def _by_board(records: Iterable[EvaluationRecord]) -> dict[Board, list[Entry]]:
    found: dict[Board, list[Entry]] = defaultdict(list)
    for record in records:
        if (board := board_of(record)) is not None:
            found[board].append(_entry(record))
    return found


def _entry(record: EvaluationRecord) -> Entry:
    trials, times_s = record.trials, lap_times_s(record.trials)
    return Entry(
        run=record.run_id,
        checkpoint=record.checkpoint,
        evaluation_id=record.evaluation_id,
        at=record.ended_at or record.created_at,
        trials=len(trials),
        completed=clean_trials(trials),
        laps=len(times_s),
        best_lap_s=min(times_s, default=None),
        average_lap_s=mean_s(times_s),
        resets=resets(trials),
        mean_progress_pct=mean_progress_pct(trials),
    )


def _summary(board: Board, entries: Sequence[Entry]) -> BoardSummary:
    first = min(entries, key=_rank_of("best_lap"))
    return BoardSummary(
        board=board,
        models=len({entry.run for entry in entries}),
        entries=len(entries),
        leader=first.run if first.laps else None,
        best_lap_s=first.best_lap_s,
        newest_at=max(entry.at for entry in entries),
    )


def _ranked(entries: Sequence[Entry], by: RankBy) -> list[Place]:
    rank, measure = _rank_of(by), MEASURES[by]
    own: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        own[entry.run].append(entry)
    best = sorted((min(each, key=rank) for each in own.values()), key=rank)
    first = measure(best[0]) if best else None
    found: list[Place] = []
    for index, entry in enumerate(best):
        equal = bool(found) and rank(entry)[:-1] == rank(best[index - 1])[:-1]
        position = found[-1].position if equal else index + 1
        value = measure(entry)
        placed = value is not None and first is not None and entry.laps > 0
        found.append(
            Place(
                **entry.model_dump(),
                position=position if placed else None,
                gap=value - first if placed and value is not None and first is not None else None,
                entries=len(own[entry.run]),
            )
        )
    return found


def _resets_a_trial(entry: Entry) -> float:
    return entry.resets / entry.trials


MEASURES: Mapping[RankBy, Callable[[Entry], float | None]] = {
    "best_lap": lambda entry: entry.best_lap_s,
    "average_lap": lambda entry: entry.average_lap_s,
    "fewest_resets": _resets_a_trial,
}
"""What a board is ranked by, and gaps are told in."""


def _rank_of(by: RankBy) -> Callable[[Entry], Rank]:
    """Models without a lap go last, by their progress; of equals the earlier one goes first."""

    def rank(entry: Entry) -> Rank:
        at_s = entry.at.timestamp()
        if not entry.laps or entry.best_lap_s is None or entry.average_lap_s is None:
            return (1.0, -entry.mean_progress_pct, at_s)
        measures: dict[RankBy, Rank] = {
            "best_lap": (entry.best_lap_s, entry.average_lap_s),
            "average_lap": (entry.average_lap_s, entry.best_lap_s),
            "fewest_resets": (_resets_a_trial(entry), entry.best_lap_s),
        }
        return (0.0, *measures[by], at_s)

    return rank
