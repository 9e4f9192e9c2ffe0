"""What `/metrics` of the trainer tells of the runs."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import get_args

from prometheus_client.core import Metric

from libs.common.metrics import gauges
from services.trainer.runs import RunRecord, Status


def run_measures(records: Sequence[RunRecord]) -> Iterator[Metric]:
    """
    Runs by status, and the progress of those that run.

    Ended runs have no numbers of their own: there may be thousands, and their journals have them.
    """
    by_status = Counter({status: 0 for status in get_args(Status)})
    by_status.update(record.status for record in records)
    yield gauges("slipstream_runs", "Runs by status.", "status", by_status)
    running = {each.run_id: each.progress for each in records if each.status == "running"}
    yield gauges(
        "slipstream_run_iterations",
        "Iterations that ended.",
        "run",
        {run: progress.iteration for run, progress in running.items()},
    )
    yield gauges(
        "slipstream_run_steps",
        "Environment steps of all cars.",
        "run",
        {run: progress.env_steps for run, progress in running.items()},
    )
    yield gauges(
        "slipstream_run_steps_per_second",
        "Environment steps a second in the last iteration.",
        "run",
        {run: progress.steps_per_s for run, progress in running.items()},
    )
    yield gauges(
        "slipstream_run_learning_seconds",
        "Seconds of learning, of all attempts.",
        "run",
        {run: progress.elapsed_s for run, progress in running.items()},
    )
    yield gauges(
        "slipstream_run_completion_ratio",
        "Share of the last iteration's episodes that completed a lap.",
        "run",
        {
            run: progress.completion_ratio
            for run, progress in running.items()
            if progress.completion_ratio is not None
        },
    )
