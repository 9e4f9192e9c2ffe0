"""
MuJoCo: a car of DeepRacer's size on the track as a textured plane, a camera at DeepRacer's place.

    MUJOCO_GL=egl python -m tests.bench.peers.mujoco_car TRACK

One step is 15 Hz of physics in sub-steps of 5.1 ms, the largest that keep the wheels quiet, and one
RGB picture of 160x120. It is given no track geometry, rules or rewards to work out.
"""

import io
import math
import sys

import mujoco
import numpy as np
from PIL import Image

from libs.common.tracks import Track
from services.simulator.track_choice import choose_track
from services.simulator.vehicle import CONTROL_HZ
from services.simulator.world import draw_world
from tests.bench.peers.turns import serve

WIDTH, HEIGHT = 160, 120
SUBSTEPS = 13
EPISODE_STEPS = 50
STEERING_RAD = np.radians([-30, -15, 0, 15, 30])
WHEEL_RAD_PS = 1.5 / 0.035
FOV_RAD, PITCH_DOWN_RAD = 1.13, math.radians(15)  # of DeepRacer's camera

CAR = """
<mujoco>
  <compiler angle="radian"/>
  <option timestep="{timestep_s}" integrator="implicitfast"/>
  <default>
    <joint armature="0.0005" damping="0.002"/>
    <geom friction="1 .005 .0001"/>
    <default class="wheel">
      <geom type="cylinder" size=".035 .0225" euler="1.5708 0 0" mass=".34055" rgba=".1 .1 .1 1"/>
    </default>
  </default>
  <visual><quality shadowsize="0" offsamples="0"/></visual>
  <asset>
    <texture name="track" type="2d" file="track.png"/>
    <material name="track" texture="track" texuniform="false" specular="0" reflectance="0"/>
  </asset>
  <worldbody>
    <light pos="0 0 8" dir="0 0 -1" castshadow="false" directional="true"/>
    <geom type="plane" size="{half_x_m} {half_y_m} .1" pos="{middle_x_m} {middle_y_m} 0"
          material="track"/>
    <body name="car" pos="{x_m} {y_m} .04" euler="0 0 {heading_rad}">
      <freejoint/>
      <geom type="box" size=".14 .05 .03" pos="0 0 .03" mass="5" rgba=".2 .2 .2 1"/>
      <camera name="front" pos=".1453 0 .0903" fovy="{fovy_deg}"
              xyaxes="0 -1 0 {up_x} 0 {up_z}"/>
      <body pos="-.081663 .08105 0">
        <joint name="rear_left" axis="0 1 0"/><geom class="wheel"/></body>
      <body pos="-.081663 -.08105 0">
        <joint name="rear_right" axis="0 1 0"/><geom class="wheel"/></body>
      <body pos=".082311 .0796 0">
        <joint name="steer_left" axis="0 0 1" range="-1 1"/>
        <joint axis="0 1 0"/><geom class="wheel"/></body>
      <body pos=".082311 -.0796 0">
        <joint name="steer_right" axis="0 0 1" range="-1 1"/>
        <joint axis="0 1 0"/><geom class="wheel"/></body>
    </body>
  </worldbody>
  <actuator>
    <position joint="steer_left" kp="1" kv=".05"/>
    <position joint="steer_right" kp="1" kv=".05"/>
    <velocity joint="rear_left" kv=".02"/>
    <velocity joint="rear_right" kv=".02"/>
  </actuator>
</mujoco>
"""


class MujocoCar:
    """One car that drives at random, begun anew every `EPISODE_STEPS` steps."""

    def __init__(self, track: Track, seed: int = 0) -> None:
        self._model = load_model(track)
        self._data = mujoco.MjData(self._model)
        self._renderer = mujoco.Renderer(self._model, HEIGHT, WIDTH)
        self._random = np.random.default_rng(seed)
        self._steps = 0
        self.picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)

    def step(self) -> int:
        """One camera step."""
        if self._steps % EPISODE_STEPS == 0:
            mujoco.mj_resetData(self._model, self._data)
        self._steps += 1
        self._data.ctrl[:2] = self._random.choice(STEERING_RAD)
        self._data.ctrl[2:] = WHEEL_RAD_PS
        mujoco.mj_step(self._model, self._data, SUBSTEPS)
        self._renderer.update_scene(self._data, camera="front")
        self._renderer.render(out=self.picture)
        return 1


def load_model(track: Track) -> mujoco.MjModel:
    """The car at the start of the track."""
    world = draw_world(track)
    rows, columns = 2**world.height_log2, 2**world.width_log2
    half_x_m, half_y_m = columns / world.texels_per_m / 2, rows / world.texels_per_m / 2
    (x_m, y_m), heading_rad = track.points_at(0.0)[0], track.headings_at(0.0)[0]
    xml = CAR.format(
        timestep_s=1 / CONTROL_HZ / SUBSTEPS,
        half_x_m=half_x_m,
        half_y_m=half_y_m,
        middle_x_m=world.x_min_m + half_x_m,
        middle_y_m=world.y_min_m + half_y_m,
        x_m=x_m,
        y_m=y_m,
        heading_rad=heading_rad,
        fovy_deg=math.degrees(2 * math.atan(math.tan(FOV_RAD / 2) * HEIGHT / WIDTH)),
        up_x=math.sin(PITCH_DOWN_RAD),
        up_z=math.cos(PITCH_DOWN_RAD),
    )
    picture = world.texture.reshape(rows, columns)[::-1]  # its first row is the furthest
    return mujoco.MjModel.from_xml_string(xml, {"track.png": png_of(picture)})


def png_of(picture: np.ndarray) -> bytes:
    """A grey picture (height, width) as an RGB file."""
    file = io.BytesIO()
    Image.fromarray(picture).convert("RGB").save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    car = MujocoCar(choose_track(sys.argv[1]))
    serve(f"MuJoCo {mujoco.__version__}", car.step)
