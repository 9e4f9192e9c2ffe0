"""
The same update of SHALLOW in PyTorch: channels last, fused Adam, two threads.

    python -m tests.bench.peers.torch_learner weights.npz BATCH_SIZE ROWS CARS [PRECISION]

Same losses, same epochs and minibatches, the gradient clipped to the same norm. What PyTorch
offers to be fast on a processor is used: convolutions with channels last, `fused=True`,
`foreach=True`, and for bfloat16 its autocast.
"""

import sys
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from tests.bench.peers import learning
from tests.bench.peers.turns import serve

THREADS = 2
ADAM_BETA_2, ADAM_EPSILON = 0.999, 1e-5
PIXEL_MEAN, PIXEL_SPREAD = 110.0, 60.0
VALUE_CHUNK = 256


class Trunk(nn.Module):
    """SHALLOW below one head, and the head."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(1, 32, 8, 4), nn.Conv2d(32, 64, 4, 2), nn.Conv2d(64, 64, 3, 1)]
        )
        self.dense = nn.Linear(11 * 16 * 64, 512)
        self.head = nn.Linear(512, outputs)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures (n, 1, height, width) in, outputs (n, outputs) out."""
        for convolution in self.convolutions:
            pictures = functional.relu(convolution(pictures))
        # With channels last this lays out the numbers as they lie: no copy.
        flat = pictures.permute(0, 2, 3, 1).reshape(len(pictures), -1)
        outputs: torch.Tensor = self.head(functional.relu(self.dense(flat)))
        return outputs

    def adopt(self, weights: dict[str, NDArray[np.float32]], network: str, head: str) -> None:
        """Take over weights with DeepRacer's names."""
        named = [f"{learning.CAMERA}/Conv2d_{2 * number}" for number in range(3)]
        layers = [*self.convolutions, self.dense, self.head]
        scopes = [*named, "middleware_fc_embedder/Dense_0", head]
        with torch.no_grad():
            for layer, scope in zip(layers, scopes, strict=True):
                kernel = weights[f"{network}/{scope}/kernel"]
                order = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
                layer.weight.copy_(torch.from_numpy(kernel.transpose(order).copy()))
                layer.bias.copy_(torch.from_numpy(weights[f"{network}/{scope}/bias"]))


class Twin:
    """Both trunks, their optimiser and the update."""

    def __init__(self, weights: dict[str, NDArray[np.float32]], hyper: Any, half: bool) -> None:
        self.value, self.policy = Trunk(1), Trunk(learning.ACTIONS)
        online = "main_level/agent/main/online"
        self.value.adopt(weights, f"{online}/network_0", "v_values_head_0/output")
        self.policy.adopt(weights, f"{online}/network_1", "ppo_head_0/policy_fc")
        for trunk in (self.value, self.policy):
            trunk.to(memory_format=torch.channels_last)
        self.parameters = [*self.value.parameters(), *self.policy.parameters()]
        self.adam = torch.optim.Adam(self.parameters, lr=hyper.lr, fused=True)
        self.steps = 0
        self.hyper, self.half = hyper, half

    def update(self, experience: learning.Experience, rng: np.random.Generator) -> Any:
        """As `Ppo.update`; the losses of the first epoch."""
        rows, cars = experience.actions.shape
        frames = torch.from_numpy(experience.frames).reshape(-1, *experience.frames.shape[2:4])
        values = self._values(frames).reshape(rows + 1, cars)
        advantages = self._advantages(experience, values)
        returns = (advantages + values[:-1]).ravel()
        standard = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        columns = [
            torch.from_numpy(experience.actions.ravel().astype(np.int64)),
            torch.from_numpy(standard.ravel().astype(np.float32)),
            torch.from_numpy(returns.astype(np.float32)),
        ]
        epochs = []
        for _ in range(self.hyper.num_epochs):
            batches = rng.permutation(rows * cars).reshape(-1, self.hyper.batch_size)
            steps = [self._step(frames[b], *(column[b] for column in columns)) for b in batches]
            epochs.append(torch.stack(steps).mean(0))
        return epochs[0].numpy()

    def _values(self, frames: torch.Tensor) -> NDArray[np.float32]:
        with torch.inference_mode(), self._precision():
            chunks = [self.value(centred(chunk)) for chunk in frames.split(VALUE_CHUNK)]
            values: NDArray[np.float32] = torch.cat(chunks).float().numpy()
        return values

    def _advantages(
        self, experience: learning.Experience, values: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        rewards = experience.rewards * np.float32(self.hyper.reward_scale)
        goes_on = experience.ends == 0
        deltas = rewards + self.hyper.discount_factor * goes_on * values[1:] - values[:-1]
        advantages, carried = np.zeros_like(rewards), np.zeros(rewards.shape[1], np.float32)
        for row in reversed(range(len(rewards))):
            decay = self.hyper.discount_factor * self.hyper.gae_lambda * goes_on[row]
            carried = deltas[row] + decay * carried
            advantages[row] = carried
        return advantages

    def _step(
        self,
        frames: torch.Tensor,
        actions: torch.Tensor,
        advantages: torch.Tensor,
        returns: torch.Tensor,
    ) -> torch.Tensor:
        hyper, even = self.hyper, -float(np.log(learning.ACTIONS))
        with self._precision():
            pictures = centred(frames)
            logits, values = self.policy(pictures), self.value(pictures)
        logs = functional.log_softmax(logits.float(), 1)
        ratio = torch.exp(logs.gather(1, actions[:, None])[:, 0] - even)
        clipped = ratio.clamp(1 - hyper.clip_coef, 1 + hyper.clip_coef)
        surrogate = -torch.minimum(ratio * advantages, clipped * advantages).mean()
        value_loss = (values.float()[:, 0] - returns).square().mean()
        entropy = -(logs.exp() * logs).sum(1).mean()
        self.adam.zero_grad(set_to_none=True)
        (surrogate + value_loss - hyper.beta_entropy * entropy).backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, hyper.max_grad_norm, foreach=True)
        self._descend()
        with torch.no_grad():
            divergence = (even - logs).mean()
            clip_fraction = ((ratio - 1).abs() > hyper.clip_coef).float().mean()
            return torch.stack([surrogate, value_loss, entropy, divergence, clip_fraction, norm])

    def _descend(self) -> None:
        """Adam with its epsilon where TensorFlow has it: beside the moment before correction."""
        self.steps += 1
        self.adam.param_groups[0]["eps"] = ADAM_EPSILON / sqrt(1 - ADAM_BETA_2**self.steps)
        self.adam.step()

    def _precision(self) -> Any:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.half)


def centred(frames: torch.Tensor) -> torch.Tensor:
    """Bytes (n, height, width) as pictures (n, 1, height, width) with channels last."""
    pictures = (frames.to(torch.float32) - PIXEL_MEAN) * (1 / PIXEL_SPREAD)
    return pictures[:, None].contiguous(memory_format=torch.channels_last)


def main(weights: str, batch_size: str, rows: str, cars: str, precision: str = "fp32") -> None:
    """Update whenever it is this process's turn."""
    torch.set_num_threads(THREADS)
    hyper = learning.settings(int(batch_size))
    twin = Twin(learning.read_weights(Path(weights)), hyper, half=precision == "bfloat16")
    experience, rng = learning.draw_experience(int(rows), int(cars)), np.random.default_rng(0)
    first = twin.update(experience, rng)

    def update() -> int:
        twin.update(experience, rng)
        return learning.EPOCHS * experience.transitions

    serve(learning.about(f"PyTorch {torch.__version__}, channels last", first[:3]), update)


if __name__ == "__main__":
    main(*sys.argv[1:])
