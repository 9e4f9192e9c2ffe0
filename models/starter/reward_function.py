"""Stay near the centre line: three bands, the closer the better."""


def reward_function(params):
    # How far the car is from the centre line, and how wide the road is here: metres.
    distance_m = params["distance_from_center"]
    width_m = params["track_width"]

    if params["is_offtrack"]:
        return 1e-3
    if distance_m <= 0.1 * width_m:
        return 1.0
    if distance_m <= 0.25 * width_m:
        return 0.5
    if distance_m <= 0.5 * width_m:
        return 0.1
    return 1e-3
