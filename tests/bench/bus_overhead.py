"""
What the bus costs: the same training loop in one process and over NATS, turn about in one run.

    python -m tests.bench.bus_overhead

Both drive the same cars with the same seeds through the same learner, reward function in its child
process included. Over the bus a simulator process asks for every step's actions and publishes its
episodes to JetStream. The figure is the median of the wall-clock ratios of adjacent runs.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import stamina.instrumentation
from rich.console import Console
from rich.table import Table

from libs.common.bus import Bus
from libs.common.deepracer.folder import read_run_directory
from libs.common.deepracer.run_spec import RunSpec
from libs.common.events import ActionReply, ActionRequest, CollectRollout, TrackRef
from libs.common.observations import sensors_of
from libs.common.tracks import load_built_in
from services.simulator.rollout import Rollout
from services.trainer.learner import Learner
from services.trainer.lockstep import Lockstep, rollout_name
from services.trainer.network import configure_threads
from tests.servers import NatsServer, S3Server, ServerSettings
from tests.service_process import ServiceProcess

STARTER = Path(__file__).parents[2] / "models" / "starter"
UPDATES = 12
ROUNDS = 5
EMBEDDED = ServerSettings(kind="embedded")  # a container would put a proxy into what is measured


def command(spec: RunSpec, number: int) -> CollectRollout:
    """The rollout of round `number`, the same in both loops."""
    cars = tuple(range(spec.hyperparameters.cars))
    name = rollout_name(spec.name, 1, number)
    return CollectRollout(
        id=name,
        run_id=spec.name,
        rollout_id=name,
        track=TrackRef(name=spec.track),
        race=spec.race,
        metadata=spec.metadata,
        reward_function=spec.reward_function,
        cars=cars,
        seeds=tuple(spec.seed + car for car in cars),
    )


def in_one_process(spec: RunSpec, learner: Learner, number: int) -> float:
    """Seconds for `UPDATES` updates without a bus."""
    track = load_built_in(spec.track)
    with Rollout(command(spec, number), track) as rollout:
        goal, began = learner.state.updates + UPDATES, time.perf_counter()
        learner.begin_rollout()
        while learner.state.updates < goal:
            decision = learner.act(rollout.observations(), rollout.steps)
            rollout.step(
                ActionReply(
                    run_id=spec.name,
                    rollout_id=spec.name,
                    step=0,
                    actions=decision.actions,
                    episodes=decision.episodes,
                    iteration=decision.iteration,
                )
            )
        return time.perf_counter() - began


async def over_the_bus(
    spec: RunSpec, learner: Learner, number: int, bus: Bus, lockstep: Lockstep
) -> float:
    """Seconds for the same with a simulator behind NATS, counted from its first request."""
    order = command(spec, number)
    lockstep.open([(order.rollout_id, slice(0, len(order.cars)))])
    await bus.publish(order)
    turn = await lockstep.turn()
    goal, began = learner.state.updates + UPDATES, time.perf_counter()
    learner.begin_rollout()
    while learner.state.updates < goal:
        decision = await asyncio.to_thread(learner.act, turn.observations, turn.steps)
        lockstep.reply(turn, decision.actions, decision.episodes, decision.iteration)
        turn = await lockstep.turn()
    return time.perf_counter() - began


def new_learner(spec: RunSpec) -> Learner:
    """Both loops begin with the same weights."""
    learner = Learner(spec)
    learner.compile()
    return learner


async def measure(spec: RunSpec, nats: NatsServer) -> list[tuple[float, float]]:
    """Seconds of each round: (one process, over the bus)."""
    bus = await Bus.connect(nats.url, "trainer", "bench")
    lockstep = Lockstep(spec.name, sensors_of(spec.metadata))
    await bus.serve(ActionRequest, lockstep.on_request, spec.name)
    alone, together = new_learner(spec), new_learner(spec)
    rounds = []
    for number in range(ROUNDS + 1):
        one = await asyncio.to_thread(in_one_process, spec, alone, number)
        rounds.append((one, await over_the_bus(spec, together, number, bus, lockstep)))
    lockstep.stop()
    await bus.drain(2.0)
    await bus.close()
    return rounds[1:]  # the first round warms up


def main() -> None:
    """Measure and print."""
    stamina.instrumentation.set_on_retry_hooks([])  # waiting for a server is no news here
    configure_threads()
    spec = read_run_directory(STARTER, name="bench").value
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        nats, s3 = (_folder(state, name) for name in ("nats", "s3"))
        servers = NatsServer(nats, EMBEDDED), S3Server(s3, EMBEDDED)
        for server in servers:
            server.start()
        try:
            with ServiceProcess("simulator", *servers, state, bucket="bench"):
                rounds = asyncio.run(measure(spec, servers[0]))
        finally:
            for server in servers:
                server.kill()
    _show(rounds)


def _folder(parent: Path, name: str) -> Path:
    path = parent / name
    path.mkdir()
    return path


def _show(rounds: list[tuple[float, float]]) -> None:
    table = Table(title=f"The bus: {UPDATES} updates of the starter, seconds")
    for column in ("round", "one process", "over the bus", "ratio"):
        table.add_column(column, justify="right")
    for number, (one, bus) in enumerate(rounds, 1):
        table.add_row(str(number), f"{one:.2f}", f"{bus:.2f}", f"{bus / one:.3f}")
    ratio = statistics.median(bus / one for one, bus in rounds)
    table.add_section()
    table.add_row("median", "", "", f"{ratio:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
