"""`python -m services.trainer.coach`: a learner process whose learner is rl-coach's."""

from typing import TYPE_CHECKING

from libs.common.errors import StartupFailed
from services.trainer.learner_process import main

if TYPE_CHECKING:
    from services.trainer.learner_process import MakeLearner


def coach() -> "MakeLearner":
    """rl-coach's learner. Raises `StartupFailed` where this environment has no rl-coach."""
    try:
        from services.trainer.coach.compatibility import install

        install()
        from services.trainer.coach.learner import CoachLearner
    except ModuleNotFoundError as error:
        raise StartupFailed(f"engine coach: {error}; `make install-coach` installs it") from error
    return CoachLearner


if __name__ == "__main__":
    main(coach)
