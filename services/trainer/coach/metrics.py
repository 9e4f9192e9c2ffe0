"""What an update of rl-coach's agent comes to, in the terms of our events."""

from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from libs.common.events import EpochLosses
from services.trainer.ppo import UpdateReport


class UpdateWatch:
    """
    Looks on while an agent learns: at the values that it begins with and at every minibatch.

    rl-coach itself keeps the means of the last epoch and prints the others.
    """

    def __init__(self, agent: Any, network: Any) -> None:
        self._agent, self._network = agent, network
        self._minibatches: list[tuple[float, ...]] = []
        self._targets = self._values = np.zeros(0)
        self._epochs: int = agent.ap.algorithm.optimization_epochs

    def __enter__(self) -> Self:
        self._agent.fill_advantages = self._fill_advantages
        self._network.train_and_sync_networks = self._train
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del self._agent.fill_advantages, self._network.train_and_sync_networks

    def report(self) -> UpdateReport:
        """The update's, after it."""
        metrics = np.array(self._minibatches, np.float64).reshape(self._epochs, -1, 6)
        return UpdateReport(
            losses=tuple(
                EpochLosses(
                    epoch=epoch,
                    surrogate_loss=means[0],
                    value_loss=means[1],
                    kl_divergence=means[2],
                    entropy=means[3],
                )
                for epoch, means in enumerate(metrics.mean(axis=1).tolist())
            ),
            explained_variance=_explained(self._values, self._targets),
            clip_fraction=float(metrics[..., 4].mean()),
            gradient_norm=float(metrics[..., 5].mean()),
            learning_rate=self._agent.ap.network_wrappers["main"].learning_rate,
        )

    def _fill_advantages(self, batch: Any) -> None:
        type(self._agent).fill_advantages(self._agent, batch)
        self._values = self._agent.state_values.values[-1]
        self._targets = np.array(
            [each.info["gae_based_value_target"] for each in batch.transitions]
        ).ravel()

    def _train(self, *arguments: Any, **named: Any) -> Any:
        """One minibatch; the fetches are those that the agent's `train_network` asks for."""
        trained = type(self._network).train_and_sync_networks(self._network, *arguments, **named)
        _, losses, gradient_norm, (divergence, entropy, ratio, clipped) = trained
        share_clipped = np.mean(ratio != clipped)
        value_loss, surrogate_loss = losses[:2]
        self._minibatches.append(
            (surrogate_loss, value_loss, divergence, entropy, share_clipped, gradient_norm)
        )
        return trained


def _explained(values: NDArray[Any], targets: NDArray[Any]) -> float | None:
    """The share of the targets' variance that the values explain; None where there is none."""
    spread = float(targets.var())
    return 1 - float((targets - values).var()) / spread if spread > 0 else None
