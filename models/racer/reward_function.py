"""
Be quick, and stay on the road.

A step earns the way it gained along the road: 1 for what a car makes at 4 m/s. Leaving the road
costs what a race takes for it, 2 seconds of waiting, beside the rest of the lap, which is lost.
"""

METRES_OF_A_STEP = 4.0 / 15  # the fastest car, at 15 camera steps a second
STEPS_LOST_OFF_TRACK = 15.0

last_progress = 0.0


def reward_function(params):
    global last_progress
    if params["steps"] <= 1:
        last_progress = params["progress"]  # the car's nose is ahead of the line where it starts
    gained = params["progress"] - last_progress
    last_progress = params["progress"]
    if gained < -50:  # over the line, in a race of several laps
        gained += 100
    reward = gained / 100 * params["track_length"] / METRES_OF_A_STEP
    if params["is_offtrack"]:
        reward -= STEPS_LOST_OFF_TRACK
    return reward
