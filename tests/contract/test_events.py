"""What was once published stays readable, and the catalogue says what the code does."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from libs.common.errors import InvalidInput
from libs.common.events import REGISTRY, Command, Event, Telemetry, decode
from libs.common.events.catalogue import files

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.json"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_event_ever_published_is_readable(path: Path) -> None:
    sample = json.loads(path.read_text())
    message = decode(path.read_bytes())
    assert message.type == path.stem
    assert_holds(json.loads(message.encode()), sample)


def assert_holds(now: Any, then: Any) -> None:
    """Everything of the sample is still there; additions are allowed."""
    if isinstance(then, dict):
        for key, value in then.items():
            assert key in now, key
            assert_holds(now[key], value)
    elif isinstance(then, list):
        assert len(now) == len(then)
        for one, other in zip(now, then, strict=True):
            assert_holds(one, other)
    else:
        assert now == then


def test_the_type_may_stand_anywhere_in_a_message() -> None:
    sample = json.loads(SAMPLES[0].read_text())
    last = {key: sample[key] for key in sorted(sample, key=lambda key: key == "type")}
    assert decode(json.dumps(last).encode()) == decode(SAMPLES[0].read_bytes())
    with pytest.raises(InvalidInput, match="cut.off"):
        decode(b'{"type": "cut.off"')
    with pytest.raises(InvalidInput, match=sample["type"]):
        decode(json.dumps(sample).encode()[:-9])


def test_every_message_has_a_sample() -> None:
    assert {path.stem for path in SAMPLES} == set(REGISTRY)


def test_the_generated_files_are_fresh() -> None:
    for path, text in files().items():
        assert path.read_text() == text, f"{path} is stale: run `make docs`"


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_the_subject_follows_from_the_class(name: str) -> None:
    message_class = REGISTRY[name]
    assert re.fullmatch(r"(cmd|evt|tel)\.[a-z_]+\.[a-z]+\.v\d+", name)
    assert message_class.subject("run-1") == f"dr.{name}.run-1"
    plane = {"cmd": Command, "evt": Event, "tel": Telemetry}[name[:3]]
    assert issubclass(message_class, plane)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not a JSON object"),
        (b"[1, 2]", "not a JSON object"),
        (b"\xff\xfe", "not a JSON object"),
        (b'{"type": "evt.run.exploded.v1"}', "unknown message type 'evt.run.exploded.v1'"),
        (b'{"type": 3}', "unknown message type 3"),
        (b'{"type": "evt.run.ended.v1", "outcome": "won"}', "outcome.*got 'won'"),
        (b'{"type": "cmd.run.stop.v1", "run_id": "../x"}', r"run_id.*got '\.\./x'"),
    ],
)
def test_what_is_no_message_is_refused_with_its_value(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        decode(data)


def test_a_field_that_a_newer_writer_added_is_ignored() -> None:
    message = decode(b'{"type": "cmd.run.stop.v1", "run_id": "a", "colour": "red"}')
    assert message.run_id == "a"
