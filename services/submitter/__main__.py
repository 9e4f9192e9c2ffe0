"""`python -m services.submitter`."""

import sys

from libs.common.service import run_service
from services.submitter.config import SubmitterSettings
from services.submitter.service import Submitter

if __name__ == "__main__":
    sys.exit(run_service(Submitter, SubmitterSettings))
