"""What viewers get of a rollout: poses of all cars, and the first one's camera."""

import asyncio
import io

from PIL import Image

from libs.common.bus import Bus
from libs.common.events import CameraSeen, CarsMoved, CollectRollout, PolicyView
from services.simulator.rollout import Rollout

WIDTH_PX, HEIGHT_PX = 320, 240


async def show(
    bus: Bus, command: CollectRollout, rollout: Rollout, policy: PolicyView | None
) -> None:
    """Publish where the cars are, what the first one sees, and what the policy makes of it."""
    await bus.publish(
        CarsMoved(run_id=command.run_id, rollout_id=command.rollout_id, cars=rollout.poses())
    )
    if command.cars[0] != 0:  # one camera for each run is enough
        return
    jpeg = await asyncio.to_thread(_picture, rollout)
    await bus.publish(
        CameraSeen(
            run_id=command.run_id,
            car=0,
            width=WIDTH_PX,
            height=HEIGHT_PX,
            jpeg=jpeg,
            policy=policy,
        )
    )


def _picture(rollout: Rollout) -> bytes:
    buffer = io.BytesIO()
    picture = rollout.picture(WIDTH_PX, HEIGHT_PX)
    Image.fromarray(picture).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
