"""
`python -m services.trainer.import_process`: checkpoints of others made into ours.

TensorFlow lives in processes of its own, not in the trainer. This one reads an `ImportOrder` from
standard input and writes an `ImportReport` to standard output.
"""

import sys
from pathlib import Path

from libs.common.deepracer.metadata import ModelMetadata
from libs.common.errors import InvalidInput
from libs.common.events import Value


class ImportOrder(Value):
    """Read these checkpoints of a folder, and write them as a run has them into another one."""

    folder: Path
    output: Path
    metadata: ModelMetadata
    checkpoints: tuple[str, ...]


class ImportReport(Value):
    """The files of each checkpoint, in the order of the order's, or why there are none."""

    files: tuple[tuple[Path, ...], ...] = ()  # data, index, meta, counters; the policy last
    problems: tuple[str, ...] = ()


def convert(order: ImportOrder) -> ImportReport:
    """Write all of them, or tell the problems of all of them."""
    files, problems = [], []
    for name in order.checkpoints:
        try:
            files.append(_convert(order, name))
        except InvalidInput as error:
            problems += [text if name in text else f"{name}: {text}" for text in error.problems]
    return ImportReport(problems=tuple(problems)) if problems else ImportReport(files=tuple(files))


def _convert(order: ImportOrder, name: str) -> tuple[Path, ...]:
    from services.trainer.architecture import blueprint_of
    from services.trainer.checkpoint import checkpoint_counts, read_checkpoint, write_checkpoint
    from services.trainer.frozen import freeze_policy
    from services.trainer.progress import LearnerState, state_path

    number, env_steps = checkpoint_counts(name)
    blueprint = blueprint_of(order.metadata)
    weights = read_checkpoint(order.folder / name, blueprint)
    state, policy = state_path(order.output, number), order.output / f"model_{number}.pb"
    counters = LearnerState(iteration=number, updates=number, env_steps=env_steps)
    state.write_text(counters.model_dump_json(), "utf-8")
    policy.write_bytes(freeze_policy(weights, blueprint))
    return *write_checkpoint(order.output, name, weights), state, policy


def main() -> None:
    """One order, one report."""
    order = ImportOrder.model_validate_json(sys.stdin.read())
    sys.stdout.write(convert(order).model_dump_json())


if __name__ == "__main__":
    main()
