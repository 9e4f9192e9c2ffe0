"""Collecting what several checks refuse, so that all of it is named at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from libs.common.errors import Conflict, InvalidInput, NotFound


class Problems:
    """The problems of one request."""

    def __init__(self) -> None:
        self._found: list[str] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """What is refused inside is noted, and the next check goes on."""
        try:
            yield
        except InvalidInput as error:
            self.note(*error.problems)
        except (NotFound, Conflict) as error:
            self.note(str(error))

    def note(self, *problems: str) -> None:
        """Add problems; one that is known already is not repeated."""
        self._found.extend(text for text in problems if text not in self._found)

    def raise_all(self) -> None:
        """Raise `InvalidInput` with every problem, if there is one."""
        if self._found:
            raise InvalidInput(self._found)
