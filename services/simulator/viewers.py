"""Which runs someone looks at, and when the next picture of one is due."""

import time
from collections.abc import Callable

WATCHED_FOR_S = 5.0
PICTURE_EVERY_S = 0.1


class Viewers:
    """Pictures are made only of watched runs, and at most ten times a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until_s: dict[str, float] = {}
        self._saliency_until_s: dict[str, float] = {}
        self._next_s: dict[str, float] = {}

    def note(self, run_id: str, *, saliency: bool = False) -> None:
        """Somebody looks at this run now, and may want to see what weighs most in its pictures."""
        self._until_s[run_id] = self._clock() + WATCHED_FOR_S
        if saliency:
            self._saliency_until_s[run_id] = self._until_s[run_id]

    def wants_saliency(self, run_id: str) -> bool:
        """Whether one of those who look does."""
        return self._saliency_until_s.get(run_id, 0.0) >= self._clock()

    def due(self, run_id: str) -> bool:
        """Whether to make a picture now; the next is due a tenth of a second later."""
        now = self._clock()
        if self._until_s.get(run_id, 0.0) < now or self._next_s.get(run_id, 0.0) > now:
            return False
        self._next_s[run_id] = now + PICTURE_EVERY_S
        return True
