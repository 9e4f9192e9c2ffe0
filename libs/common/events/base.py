"""
The envelope and the registry of every message on the bus.

A message class is its own catalogue entry: subject, plane, version and producer are derived from
it, so that nothing about a subject is typed by hand.

    class RunQueued(Event, producer="trainer"): ...
    RunQueued.subject("starter-1")  ->  dr.evt.run.queued.v1.starter-1

Planes: `cmd` (imperative, one handler, JetStream work queue), `evt` (past tense, JetStream file
storage, any number of handlers), `tel` (live and lossy, core NATS).

Within a version only additions with a default are allowed; anything else is a new class with
`version=2`. `tests/contract` holds the schema lock and a sample of every event ever published.
"""

import re
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from libs.common.errors import InvalidInput
from libs.common.names import RUN_ID_PATTERN as RUN_ID_PATTERN

PLATFORM = "platform"
"""The `run_id` of messages that belong to no run."""

ANY = "*"
"""As a producer: every service may publish it. As a run: every run."""

Plane = Literal["cmd", "evt", "tel"]


class Value(BaseModel):
    """An immutable value inside a message; unknown keys from a newer writer are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="constants")


class Message(Value):
    """The flat envelope. Subclass `Command`, `Event` or `Telemetry`, never this."""

    plane: ClassVar[Plane]
    producer: ClassVar[str]
    noun: ClassVar[str]
    verb: ClassVar[str]
    type_name: ClassVar[str]
    stream: ClassVar[str]

    type: str = ""
    id: str = Field(default_factory=lambda: uuid4().hex)
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    run_id: str = Field(default=PLATFORM, pattern=RUN_ID_PATTERN)
    cause: str | None = None

    def __init_subclass__(
        cls, producer: str | None = None, version: int = 1, stream: str | None = None, **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        if stream is not None:
            cls.stream = stream
        if producer is None:
            return
        cls.producer = producer
        cls.noun, cls.verb = _noun_and_verb(cls.__name__, cls.plane)
        cls.type_name = f"{cls.plane}.{cls.noun}.{cls.verb}.v{version}"
        # The discriminator: a literal with a default, so that a wrong type is a schema error.
        cls.__annotations__["type"] = Literal[cls.type_name]
        cls.type = cls.type_name
        if cls.type_name in REGISTRY:
            raise TypeError(f"{cls.__name__}: {cls.type_name} is taken")
        REGISTRY[cls.type_name] = cls

    @classmethod
    def subject(cls, run_id: str = ANY) -> str:
        """The NATS subject of this class for one run, or for all with the default `*`."""
        return f"dr.{cls.type_name}.{run_id}"

    def encode(self) -> bytes:
        """The message as JSON bytes."""
        return self.model_dump_json().encode()


class Command(Message):
    """Imperative; exactly one handler takes it from a work queue."""

    plane = "cmd"
    stream = "DR_CMD"


class Event(Message):
    """Past tense; kept on file, any number of handlers."""

    plane = "evt"
    stream = "DR_EVT"


class Telemetry(Message):
    """Live and lossy; never stored."""

    plane = "tel"
    stream = ""


M = TypeVar("M", bound=Message)

REGISTRY: dict[str, type[Message]] = {}
"""Every message class by `type_name`."""


def _noun_and_verb(class_name: str, plane: Plane) -> tuple[str, str]:
    """Split `StartRun` into (run, start) and `RunQueued` into (run, queued)."""
    words = [word.lower() for word in re.findall(r"[A-Z][a-z0-9]*", class_name)]
    if len(words) < 2:
        raise TypeError(f"{class_name}: a message name has a noun and a verb")
    if plane == "cmd":
        return "_".join(words[1:]), words[0]
    return "_".join(words[:-1]), words[-1]


_JSON_OBJECT = TypeAdapter(dict[str, Any])
_TYPE_FIRST = re.compile(rb'\s*\{\s*"type"\s*:\s*"([a-z0-9_.]+)"')


def decode(data: bytes) -> Message:
    """
    Read any registered message.

    Raises:
        InvalidInput: not JSON, no known `type`, or fields that do not fit; the value is quoted.
    """
    kind = _kind_of(data)
    message_class = REGISTRY.get(kind) if isinstance(kind, str) else None
    if message_class is None:
        raise InvalidInput(f"unknown message type {kind!r}: {len(REGISTRY)} types are known")
    return decode_as(message_class, data)


def _kind_of(data: bytes) -> Any:
    """The `type`; our own writers put it first, so that nothing long is parsed twice."""
    if (first := _TYPE_FIRST.match(data)) is not None:
        return first[1].decode()
    try:
        return _JSON_OBJECT.validate_json(data).get("type")
    except ValidationError as error:
        raise InvalidInput(f"not a JSON object: {data[:80]!r}") from error


class Envelope(Value):
    """What every message has: who keeps messages need not know the rest of them."""

    type: str
    id: str = Field(min_length=1)
    run_id: str = Field(default=PLATFORM, pattern=RUN_ID_PATTERN)


def read_envelope(data: bytes) -> Envelope:
    """
    The envelope of any registered message; the rest only has to be JSON.

    Raises:
        InvalidInput: it is not; the value is quoted.
    """
    try:
        envelope = Envelope.model_validate_json(data)
    except ValidationError as error:
        raise InvalidInput(f"no message: {data[:80]!r}: {error.errors()[0]['msg']}") from error
    if envelope.type not in REGISTRY:
        raise InvalidInput(
            f"unknown message type {envelope.type!r}: {len(REGISTRY)} types are known"
        )
    return envelope


def decode_as(message_class: type[M], data: bytes) -> M:
    """As `decode`, for a class that is already known."""
    try:
        return message_class.model_validate_json(data)
    except ValidationError as error:
        problems = [
            f"{message_class.type_name}.{'.'.join(str(part) for part in item['loc'])}: "
            f"{item['msg']} (got {str(item['input'])[:80]!r})"
            for item in error.errors()
        ]
        raise InvalidInput(problems) from error
