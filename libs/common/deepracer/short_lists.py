"""Short lists in files that people write: ranges, colours and choices of several."""

from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from libs.common.deepracer.checked import quote
from libs.common.deepracer.problems import MANY

Span = tuple[float, float]
"""The lowest and the highest value that is drawn."""

Rgb = tuple[int, int, int]
"""Red, green and blue, 0..255."""


def _refuse(value: Any, accepted: str) -> PydanticCustomError:
    problems = [f"got {quote(value)}; accepted: {accepted}"]
    return PydanticCustomError(MANY, "{problems}", {"problems": problems})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def within(low: float, high: float) -> BeforeValidator:
    """What a `Span` has to keep to, written as `[from, to]`."""
    accepted = f"two numbers from {low:g} to {high:g}, the lower first"

    def check(value: Any) -> Any:
        numbers = value if isinstance(value, list | tuple) else ()
        if len(numbers) != 2 or not all(map(_is_number, numbers)):
            raise _refuse(value, accepted)
        if not low <= numbers[0] <= numbers[1] <= high:
            raise _refuse(value, accepted)
        return tuple(map(float, numbers))

    return BeforeValidator(check)


def _check_colour(value: Any) -> Any:
    parts = value if isinstance(value, list | tuple) else ()
    whole = all(isinstance(part, int) and not isinstance(part, bool) for part in parts)
    if len(parts) != 3 or not whole or not all(0 <= part <= 255 for part in parts):
        raise _refuse(value, "red, green and blue, three whole numbers from 0 to 255")
    return tuple(parts)


Colour = Annotated[Rgb, BeforeValidator(_check_colour)]
"""The type of a colour that a person writes."""


def some_of(choices: tuple[str, ...], most: int) -> BeforeValidator:
    """What a list of names has to keep to: at most so many of the choices, each once."""
    accepted = f"a list of at most {most} of {', '.join(choices)}, each once"

    def check(value: Any) -> Any:
        names = value if isinstance(value, list | tuple) else None
        if names is None or len(names) > most or not all(name in choices for name in names):
            raise _refuse(value, accepted)
        if len(set(names)) < len(names):
            raise _refuse(value, accepted)
        return tuple(names)

    return BeforeValidator(check)
