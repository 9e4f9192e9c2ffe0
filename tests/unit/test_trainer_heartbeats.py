"""Which services live."""

from libs.common.events import ServiceBeat
from services.trainer.documents import ServiceHealth
from services.trainer.heartbeats import SILENT_S, Heartbeats


def beat(instance: str, url: str) -> ServiceBeat:
    return ServiceBeat(
        service="simulator", instance=instance, ready=True, url=url, started_at_s=0.0
    )


async def test_an_instance_replaces_the_one_that_had_its_address() -> None:
    beats = Heartbeats()
    for instance, url in (("a", "http://h:1"), ("b", "http://h:2"), ("c", "http://h:1")):
        await beats.hear(beat(instance, url))
    assert [item.instance for item, _ in beats.all()] == ["b", "c"]


def test_a_service_that_was_not_heard_for_a_while_is_silent() -> None:
    one = beat("a", "http://h:1")
    assert not ServiceHealth.of(one, SILENT_S - 0.1).silent
    assert ServiceHealth.of(one, SILENT_S + 0.1).silent
