"""The environment that rl-coach is installed in: whether it is there, and what runs in it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from libs.common.errors import InvalidInput

VERSION = "1.0.1"
LOOK = "from importlib.metadata import version as v; v('slipstream'); print(v('rl-coach'))"
LOOK_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class CoachEnvironment:
    """A Python with rl-coach, TensorFlow and this project; `make install-coach` makes one."""

    python: Path

    @property
    def command(self) -> tuple[str, ...]:
        """Words that start a learner process."""
        return (str(self.python), "-m", "services.trainer.coach")

    def check(self) -> None:
        """
        Look whether a run of engine coach can be trained here; blocking, for a tenth of a second.

        Raises:
            InvalidInput: it can't be, with what installs it.
        """
        if (found := self._version()) != VERSION:
            has = "is not there" if found is None else f"has {found}"
            raise InvalidInput(
                f"engine: got 'coach', which needs rl-coach {VERSION}, and {self.python} {has}: "
                "`make install-coach` installs it; accepted without it: 'native'"
            )

    def _version(self) -> str | None:
        """What is installed there, in a word; None where there is no Python."""
        try:
            done = subprocess.run(
                [self.python, "-c", LOOK],
                capture_output=True,
                text=True,
                check=False,
                timeout=LOOK_TIMEOUT_S,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else "none"
