"""The main job: the starter learns its laps from its camera through the whole stack."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.embedded import STARTER, EmbeddedStack


def train_and_evaluate(stack: EmbeddedStack, *options: str) -> dict[str, Any]:
    """What `make train` does; its last document. The exit code tells of every lap."""
    documents = stack.cli("train", str(STARTER), "--watch", "--evaluate", *options)
    last: dict[str, Any] = documents[-1]
    return last


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_starter_completes_five_of_five_laps_on_its_track(stack: EmbeddedStack) -> None:
    told = train_and_evaluate(stack, "--name", "main-1")
    assert laps(told) == ["lap_complete"] * 5


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_starter_completes_five_of_five_laps_on_an_imported_track(
    stack: EmbeddedStack, shared_data: Path
) -> None:
    track = shared_data / "tracks" / "reinvent_base.npy"
    told = train_and_evaluate(stack, "--name", "main-2", "--track", str(track))
    assert laps(told) == ["lap_complete"] * 5


def laps(document: dict[str, Any]) -> list[str]:
    """How each trial of the evaluation ended."""
    evaluation = document.get("evaluation", document)
    return [trial["status"] for trial in evaluation["trials"]]
