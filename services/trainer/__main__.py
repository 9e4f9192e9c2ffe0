"""`python -m services.trainer`."""

import sys

from libs.common.service import run_service
from services.trainer.config import TrainerSettings
from services.trainer.service import Trainer

if __name__ == "__main__":
    sys.exit(run_service(Trainer, TrainerSettings))
