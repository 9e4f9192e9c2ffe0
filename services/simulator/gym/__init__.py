"""
The simulator as Gymnasium environments, for any RL library, without the services.

    import gymnasium
    import services.simulator.gym

    environment = gymnasium.make("Slipstream-v1", track="loop")
    environments = gymnasium.make_vec("Slipstream-v1", num_envs=64)

`gymnasium.make("services.simulator.gym:Slipstream-v1")` needs no import before it.
"""

import gymnasium

from services.simulator.gym.single import SlipstreamEnv
from services.simulator.gym.vector import SlipstreamVectorEnv

__all__ = ["ID", "SlipstreamEnv", "SlipstreamVectorEnv"]

ID = "Slipstream-v1"

if ID not in gymnasium.registry:
    gymnasium.register(
        ID,
        entry_point="services.simulator.gym.single:SlipstreamEnv",
        vector_entry_point="services.simulator.gym.vector:SlipstreamVectorEnv",
    )
