"""The process table and what its processes are told."""

import configparser
from pathlib import Path

import pytest

from libs.cli.config import HIGHEST_PORT_BASE, SERVICES, StackSettings, load_settings
from libs.cli.output import WrongUsage
from libs.cli.stack.description import claims_of, describe, find_api_url, variables_of
from libs.cli.stack.ports import PortClaim, check_ports
from libs.cli.stack.processes import Process, build_table
from libs.cli.stack.state import StateFolder, open_state, write_private
from libs.cli.stack.supervision import count_crashes, render_programs
from libs.common.errors import Conflict


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return open_state(tmp_path / "state")


def ports_of(settings: StackSettings, state: StateFolder) -> dict[str, int]:
    return {process.name: process.port for process in build_table(settings, state)}


def test_every_port_follows_from_the_base(state: StateFolder) -> None:
    assert ports_of(StackSettings(port_base=9000, simulators=2), state) == {
        "nats": 9022,
        "s3": 9033,
        "trainer": 9001,
        "simulator-1": 9010,
        "simulator-2": 9011,
        "logger": 9002,
        "uploader": 9003,
        "streamer": 9004,
        "submitter": 9005,
    }


def test_one_port_can_be_moved_alone(state: StateFolder) -> None:
    ports = ports_of(StackSettings(port_base=9000, trainer_port=80, nats_port=4222), state)
    assert (ports["trainer"], ports["nats"], ports["logger"]) == (80, 4222, 9002)


@pytest.mark.parametrize("simulators", [0, 1, 12])
def test_no_port_is_claimed_twice_nor_out_of_range(state: StateFolder, simulators: int) -> None:
    settings = StackSettings(port_base=HIGHEST_PORT_BASE, simulators=simulators)
    ports = [claim.port for claim in claims_of(build_table(settings, state), settings)]
    assert len(set(ports)) == len(ports)
    assert max(ports) == 65_535


def test_two_processes_on_one_port_are_both_named() -> None:
    claims = [
        PortClaim(1, "trainer", "DR_TRAINER_PORT"),
        PortClaim(1, "logger", "DR_LOGGER_PORT"),
    ]
    with pytest.raises(Conflict, match="claimed by both trainer .* and logger"):
        check_ports(claims, "127.0.0.1", 7400)


def test_a_server_from_outside_takes_the_place_of_the_embedded_one(state: StateFolder) -> None:
    settings = StackSettings(nats_url="nats://me:secret@far:4222", services=("trainer",))
    table = build_table(settings, state)
    assert [process.name for process in table] == ["s3", "trainer"]
    assert "DR_NATS_URL" not in variables_of(settings, state)  # it is in the environment already
    assert describe(table, settings).urls["nats"] == "nats://far:4222"

    both = settings.model_copy(update={"s3_endpoint": "https://s3.example"})
    assert [process.name for process in build_table(both, state)] == ["trainer"]
    assert "DR_S3_SECRET_KEY" not in variables_of(both, state)


def test_the_services_are_told_where_everything_is(state: StateFolder) -> None:
    variables = variables_of(StackSettings(port_base=9000), state)
    credentials = state.credentials
    expected = f"nats://slipstream:{credentials.nats_password}@127.0.0.1:9022"
    assert variables["DR_NATS_URL"] == expected
    assert variables["DR_S3_ENDPOINT"] == "http://127.0.0.1:9033"
    assert variables["DR_S3_ACCESS_KEY"] == credentials.s3_access_key
    assert variables["DR_STATE_DIR"] == str(state.path)


def test_no_secret_is_on_a_command_line_nor_in_the_description(state: StateFolder) -> None:
    settings = StackSettings()
    table = build_table(settings, state)
    written = render_programs(table, state) + describe(table, settings).model_dump_json()
    secrets = state.credentials
    for secret in (secrets.nats_password, secrets.s3_secret_key, secrets.supervisor_password):
        assert secret not in written


def test_program_sections_survive_awkward_values(tmp_path: Path) -> None:
    state = open_state(tmp_path / "100 % sure")
    process = Process(
        name="odd",
        command=("/bin/echo", "it's 5 % off", "plain"),
        directory=state.path,
        port=1,
        port_variable="DR_ODD_PORT",
        ready_url="http://127.0.0.1:1/",
        environment={"DR_ODD": "50 %"},
    )
    parser = configparser.RawConfigParser()
    parser.read_string(render_programs([process], state))
    program = parser["program:odd"]
    assert program["command"] == "/bin/echo 'it'\"'\"'s 5 %% off' plain"
    assert program["environment"] == 'DR_ODD="50 %%"'
    assert program["directory"].endswith("100 %% sure")


def test_the_command_line_finds_the_stack_that_was_started_last(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = StackSettings(state_dir=state.path, port_base=9000)
    description = describe(build_table(started, state), started)
    write_private(state.description, description.model_dump_json())
    now = StackSettings(state_dir=state.path)
    assert find_api_url(now) == "http://127.0.0.1:9001"
    elsewhere = now.model_copy(update={"api_url": "https://far.example/"})
    assert find_api_url(elsewhere) == "https://far.example"
    assert find_api_url(StackSettings(state_dir=state.path / "none")) == "http://127.0.0.1:7401"


def test_only_unexpected_ends_since_the_last_start_count_as_crashes(tmp_path: Path) -> None:
    log = tmp_path / "supervisor.log"
    log.write_text(
        "WARN exited: nats (terminated by SIGKILL; not expected)\n"
        "INFO supervisord started with pid 7\n"
        "WARN exited: trainer (exit status 1; not expected)\n"
        "WARN exited: simulator-1 (terminated by SIGKILL; not expected)\n"
        "WARN exited: simulator-1 (terminated by SIGKILL; not expected)\n"
        "INFO exited: logger (exit status 3; expected)\n"
    )
    assert count_crashes(log) == {"trainer": 1, "simulator-1": 2}
    assert not count_crashes(tmp_path / "none.log")


def test_all_services_run_unless_some_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().services == SERVICES
    monkeypatch.setenv("DR_SERVICES", "simulator, logger")
    assert load_settings().services == ("simulator", "logger")
    monkeypatch.setenv("DR_SERVICES", "")
    assert load_settings().services == ()


def test_every_wrong_variable_is_named_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DR_PORT_BASE", "80")
    monkeypatch.setenv("DR_SERVICES", "trainer,coach")
    monkeypatch.setenv("DR_SIMULATORS", "many")
    with pytest.raises(WrongUsage) as caught:
        load_settings()
    base, services, simulators = caught.value.problems
    assert "DR_PORT_BASE" in base
    assert "'80'" in base
    assert "unknown: coach; accepted: trainer, simulator" in services
    assert "'many'" in simulators
