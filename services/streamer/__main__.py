"""`python -m services.streamer`."""

import sys

from libs.common.service import run_service
from services.streamer.config import StreamerSettings
from services.streamer.service import Streamer

if __name__ == "__main__":
    sys.exit(run_service(Streamer, StreamerSettings))
