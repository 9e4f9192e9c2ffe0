"""How the car answers: turning circle, lags, grip and its end, symmetry, other cars like it."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.errors import InvalidInput
from services.simulator.vehicle import (
    CAR,
    CONTROL_HZ,
    EFFORT_CONTROLLERS,
    FRONT_AXLE_M,
    KINEMATIC_CONTROLLERS,
    MAX_DELAY_S,
    REAR_AXLE_M,
    Cars,
    drive_car,
    drive_cars,
    dynamics_for,
    vary_dynamics,
    wrap_angle,
)

steering = st.floats(-math.pi / 6, math.pi / 6)
speeds = st.floats(0.1, 4.0)
generations = st.sampled_from([EFFORT_CONTROLLERS, KINEMATIC_CONTROLLERS])
both = pytest.mark.parametrize("dynamics", [EFFORT_CONTROLLERS, KINEMATIC_CONTROLLERS])


def drive(dynamics: np.void, angle_rad: float, speed_mps: float, steps: int) -> Cars:
    """The car after each step of one command, from standing still: (steps,)."""
    cars, states = np.zeros(1, CAR), []
    for _ in range(steps):
        drive_cars(cars, np.array([angle_rad]), np.array([speed_mps]), np.repeat(dynamics, 1))
        states.append(cars.copy())
    return np.concatenate(states)


def same(some: Cars, others: Cars) -> bool:
    """Whether all fields are equal to the bit; what lies between them is nobody's."""
    return all(some[name].tobytes() == others[name].tobytes() for name in CAR.names or ())


def side_slip_rad(car: np.void) -> float:
    return math.atan2(car["lateral_mps"], car["speed_mps"])


@pytest.mark.parametrize(
    ("version", "generation"),
    [(version, EFFORT_CONTROLLERS) for version in "1234"]
    + [(version, KINEMATIC_CONTROLLERS) for version in "56"],
)
def test_the_version_of_the_metadata_picks_the_dynamics(version: str, generation: np.void) -> None:
    assert dynamics_for(version) == generation


def test_dynamics_that_are_given_out_are_copies() -> None:
    dynamics_for("5")["front_friction"] = 0.0
    assert dynamics_for("5") == KINEMATIC_CONTROLLERS


@both
def test_slow_steady_steering_drives_the_circle_of_a_bicycle(dynamics: np.void) -> None:
    states = drive(dynamics, 0.3, 0.2, 1200)[600:]
    angle = dynamics["steering_gain"] * 0.3 + dynamics["steering_bias_rad"]
    radius_m = math.hypot((FRONT_AXLE_M - REAR_AXLE_M) / math.tan(angle), REAR_AXLE_M)
    assert np.ptp(states["x_m"]) == pytest.approx(2 * radius_m, rel=0.03)
    assert np.ptp(states["y_m"]) == pytest.approx(2 * radius_m, rel=0.03)


@both
def test_straight_ahead_the_car_reaches_the_speed_of_its_wheels(dynamics: np.void) -> None:
    ahead = dynamics.copy()
    ahead["steering_bias_rad"] = 0.0
    last = drive(ahead, 0.0, 1.5, 100)[-1]
    assert last["speed_mps"] == pytest.approx(1.5 * dynamics["speed_gain"])
    assert last["lateral_mps"] == last["yaw_rate_radps"] == last["y_m"] == 0.0


def test_a_lag_has_passed_when_63_per_cent_of_the_command_are_reached() -> None:
    dynamics, car = KINEMATIC_CONTROLLERS.copy(), np.zeros(1, CAR)[0]
    dynamics["steering_delay_s"] = dynamics["steering_lead_lag_s"] = 0.0
    drive_car(car, 0.4, 2.0, dynamics, float(dynamics["steering_lag_s"]))
    assert car["steering_rad"] == pytest.approx((1 - 1 / math.e) * 0.4)


@both
def test_a_car_without_commands_stands_still(dynamics: np.void) -> None:
    last = drive(dynamics, 0.0, 0.0, 20)[-1]
    assert last["x_m"] == last["y_m"] == last["heading_rad"] == 0.0


@settings(deadline=None)
@given(generations, steering, speeds)
def test_left_and_right_mirror_each_other(dynamics: np.void, angle: float, speed: float) -> None:
    mirrored = dynamics.copy()
    mirrored["steering_bias_rad"] *= -1
    left, right = drive(dynamics, angle, speed, 20)[-1], drive(mirrored, -angle, speed, 20)[-1]
    assert left["x_m"] == right["x_m"]
    assert left["y_m"] == -right["y_m"]
    assert left["speed_mps"] == right["speed_mps"]


commands = st.lists(st.tuples(steering, speeds, generations), min_size=2, max_size=9)


@settings(deadline=None)
@given(commands)
def test_a_car_drives_the_same_alone_and_in_company(
    cars_commands: list[tuple[float, float, np.void]],
) -> None:
    angles, wanted, dynamics = (np.array(values) for values in zip(*cars_commands, strict=True))
    together = np.zeros(len(angles), CAR)
    for _ in range(10):
        drive_cars(together, angles, wanted, dynamics)
    for index in range(len(angles)):
        alone = drive(dynamics[index], angles[index], wanted[index], 10)[-1:]
        assert same(alone, together[[index]])


def test_a_car_drives_the_same_whatever_the_number_of_threads() -> None:
    random, cars = np.random.default_rng(7), 64
    angles, wanted = random.uniform(-0.5, 0.5, cars), random.uniform(0.5, 4.0, cars)
    dynamics = np.repeat(KINEMATIC_CONTROLLERS, cars)
    one, many = np.zeros(cars, CAR), np.zeros(cars, CAR)

    def drive_part(part: slice) -> None:
        for _ in range(200):
            drive_cars(many[part], angles[part], wanted[part], dynamics[part])

    drive_part(slice(0, 0))
    for _ in range(200):
        drive_cars(one, angles, wanted, dynamics)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(drive_part, [slice(i, i + 16) for i in range(0, cars, 16)]))
    assert same(one, many)


@settings(deadline=None)
@given(generations, steering, speeds)
def test_no_command_makes_a_car_fly(dynamics: np.void, angle: float, speed: float) -> None:
    fastest_mps = 1.05 * speed
    for car in drive(dynamics, angle, speed, 60):
        assert car["moved_m"] <= fastest_mps / CONTROL_HZ
        assert -math.pi <= car["heading_rad"] <= math.pi
        assert math.hypot(car["speed_mps"], car["lateral_mps"]) <= fastest_mps


@both
@pytest.mark.parametrize("speed_mps", [3.5, 4.0])
def test_a_car_that_is_far_too_fast_for_its_bend_wipes_out(
    dynamics: np.void, speed_mps: float
) -> None:
    cars = drive(dynamics, 0.0, speed_mps, 40)[-1:].copy()
    slips = []
    for _ in range(30):
        drive_cars(cars, np.array([0.5]), np.array([speed_mps]), np.repeat(dynamics, 1))
        slips.append(abs(side_slip_rad(cars[0])))
    assert max(slips) > math.radians(30)


@both
def test_a_slow_car_keeps_its_tail_in_line(dynamics: np.void) -> None:
    slips = [abs(side_slip_rad(car)) for car in drive(dynamics, 0.5, 1.0, 60)[5:]]
    # What is left is geometry: the origin lies ahead of the axle that does not slip.
    assert max(slips) < math.radians(11)


@both
def test_friction_bounds_what_a_bend_can_take(dynamics: np.void) -> None:
    most = max(dynamics["front_friction"], dynamics["rear_friction"]) * 9.81
    for before, after in zip(*(drive(dynamics, 0.5, 4.0, 60)[cut] for cut in CUTS), strict=True):
        turn = wrap_angle(after["heading_rad"] - before["heading_rad"])
        across = after["lateral_mps"] - before["lateral_mps"] + turn * after["speed_mps"]
        assert abs(across) * CONTROL_HZ < 1.3 * most


CUTS = slice(None, -1), slice(1, None)


@settings(deadline=None)
@given(st.floats(-1000, 1000))
def test_wrapping_keeps_the_direction(angle: float) -> None:
    wrapped = wrap_angle(angle)
    assert -math.pi <= wrapped <= math.pi
    assert math.cos(wrapped) == pytest.approx(math.cos(angle), abs=1e-9)
    assert math.sin(wrapped) == pytest.approx(math.sin(angle), abs=1e-9)


def test_steering_stops_at_the_hinge() -> None:
    at_stop, beyond = (drive(KINEMATIC_CONTROLLERS, angle, 1.0, 20) for angle in (1.0, 1.5))
    assert same(at_stop, beyond)


@both
def test_factors_of_one_change_nothing(dynamics: np.void) -> None:
    assert vary_dynamics(dynamics) == dynamics


@both
def test_less_friction_carries_a_fast_car_wide(dynamics: np.void) -> None:
    gone_left_m = [
        drive(vary_dynamics(dynamics, friction=factor), 0.3, 3.0, 20)[-1]["y_m"]
        for factor in (0.25, 0.5, 0.75)
    ]
    assert gone_left_m == sorted(gone_left_m)
    assert gone_left_m[0] < 0.8 * gone_left_m[-1]


@both
def test_a_heavier_car_takes_longer_to_its_speed(dynamics: np.void) -> None:
    gone = [
        drive(vary_dynamics(dynamics, mass=factor), 0.0, 2.0, 6)[-1]["x_m"]
        for factor in (1.5, 1.2, 1.0, 0.8)
    ]
    assert gone == sorted(gone)
    assert gone[0] < gone[-1]


@both
def test_longer_lags_turn_a_car_later(dynamics: np.void) -> None:
    turned = [
        drive(vary_dynamics(dynamics, lag=factor), 0.4, 1.0, 8)[-1]["heading_rad"]
        for factor in (1.5, 1.2, 1.0, 0.8)
    ]
    assert turned == sorted(turned)


@both
def test_a_delay_of_one_step_is_a_command_that_comes_one_step_later(dynamics: np.void) -> None:
    delayed = drive(vary_dynamics(dynamics, action_delay_s=1 / CONTROL_HZ), 0.4, 1.0, 11)[-1]
    prompt = drive(dynamics, 0.4, 1.0, 10)[-1]
    for name in ("x_m", "y_m", "heading_rad", "speed_mps"):
        assert delayed[name] == pytest.approx(prompt[name], abs=1e-3)


@both
def test_a_delay_acts_between_whole_steps(dynamics: np.void) -> None:
    gone = [
        drive(vary_dynamics(dynamics, action_delay_s=delay_s), 0.0, 1.5, 6)[-1]["x_m"]
        for delay_s in (0.15, 0.1, 0.07, 0.05, 0.03, 0.0)
    ]
    assert gone == sorted(gone)
    assert len(set(gone)) == len(gone)


def test_variations_that_no_car_can_drive_are_refused_all_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        vary_dynamics(
            KINEMATIC_CONTROLLERS, friction=0.0, mass=-1.0, lag=math.nan, action_delay_s=MAX_DELAY_S
        )
    text = str(refused.value)
    for part in ("friction factor 0.0", "mass factor -1.0", "lag factor nan", "action_delay_s 0.2"):
        assert part in text
