"""Which actions the policy took, in words and shares."""

from libs.common.deepracer.metadata import ModelMetadata
from services.streamer.action_use import action_use

DISCRETE = ModelMetadata.model_validate(
    {
        "action_space": [
            {"steering_angle": angle, "speed": 1.5, "index": index}
            for index, angle in enumerate((-30, 0, 12.5))
        ]
    }
)
CONTINUOUS = ModelMetadata.model_validate(
    {
        "action_space": {
            "steering_angle": {"low": -30, "high": 30},
            "speed": {"low": 1, "high": 2},
        },
        "action_space_type": "continuous",
    }
)


def test_discrete_actions_have_their_shares_by_name() -> None:
    use = action_use(DISCRETE, (1, 2, 1))
    assert [(each.label, each.share) for each in use] == [
        ("30° right, 1.5 m/s", 0.25),
        ("straight, 1.5 m/s", 0.5),
        ("12.5° left, 1.5 m/s", 0.25),
    ]


def test_each_continuous_action_has_shares_of_its_own() -> None:
    use = action_use(CONTINUOUS, (*[0] * 9, 4, 1, 3, *[0] * 8))
    assert [(each.label, each.share) for each in use if each.share] == [
        ("24 to 30°", 1.0),
        ("1 to 1.1 m/s", 0.25),
        ("1.1 to 1.2 m/s", 0.75),
    ]


def test_nothing_is_told_of_counts_that_are_none_or_of_another_space() -> None:
    for counts in ((), (0, 0, 0), (1, 2)):
        assert action_use(DISCRETE, counts) == []
    assert action_use(CONTINUOUS, ()) == []
