"""
The bus: typed messages over NATS. The only package that imports `nats`.

Commands and events go through JetStream: a publish returns when the server has stored the message
and is repeated until then, the message's `id` making repeats harmless. Telemetry is core NATS: it
is sent and forgotten. Handlers are `async def on_x(message)`; what they raise decides:

- a `PlatformError` says that the message can never be handled: it is dead-lettered at once;
- `Unavailable` and anything else may pass: the message comes again, `max_deliver` times, then it
  is dead-lettered.

Every dead letter lies in the stream `DR_DEAD` under `dr.dead.<subject>` and is announced by a
`MessageRejected` event.
"""

from libs.common.bus.connection import Bus, Received
from libs.common.bus.delivery import Kept
from libs.common.bus.records import Records, Row

__all__ = ["Bus", "Kept", "Received", "Records", "Row"]
