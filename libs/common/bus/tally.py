"""What one connection has sent and handled since it was made, by type of message."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts that only grow, but for a new process."""

    sent: Counter[str] = field(default_factory=Counter)
    handled: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)  # of the handled; they may come again
    # By the handlers, waiting included.
    spent_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    rejected: int = 0  # unreadable, or given up after their last try
    reconnects: int = 0

    @contextmanager
    def handling(self, kind: str) -> Iterator[None]:
        """Count what happens inside as the handling of one message of this type."""
        began = time.perf_counter()
        try:
            yield
        except Exception:
            self.failed[kind] += 1
            raise
        finally:
            self.handled[kind] += 1
            self.spent_s[kind] += time.perf_counter() - began
