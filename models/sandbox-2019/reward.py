"""The form of 2019: the same function in `reward.py`, with the action's index in `params`."""


def reward_function(params):
    if not params["all_wheels_on_track"]:
        return 1e-3

    # How much of the half width is between the car and the border.
    half_width_m = params["track_width"] / 2
    reward = 1 - params["distance_from_center"] / half_width_m

    # Action 2 is straight on: a little more, so that the car does not weave.
    if params["action"] == 2:
        reward *= 1.1
    return float(max(reward, 1e-3))
