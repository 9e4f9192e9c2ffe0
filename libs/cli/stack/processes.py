"""The process table: what the stack runs, on which ports, and how each is asked for readiness."""

import shutil
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from libs.cli.config import CHECKOUT, StackSettings
from libs.cli.stack.state import StateFolder
from libs.common.errors import NotFound

SERVICE_OFFSETS = {"trainer": 1, "logger": 2, "uploader": 3, "streamer": 4, "submitter": 5}
SIMULATOR_OFFSET = 10
NATS_OFFSET = 22
S3_OFFSET = 33

GRPC_DISTANCE = 10_000
"""SeaweedFS serves gRPC on every HTTP port plus this."""


class Process(BaseModel):
    """One supervised process. Holds no secret: the table is written to `stack.json`."""

    model_config = ConfigDict(frozen=True)

    name: str
    command: tuple[str, ...]
    directory: Path = CHECKOUT
    port: int
    more_ports: tuple[int, ...] = ()
    port_variable: str
    ready_url: str
    environment: dict[str, str] = {}
    is_server: bool = False  # servers start first and stop last
    stop_wait_s: int = 12


def build_table(settings: StackSettings, state: StateFolder) -> tuple[Process, ...]:
    """Every process of this machine, servers first."""
    servers = []
    if not settings.nats_url:
        servers.append(_nats(settings, state))
    if not settings.s3_endpoint:
        servers.append(_s3(settings, state))
    services = [
        service
        for name in settings.services
        for service in (
            _simulators(settings) if name == "simulator" else [_service(name, settings)]
        )
    ]
    return (*servers, *services)


def supervisor_port(settings: StackSettings) -> int:
    """The supervisor's own port, the first of the range."""
    return settings.supervisor_port or settings.port_base


def service_port(name: str, settings: StackSettings) -> int:
    """The port of one of the services that run once."""
    chosen: int | None = getattr(settings, f"{name}_port")
    return chosen or settings.port_base + SERVICE_OFFSETS[name]


def nats_port(settings: StackSettings) -> int:
    """The embedded NATS server's port for clients; its monitoring is on the next one."""
    return settings.nats_port or settings.port_base + NATS_OFFSET


def s3_port(settings: StackSettings) -> int:
    """The embedded S3 server's port; SeaweedFS's other parts are on the next four."""
    return settings.s3_port or settings.port_base + S3_OFFSET


def find_binary(name: str) -> Path:
    """
    An executable beside this Python, else on the PATH.

    Raises:
        NotFound: neither has it.
    """
    beside = Path(sys.executable).parent / name
    found = beside if beside.exists() else shutil.which(name)
    if not found:
        raise NotFound(
            f"{name!r} is neither in {beside.parent} nor on the PATH: run `make install`"
        )
    return Path(found)


def _service(name: str, settings: StackSettings) -> Process:
    port = service_port(name, settings)
    variable = f"DR_{name.upper()}_PORT"
    return Process(
        name=name,
        command=(sys.executable, "-m", f"services.{name}"),
        port=port,
        port_variable=variable,
        ready_url=f"http://{settings.local_host}:{port}/readyz",
        environment={variable: str(port)},
    )


def _simulators(settings: StackSettings) -> list[Process]:
    first = settings.simulator_port or settings.port_base + SIMULATOR_OFFSET
    return [_simulator(number, first + number - 1, settings) for number in _numbers(settings)]


def _numbers(settings: StackSettings) -> range:
    return range(1, settings.simulators + 1)


def _simulator(number: int, port: int, settings: StackSettings) -> Process:
    name = f"simulator-{number}"
    return Process(
        name=name,
        command=(sys.executable, "-m", "services.simulator"),
        port=port,
        port_variable="DR_SIMULATOR_PORT",
        ready_url=f"http://{settings.local_host}:{port}/readyz",
        environment={"DR_SIMULATOR_PORT": str(port), "DR_SIMULATOR_INSTANCE": name},
    )


def _nats(settings: StackSettings, state: StateFolder) -> Process:
    port = nats_port(settings)
    arguments = {
        "--config": CHECKOUT / "deploy" / "nats.conf",
        "--addr": "127.0.0.1",
        "--port": port,
        "--http_port": port + 1,
        "--store_dir": state.nats_dir,
    }
    command = [str(find_binary("nats-server"))]
    for option, value in arguments.items():
        command += [option, str(value)]
    return Process(
        name="nats",
        command=tuple(command),
        port=port,
        more_ports=(port + 1,),
        port_variable="DR_NATS_PORT",
        ready_url=f"http://127.0.0.1:{port + 1}/healthz?js-enabled-only=true",
        is_server=True,
    )


def _s3(settings: StackSettings, state: StateFolder) -> Process:
    port = s3_port(settings)
    parts = {"s3": port, "master": port + 1, "volume": port + 2, "filer": port + 3}
    ports = {**parts, "admin": port + 4}
    options = {
        "dir": state.s3_dir,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        **{f"{part}.port": number for part, number in ports.items()},
        "s3.config": state.s3_identities,
        "bucket": settings.s3_bucket,
        "master.volumeSizeLimitMB": 256,
        "master.telemetry": "false",
        "admin.ui": "false",
        "webdav": "false",
        # Without these a second instance on the machine finds their fixed ports taken.
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
    }
    flags = [f"-{option}={value}" for option, value in options.items()]
    return Process(
        name="s3",
        command=(str(find_binary("weed")), "-logtostderr=true", "mini", *flags),
        directory=state.s3_dir,
        port=port,
        more_ports=(
            *list(ports.values())[1:],
            *(number + GRPC_DISTANCE for number in ports.values()),
        ),
        port_variable="DR_S3_PORT",
        ready_url=f"http://127.0.0.1:{port}/healthz",
        is_server=True,
        # It takes 2 to 28 s by itself. Everything acknowledged is with the operating system by
        # then, which a kill does not lose.
        stop_wait_s=4,
    )
