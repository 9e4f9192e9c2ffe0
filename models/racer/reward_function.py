"""Drive fast: what counts is the progress of every step, and that the lap is completed."""

import math

FASTEST_MPS = 3.5
STEPS_OF_A_GOOD_LAP_PER_M = 15 / 2.0  # 15 camera steps a second at 2 m/s


def reward_function(params):
    if params["is_offtrack"]:
        return 1e-3

    # Progress per step against that of a good lap: 1 when the car is as fast as that.
    good_steps = params["track_length"] * STEPS_OF_A_GOOD_LAP_PER_M
    pace = 0.0
    if params["steps"] > 0:
        pace = (params["progress"] / 100) / (params["steps"] / good_steps)

    speed = params["speed"] / FASTEST_MPS
    reward = 0.5 * min(pace, 2.0) + speed**2 * facing(params)

    if not params["all_wheels_on_track"]:
        reward *= 0.2
    if params["progress"] >= 100:
        reward += 10 * min(pace, 2.0)
    return float(max(reward, 1e-3))


def facing(params):
    """1 along the road, 0 across it, never below 0."""
    waypoints = params["waypoints"]
    before, after = (waypoints[index] for index in params["closest_waypoints"])
    road = math.atan2(after[1] - before[1], after[0] - before[0])
    return max(math.cos(road - math.radians(params["heading"])), 0.0)
