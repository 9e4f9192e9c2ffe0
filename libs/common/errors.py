"""
The one family of errors that a user may see.

A message quotes the value that was wrong and says what would be accepted. `status_code` is what
the REST APIs answer with; the title is the short, stable name of the kind of problem.
"""

from collections.abc import Sequence
from typing import ClassVar


class PlatformError(Exception):
    """Anything that goes wrong for a reason that the reader of the message can mend."""

    status_code: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"


class InvalidInput(PlatformError):
    """One or more values are refused at the border; `problems` names every one of them."""

    status_code = 422
    title = "Invalid input"

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("; ".join(self.problems))


class NotFound(PlatformError):
    """The thing that was named does not exist."""

    status_code = 404
    title = "Not found"


class Conflict(PlatformError):
    """The request is sound but the present state does not allow it, as with a name in use."""

    status_code = 409
    title = "Conflict"


class TooLarge(PlatformError):
    """More bytes than are accepted."""

    status_code = 413
    title = "Too large"


class Unavailable(PlatformError):
    """A server that this process depends on (NATS, S3) does not answer."""

    status_code = 503
    title = "Unavailable"


class StartupFailed(PlatformError):
    """The process can't start and a restart would not help: exit code 3."""

    status_code = 503
    title = "Start-up failed"
