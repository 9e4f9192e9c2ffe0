"""`python -m services.simulator`."""

import sys

from libs.common.service import run_service
from services.simulator.config import SimulatorSettings
from services.simulator.service import Simulator

if __name__ == "__main__":
    sys.exit(run_service(Simulator, SimulatorSettings))
