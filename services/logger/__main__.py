"""`python -m services.logger`."""

import sys

from libs.common.service import run_service
from services.logger.config import LoggerSettings
from services.logger.service import Logger

if __name__ == "__main__":
    sys.exit(run_service(Logger, LoggerSettings))
