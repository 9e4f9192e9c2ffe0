"""
The part of TensorFlow 1 that rl-coach's networks call, on the TensorFlow 2 that is installed.

`tensorflow.compat.v1` has nearly all of it. What left TensorFlow for good, `tf.layers` and
`tf.contrib`, is made here, as far as clipped PPO without batch normalisation and dropout needs it,
with the same names of variables.
"""

import types
from math import prod
from typing import Any

import tensorflow.compat.v1 as v1
from tensorflow.python.ops.losses import losses_impl  # noqa: F401 - rl-coach asks for it by path


class MultivariateNormalDiag(v1.distributions.Normal):  # type: ignore[misc]
    """Normal distributions of independent actions, (n, actions) taken as one."""

    def __init__(self, loc: Any, scale_diag: Any) -> None:
        super().__init__(loc, scale_diag)

    def _log_prob(self, x: Any) -> Any:
        return v1.reduce_sum(super()._log_prob(x), axis=-1)

    def _entropy(self) -> Any:
        return v1.reduce_sum(super()._entropy(), axis=-1)


@v1.distributions.RegisterKL(MultivariateNormalDiag, MultivariateNormalDiag)  # type: ignore[untyped-decorator]
def _divergence(one: Any, other: Any, name: str | None = None) -> Any:
    moved = v1.square(one.scale) + v1.square(one.loc - other.loc)
    each = v1.log(other.scale / one.scale) + moved / (2 * v1.square(other.scale)) - 0.5
    return v1.reduce_sum(each, axis=-1, name=name)


def conv2d(
    inputs: Any, filters: int, kernel_size: int, strides: int, data_format: str, name: str
) -> Any:
    """A convolution without padding (n, height, width, channels)."""
    assert data_format == "channels_last"
    shape = (kernel_size, kernel_size, int(inputs.shape[-1]), filters)
    with v1.variable_scope(name):
        kernel = v1.get_variable("kernel", shape)
        bias = v1.get_variable("bias", (filters,), initializer=v1.zeros_initializer())
        convolved = v1.nn.conv2d(inputs, kernel, [1, strides, strides, 1], "VALID")
        return v1.nn.bias_add(convolved, bias)


def dense(
    inputs: Any,
    units: int,
    name: str,
    kernel_initializer: Any = None,
    bias_initializer: Any = None,
    activation: Any = None,
) -> Any:
    """A dense layer on the last axis, whatever is before it."""
    assert activation is None
    shape = (int(inputs.shape[-1]), units)
    with v1.variable_scope(name):
        kernel = v1.get_variable("kernel", shape, initializer=kernel_initializer)
        bias = v1.get_variable("bias", (units,), initializer=bias_initializer)
        if inputs.shape.ndims == 2:
            return v1.nn.bias_add(v1.matmul(inputs, kernel), bias)
        return v1.nn.bias_add(v1.tensordot(inputs, kernel, 1), bias)


def flatten(inputs: Any) -> Any:
    """(n, …) as (n, numbers)."""
    return v1.reshape(inputs, (-1, prod(int(size) for size in inputs.shape[1:])))


def tensorflow1() -> types.ModuleType:
    """
    What `import tensorflow as tf` means to rl-coach.

    From then on this process builds graphs and has no eager execution.
    """
    v1.disable_v2_behavior()
    v1.logging.set_verbosity(v1.logging.ERROR)  # all of this is deprecated, as is known
    module = types.ModuleType("tensorflow")
    vars(module).update({name: getattr(v1, name) for name in dir(v1) if not name.startswith("_")})
    module.layers = types.SimpleNamespace(conv2d=conv2d, dense=dense)  # type: ignore[attr-defined]
    module.contrib = types.SimpleNamespace(  # type: ignore[attr-defined]
        layers=types.SimpleNamespace(
            flatten=flatten, xavier_initializer=v1.glorot_uniform_initializer
        ),
        framework=types.SimpleNamespace(
            get_name_scope=lambda: v1.get_default_graph().get_name_scope(),
            load_checkpoint=v1.train.load_checkpoint,
        ),
        distributions=types.SimpleNamespace(
            Categorical=v1.distributions.Categorical, MultivariateNormalDiag=MultivariateNormalDiag
        ),
    )
    return module
