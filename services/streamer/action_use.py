"""How often each action was chosen in the last iteration."""

from collections.abc import Sequence

from libs.common.deepracer.metadata import ContinuousActionSpace, ModelMetadata
from services.streamer.shown import Shown


class ActionUse(Shown):
    """One action, or one tenth of a continuous one's range."""

    label: str
    share: float  # 0..1 of all choices; of a continuous action, of its own


def action_use(metadata: ModelMetadata, counts: Sequence[int]) -> list[ActionUse]:
    """A line for each action; none where nothing was counted, or by another action space."""
    space = metadata.action_space
    if isinstance(space, ContinuousActionSpace):
        tenths = len(counts) // 2
        ranges = (
            (space.steering_angle.low, space.steering_angle.high, "°"),
            (space.speed.low, space.speed.high, " m/s"),
        )
        parts = (counts[:tenths], counts[tenths:])
        return [
            use
            for (low, high, unit), part in zip(ranges, parts, strict=True)
            for use in _tenths(low, high, unit, part)
        ]
    if len(counts) != len(space):
        return []
    labels = [f"{_side(action.steering_angle)}, {action.speed:g} m/s" for action in space]
    return _shares(labels, counts)


def _tenths(low: float, high: float, unit: str, counts: Sequence[int]) -> list[ActionUse]:
    width = (high - low) / max(len(counts), 1)
    starts = [low + width * number for number in range(len(counts))]
    return _shares([f"{start:.3g} to {start + width:.3g}{unit}" for start in starts], counts)


def _shares(labels: Sequence[str], counts: Sequence[int]) -> list[ActionUse]:
    total = sum(counts)
    if total == 0:
        return []
    return [
        ActionUse(label=label, share=count / total)
        for label, count in zip(labels, counts, strict=True)
    ]


def _side(angle_deg: float) -> str:
    if angle_deg == 0:
        return "straight"
    return f"{abs(angle_deg):g}° {'left' if angle_deg > 0 else 'right'}"
