"""What the reading of a file yields: a value with warnings, or every problem at once."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from reprlib import Repr
from typing import Any, Generic, TypeVar

from libs.common.errors import InvalidInput

T = TypeVar("T")


@dataclass(frozen=True)
class Checked(Generic[T]):
    """A value that was accepted, and what its author should know about it all the same."""

    value: T
    warnings: tuple[str, ...] = ()


@dataclass
class Findings:
    """Problems and warnings while a file is read; the reading goes on to name all of them."""

    where: str = ""  # the file's name
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def refuse(self, what: str, value: Any, accepted: str) -> None:
        """Note that `what` holds a value that is not accepted."""
        self.problem(f"{what}: got {quote(value)}; accepted: {accepted}")

    def problem(self, text: str) -> None:
        """Note a problem; the file's name goes before it."""
        self.problems.append(self._placed(text))

    def warn(self, text: str) -> None:
        """Note a warning; the file's name goes before it."""
        self.warnings.append(self._placed(text))

    def include(self, problems: Iterable[str] = (), warnings: Iterable[str] = ()) -> None:
        """Take over findings that name their file already."""
        self.problems.extend(problems)
        self.warnings.extend(warnings)

    def checked(self, value: T) -> Checked[T]:
        """
        The value with the warnings.

        Raises:
            InvalidInput: there were problems; all of them are in it.
        """
        self.raise_problems()
        return Checked(value, tuple(self.warnings))

    def raise_problems(self) -> None:
        """Raise `InvalidInput` with all problems, if there are any."""
        if self.problems:
            raise InvalidInput(self.problems)

    def _placed(self, text: str) -> str:
        return f"{self.where}: {text}" if self.where else text


_short = Repr()
_short.maxstring = _short.maxother = 80
_short.maxlong = 40
_short.maxdict = _short.maxlist = _short.maxtuple = 4


def quote(value: Any) -> str:
    """The value as it is shown in messages: as in Python, and never long."""
    return _short.repr(value)


def unknown_key(key: Any, known: Iterable[str]) -> str:
    """The sentence about a key that is not known, with the nearest one that is."""
    names = sorted(known)
    near = get_close_matches(str(key), names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown key {quote(key)}; {hint}accepted: {', '.join(names)}"
