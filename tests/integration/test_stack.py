"""The embedded stack with the real nats-server, SeaweedFS and supervisor."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nats
import psutil
import pytest
from aiobotocore.session import get_session

from libs.cli.config import CHECKOUT, StackSettings
from libs.cli.stack.description import claims_of, variables_of
from libs.cli.stack.lifecycle import Progress, Stack
from libs.cli.stack.ports import is_free
from libs.cli.stack.processes import Process, build_table, nats_port
from libs.cli.stack.state import open_state
from libs.cli.stack.supervision import child_environment, end_strays
from libs.common.errors import Conflict, NotFound, StartupFailed

SERVICE = """
import http.server, json, sys

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        missing = sys.argv[2:]
        self.send_response(503 if missing else 200)
        self.end_headers()
        self.wfile.write(json.dumps({"ready": not missing, "missing": missing}).encode())

print("the service says hello", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health).serve_forever()
"""


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[StackSettings]:
    chosen = StackSettings(
        state_dir=tmp_path / "state", port_base=free_port_base(tmp_path), services=()
    )
    yield chosen
    state = open_state(chosen.state_dir)
    end_strays(state.credentials.stack_id)


def free_port_base(tmp_path: Path) -> int:
    """A base from which every port of the stack is free now."""
    state = open_state(tmp_path / "probe")
    while True:
        settings = StackSettings(port_base=random.randrange(12_000, 30_000))
        claims = claims_of(build_table(settings, state), settings)
        if all(is_free(claim.port, "127.0.0.1") for claim in claims):
            return settings.port_base


def open_stack(settings: StackSettings, *services: Process) -> Stack:
    state = open_state(settings.state_dir)
    return Stack(settings, state, (*build_table(settings, state), *services))


def service(settings: StackSettings, *program: str) -> Process:
    port = settings.port_base + 1
    return Process(
        name="service",
        command=(sys.executable, *(program or served(settings))),
        port=port,
        port_variable="DR_SERVICE_PORT",
        ready_url=f"http://127.0.0.1:{port}/readyz",
    )


def served(settings: StackSettings, *missing: str) -> tuple[str, ...]:
    """A service that answers its probes, saying that it misses the given things."""
    file = settings.state_dir.parent / "service.py"
    file.write_text(SERVICE)
    return (str(file), str(settings.port_base + 1), *missing)


def pids(stack: Stack) -> dict[str, int]:
    return {report.name: report.pid for report in stack.report()}


def end_at_once(pid: int) -> None:
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    process.wait(10)


@contextlib.asynccontextmanager
async def s3_of(stack: Stack):
    variables = variables_of(stack.settings, stack.state)
    async with get_session().create_client(
        "s3",
        endpoint_url=variables["DR_S3_ENDPOINT"],
        aws_access_key_id=variables["DR_S3_ACCESS_KEY"],
        aws_secret_access_key=variables["DR_S3_SECRET_KEY"],
        region_name=variables["DR_S3_REGION"],
    ) as client:
        yield client


@contextlib.asynccontextmanager
async def nats_of(stack: Stack):
    connection = await nats.connect(variables_of(stack.settings, stack.state)["DR_NATS_URL"])
    try:
        yield connection
    finally:
        await connection.close()


async def store_something(stack: Stack) -> None:
    async with nats_of(stack) as connection:
        stream = connection.jetstream()
        await stream.add_stream(name="KEPT", subjects=["kept.>"])
        await stream.publish("kept.message", b"on the bus")
    async with s3_of(stack) as client:
        await client.put_object(Bucket="slipstream", Key="kept", Body=b"in the store")


async def read_it_again(stack: Stack) -> tuple[bytes, bytes]:
    async with nats_of(stack) as connection:
        message = await connection.jetstream().get_msg("KEPT", 1)
    async with s3_of(stack) as client:
        answer = await client.get_object(Bucket="slipstream", Key="kept")
        return message.data or b"", await answer["Body"].read()


async def test_data_survive_down_and_up_also_on_other_ports(
    settings: StackSettings, tmp_path: Path
) -> None:
    stack = open_stack(settings)
    assert not stack.start(Progress()).was_up
    await store_something(stack)
    assert stack.stop()
    assert not stack.is_running

    moved = settings.model_copy(update={"port_base": free_port_base(tmp_path)})
    again = open_stack(moved)
    again.start(Progress())
    assert await read_it_again(again) == (b"on the bus", b"in the store")


def test_the_bus_refuses_who_has_no_password(settings: StackSettings) -> None:
    stack = open_stack(settings)
    stack.start(Progress())
    with socket.create_connection(("127.0.0.1", nats_port(settings))) as connection:
        connection.sendall(b"CONNECT {}\r\nPING\r\n")
        answers = connection.makefile("rb").read()
    assert b"Authorization Violation" in answers
    assert b"PONG" not in answers


async def test_what_is_killed_is_restarted_with_its_data(settings: StackSettings) -> None:
    stack = open_stack(settings, service(settings))
    stack.start(Progress())
    await store_something(stack)
    before = pids(stack)
    for pid in before.values():
        end_at_once(pid)

    stack.start(Progress())  # waits until all are ready
    assert await read_it_again(stack) == (b"on the bus", b"in the store")
    after = pids(stack)
    assert all(after[name] != before[name] for name in before)
    assert {report.crashes for report in stack.report()} == {1}


def test_a_second_start_is_harmless(settings: StackSettings) -> None:
    stack = open_stack(settings, service(settings))
    stack.start(Progress())
    before = pids(stack)
    ready: list[str] = []
    said: list[str] = []
    # As from another shell, whose environment does not say that there is the service.
    report = open_stack(settings).start(
        Progress(on_note=said.append, on_ready=lambda process: ready.append(process.name))
    )
    assert "it runs with the settings of its start" in said[0]
    assert report.was_up
    assert ready == ["nats", "s3", "service"]
    assert pids(stack) == before


@pytest.mark.slow
def test_a_start_after_the_supervisor_was_killed_ends_what_it_left(settings: StackSettings) -> None:
    stack = open_stack(settings, service(settings))
    stack.start(Progress())
    before = pids(stack)
    supervisor = stack.supervisor.pid()
    assert supervisor
    end_at_once(supervisor)

    said: list[str] = []
    open_stack(settings, service(settings)).start(Progress(on_note=said.append))
    assert re.fullmatch(r"ended \d processes left over from an earlier start", *said)
    assert not any(psutil.pid_exists(pid) for pid in before.values())


def test_a_restart_takes_one_process_and_spares_the_others(settings: StackSettings) -> None:
    stack = open_stack(settings, service(settings))
    stack.start(Progress())
    before = pids(stack)
    assert stack.restart("service", Progress()) == ["service"]
    after = pids(stack)
    assert after["service"] != before["service"]
    assert (after["nats"], after["s3"]) == (before["nats"], before["s3"])
    with pytest.raises(NotFound, match="no process is called 'serfice'; there are: nats, s3, serv"):
        stack.restart("serfice", Progress())


def test_a_port_in_use_is_named_with_who_wants_it_and_what_moves_it(
    settings: StackSettings,
) -> None:
    with socket.create_server(("127.0.0.1", settings.port_base + 1)):
        stack = open_stack(settings, service(settings))
        with pytest.raises(Conflict) as caught:
            stack.start(Progress())
    message = str(caught.value)
    assert f"port {settings.port_base + 1} is in use by" in message
    assert f"(pid {os.getpid()}); service wants it" in message
    assert "set DR_SERVICE_PORT" in message
    assert "DR_PORT_BASE" in message
    assert not stack.is_running


def test_a_service_that_cannot_start_is_named_and_nothing_is_left_running(
    settings: StackSettings,
) -> None:
    program = ("-c", "import sys; print('no such track'); sys.exit(3)")
    stack = open_stack(settings, service(settings, *program))
    with pytest.raises(StartupFailed) as caught:
        stack.start(Progress())
    assert "service: ended with exit code 3" in str(caught.value)
    assert "no such track" in str(caught.value)
    assert not stack.is_running


@pytest.mark.slow
def test_a_service_that_crashes_again_and_again_is_given_up(settings: StackSettings) -> None:
    program = ("-c", "raise RuntimeError('a wheel came off')")
    stack = open_stack(settings, service(settings, *program))
    with pytest.raises(StartupFailed, match=r"service: crashed \d+ times(.|\n)*a wheel came off"):
        stack.start(Progress())


@pytest.mark.slow
def test_a_service_that_is_never_ready_says_what_it_misses(settings: StackSettings) -> None:
    hasty = settings.model_copy(update={"ready_deadline_s": 3.0})
    program = served(settings, "the bus is not connected")
    stack = open_stack(hasty, service(settings, *program))
    with pytest.raises(StartupFailed) as caught:
        stack.start(Progress())
    assert "service: not ready" in str(caught.value)
    assert "(the bus is not connected)" in str(caught.value)
    assert "the service says hello" in str(caught.value)


def test_the_verbs_work_from_a_shell_that_waits_for_the_end_of_output(
    settings: StackSettings,
) -> None:
    environment = child_environment(
        {
            "DR_STATE_DIR": str(settings.state_dir),
            "DR_PORT_BASE": str(settings.port_base),
            "DR_SERVICES": "",
        }
    )

    def slipstream(*arguments: str) -> subprocess.CompletedProcess[str]:
        # Hangs where a daemon keeps the pipe open, which is what this test is about.
        return subprocess.run(
            [sys.executable, "-m", "libs.cli", *arguments],
            env=environment,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
        )

    assert slipstream("status").returncode == 3

    up = slipstream("up", "--json")
    assert up.returncode == 0, up.stderr
    document = json.loads(up.stdout)
    assert document["was_up"] is False
    assert [process["name"] for process in document["processes"]] == ["nats", "s3"]
    secrets = open_state(settings.state_dir).credentials
    assert (
        secrets.nats_password
        not in up.stdout + settings.state_dir.joinpath("stack.json").read_text()
    )

    status = slipstream("status", "--json")
    assert status.returncode == 0
    assert all(process["ready"] for process in json.loads(status.stdout)["processes"])

    logs = slipstream("logs", "nats", "--json")
    assert any("Server is ready" in json.loads(line)["line"] for line in logs.stdout.splitlines())

    again = slipstream("up")
    assert "already up" in again.stdout

    assert slipstream("down").returncode == 0
    assert "nothing was running" in slipstream("down").stdout
