"""Stay near the centre line, and steer no more than the road asks for."""


def reward_function(params):
    if params["is_offtrack"]:
        return 1e-3

    # 1 on the centre line, 0 at the border.
    half_width_m = params["track_width"] / 2
    centred = max(1 - params["distance_from_center"] / half_width_m, 0.0)

    # Continuous actions tend to swing: full steering costs a third.
    smooth = 1 - abs(params["steering_angle"]) / 90

    return float(max(centred**2 * smooth * params["speed"], 1e-3))
