"""`python -m services.uploader`."""

import sys

from libs.common.service import run_service
from services.uploader.config import UploaderSettings
from services.uploader.service import Uploader

if __name__ == "__main__":
    sys.exit(run_service(Uploader, UploaderSettings))
