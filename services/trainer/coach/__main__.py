"""`python -m services.trainer.coach`: a learner process whose learner is rl-coach's."""

from typing import TYPE_CHECKING

from libs.common.deepracer.run_spec import RunSpec
from libs.common.errors import StartupFailed
from services.trainer.learner_process import main

if TYPE_CHECKING:
    from services.trainer.learner import Learner


def build(spec: RunSpec) -> "Learner":
    """The run's learner. Raises `StartupFailed` where this environment has no rl-coach."""
    from services.trainer.coach.compatibility import install

    install()
    try:
        from services.trainer.coach.learner import CoachLearner
    except ModuleNotFoundError as error:
        raise StartupFailed(f"engine coach: {error}; `make install-coach` installs it") from error
    return CoachLearner(spec)


if __name__ == "__main__":
    main(build)
