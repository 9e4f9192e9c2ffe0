"""SAC's networks as TensorFlow variables and the graph over them: see `SacBlueprint`."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from services.trainer.architecture import (
    SAC_POLICY,
    SAC_Q,
    SAC_TARGET_V,
    SAC_V,
    SacBlueprint,
)
from services.trainer.distributions import SquashedGaussian
from services.trainer.network import ActorCritic, apply_layer, dense, embed, embed_sensors

VALUE_OUTPUT = "v_values_head_0/output"
Q_NUMBERS = (1, 2)


class SacNetwork(ActorCritic):
    """
    Policy, two action values, state value and its target, drawn anew from a seed.

    Actions are of -1 to 1 throughout. DeepRacer's action values read degrees and m/s instead, so
    that the same variables mean something else there; policy and state value mean the same.
    """

    blueprint: SacBlueprint
    distribution: SquashedGaussian

    def __init__(self, blueprint: SacBlueprint, seed: int, averaging: float = 0.0) -> None:
        super().__init__(blueprint, seed, averaging)
        self._lagging = [name for name in self.variables if name.startswith(f"{SAC_TARGET_V}/")]
        self.follow(1.0)

    @property
    def policy_variables(self) -> list[Any]:
        """Those of the policy."""
        return self._of(SAC_POLICY)

    @property
    def critic_variables(self) -> list[Any]:
        """Those of action values and state value; the target has no gradients."""
        return [*self._of(SAC_Q), *self._of(SAC_V)]

    def q_embeddings(self, inputs: Mapping[str, Any]) -> Any:
        """What both action values see (n, numbers)."""
        return embed_sensors(self.variables, self.blueprint, SAC_Q, inputs)

    def q_values(self, embeddings: Any, actions: Any) -> tuple[Any, Any]:
        """Both values (n,) of actions (n, 2)."""
        first, second = (self._q_value(each, embeddings, actions) for each in Q_NUMBERS)
        return first, second

    def values(self, inputs: Mapping[str, Any]) -> Any:
        """The value (n,) of states."""
        return self._state_values(SAC_V, inputs)

    def target_values(self, inputs: Mapping[str, Any]) -> Any:
        """As `values`, by the network that lags behind."""
        return self._state_values(SAC_TARGET_V, inputs)

    def follow(self, share: float) -> None:
        """Move the target by this share of the way to the network that learns."""
        for name in self._lagging:
            target, source = self.variables[name], self.variables[_followed(name)]
            target.assign_add(share * (source - target))

    def _gains(self) -> dict[str, float]:
        heads = [f"{SAC_Q}/{self.blueprint.q_layers(each)[-1].name}" for each in Q_NUMBERS]
        values = [*heads, f"{SAC_V}/{VALUE_OUTPUT}", f"{SAC_TARGET_V}/{VALUE_OUTPUT}"]
        policy = [self.blueprint.policy_head, str(self.blueprint.spread_head)]
        return dict.fromkeys(values, 1.0) | dict.fromkeys(policy, 0.01)

    def _of(self, network: str) -> list[Any]:
        return [each for name, each in self.variables.items() if name.startswith(f"{network}/")]

    def _q_value(self, number: int, embeddings: Any, actions: Any) -> Any:
        *hidden, output = self.blueprint.q_layers(number)
        features = tf.concat([embeddings, actions], -1)
        for layer in hidden:
            features = apply_layer(self.variables, SAC_Q, layer, features)
        return dense(self.variables, f"{SAC_Q}/{output.name}", features)[:, 0]

    def _state_values(self, network: str, inputs: Mapping[str, Any]) -> Any:
        features = embed(self.variables, self.blueprint, network, inputs)
        return dense(self.variables, f"{network}/{VALUE_OUTPUT}", features)[:, 0]


def _followed(name: str) -> str:
    """The variable that a target's variable lags behind."""
    return name.replace(SAC_TARGET_V, SAC_V)
