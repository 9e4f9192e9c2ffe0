"""
A run's journal in the words of DeepRacer's two logs, line by line (reference 1.5).

`simulation` is what the simulator prints: the run's head, `SIM_TRACE_LOG:` for each step and
`Training>` for each episode. `training` is what the trainer prints: the head, `Training>` and
`Policy training>` for each epoch. Only training is in them, as in DeepRacer's.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal, get_args

from libs.common.deepracer.numbering import Numbering
from libs.common.deepracer.run_spec import RunSpec
from libs.common.deepracer.simtrace import TRACE_FIELDS, CarClocks, simtrace_log_lines
from libs.common.errors import InvalidInput
from libs.common.events import (
    REGISTRY,
    EpisodeEnded,
    IterationEnded,
    RunQueued,
    decode_as,
)
from libs.common.journal_reading import (
    Entry,
)

LogKind = Literal["training", "simulation"]
LOG_KINDS: tuple[LogKind, ...] = get_args(LogKind)

CONSOLES_KEYS = (
    "batch_size",
    "beta_entropy",
    "discount_factor",
    "e_greedy_value",
    "epsilon_steps",
    "exploration_type",
    "loss_type",
    "lr",
    "num_episodes_between_training",
    "num_epochs",
    "stack_size",
    "term_cond_avg_score",
    "term_cond_max_episodes",
)
"""Hyperparameters that DeepRacer prints, in its order."""

_READ = {c.type_name for c in (RunQueued, EpisodeEnded, IterationEnded)}


class TextLog:
    """
    Renders the entries of one journal, which come in their order from the first.

    Args:
        kind: whose log.
        fields: of a `SIM_TRACE_LOG:` line, one of `TRACE_FIELDS`.

    Raises:
        InvalidInput: another number of fields.
    """

    def __init__(self, kind: LogKind, fields: int = TRACE_FIELDS[0]) -> None:
        if fields not in TRACE_FIELDS:
            accepted = ", ".join(map(str, TRACE_FIELDS))
            raise InvalidInput(f"fields is {fields}: accepted are {accepted}")
        self._kind, self._fields = kind, fields
        self._numbering, self._clocks = Numbering(), CarClocks()
        self._steps: Counter[int] = Counter()  # so far, by worker

    def __call__(self, entry: Entry) -> bytes:
        """The lines that an entry gives, each with its end; mostly none."""
        if entry.type not in _READ:
            return b""
        try:
            event = decode_as(REGISTRY[entry.type], entry.data)
        except InvalidInput:  # of another version
            return b""
        return "".join(f"{line}\n" for line in self._lines(event)).encode()

    def _lines(self, event: object) -> Iterator[str]:
        match event:
            case RunQueued():
                self._numbering = Numbering.of(event.spec)
                yield from _head(event.spec)
            case EpisodeEnded(phase="training"):
                yield from self._episode(event)
            case IterationEnded() if self._kind == "training":
                yield from _epochs(event)

    def _episode(self, event: EpisodeEnded) -> Iterator[str]:
        start_s, place = self._clocks.start_s(event), self._numbering.take(event)
        if self._kind == "simulation":
            numbered = event.model_copy(update={"episode": place.number})
            yield from simtrace_log_lines([numbered], {event.id: start_s}, self._fields)
        self._steps[place.worker] += event.steps
        yield (
            f"Training> Name=main_level/agent, Worker={place.worker}, Episode={place.number + 1}, "
            f"Total reward={round(event.reward, 2):g}, Steps={self._steps[place.worker]}, "
            f"Training iteration={place.iteration}"
        )


def _head(spec: RunSpec) -> Iterator[str]:
    metadata = spec.metadata.model_dump(mode="json")
    yield f" * /WORLD_NAME: {spec.track}"
    yield (
        f"Sensor list {metadata['sensor']}, network {metadata['neural_network']}, "
        f"simapp_version {_simulation_version(metadata['version'])}, "
        f"training_algorithm {metadata['training_algorithm']}, "
        f"action_space_type {metadata['action_space_type']}"
    )
    yield f"Action space from file: {metadata['action_space']}"
    yield "Using the following hyper-parameters"
    values: dict[str, Any] = spec.hyperparameters.model_dump(mode="json")
    yield json.dumps({key: values[key] for key in CONSOLES_KEYS}, indent=2)


def _simulation_version(version: str) -> str:
    return version if "." in version else f"{version}.0"


def _epochs(event: IterationEnded) -> Iterator[str]:
    for losses in event.losses:
        yield (
            f"Policy training> Surrogate loss={losses.surrogate_loss}, "
            f"KL divergence={losses.kl_divergence}, Entropy={losses.entropy}, "
            f"training epoch={losses.epoch}, learning_rate={event.learning_rate}"
        )
