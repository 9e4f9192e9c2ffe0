"""The numbers of a run's training episodes: each is used once and none is left out."""

from collections.abc import Iterable


class EpisodeNumbers:
    """
    Hands out the smallest number that is free.

    Args:
        ended: numbers of the episodes that are already over.
    """

    def __init__(self, ended: Iterable[int] = ()) -> None:
        self._ended = set(ended)
        self._open: set[int] = set()
        self._lowest_free = 0

    @property
    def ended(self) -> int:
        """How many episodes are over."""
        return len(self._ended)

    @property
    def gaps(self) -> list[int]:
        """Numbers below the highest ended one whose episodes are not over."""
        return sorted(set(range(max(self._ended, default=-1))) - self._ended)

    def note_ended(self, numbers: Iterable[int]) -> None:
        """Learn of episodes that are over, as the journal knows them."""
        self._ended.update(numbers)
        self._open -= self._ended

    def is_over(self, number: int) -> bool:
        """Whether the episode of this number has ended."""
        return number in self._ended

    def take(self) -> int:
        """Begin an episode."""
        while self._lowest_free in self._ended or self._lowest_free in self._open:
            self._lowest_free += 1
        self._open.add(self._lowest_free)
        return self._lowest_free

    def end(self, number: int) -> None:
        """Note that an episode is over."""
        self._open.discard(number)
        self._ended.add(number)
