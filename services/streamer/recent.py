"""The last few of something that goes on for hours, readable from where a viewer stopped."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """A ring that counts all that ever came, so that a viewer is sent only what is new to it."""

    def __init__(self, size: int) -> None:
        self._items: deque[T] = deque(maxlen=size)
        self.count = 0

    def append(self, item: T) -> None:
        """Keep the item; the oldest goes where the ring is full."""
        self._items.append(item)
        self.count += 1

    def since(self, count: int) -> list[T]:
        """What came after the first `count` items and is still here, oldest first."""
        new = min(self.count - count, len(self._items))
        return list(self._items)[len(self._items) - new :]
