"""A policy as an ONNX graph from raw SI sensors to joint targets [rad].

Scaling, normalizer, network and action map are inside the graph: a controller feeds sensor readings in contract order
(history oldest frame first, flattened) and sends what comes out. A policy with memory also takes its state and gives
the next one; zeros start an episode. Only operators that every runtime has: a recurrent unit is spelled out.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from policies.architecture import CONV_STRIDE
from policies.contract import PolicyContract
from policies.export.graph import OPERATORS, Graph
from policies.export.layers import Convolution, Recurrence
from policies.export.numpy_policy import NORMALIZED_CLIP, NumpyPolicy
from policies.export.onnx_policy import NEXT_STATE, OBSERVATION, STATE, TARGETS, ends

OPSET = 17
IR_VERSION = 10


def to_onnx(contract: PolicyContract, weights: Mapping[str, NDArray]) -> bytes:
    """The serialized graph; equal contracts and weights give equal bytes."""
    policy, graph = NumpyPolicy(contract, weights), Graph()
    _action_map(graph, policy, _actor(graph, policy, _encoded(graph, policy, _normalized(graph, policy))))
    inputs, outputs = ends(contract)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            f"{contract.task} on {contract.robot}",
            [_end(name, width) for name, width in inputs.items()],
            [_end(name, width) for name, width in outputs.items()],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="sim2real",
    )
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _end(name: str, width: int) -> onnx.ValueInfoProto:
    """An input or output of the graph, (batch, width)."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])


def _normalized(graph: Graph, policy: NumpyPolicy) -> str:
    frames = policy.contract.history
    tiled = [np.tile(row, frames) for row in (policy.offset, policy.scale, policy.mean, policy.std)]
    offset, scale, mean, std = (graph.floats(row) for row in tiled)
    scaled = graph.apply("Mul", graph.apply("Sub", OBSERVATION, offset), scale)
    normalized = graph.apply("Div", graph.apply("Sub", scaled, mean), std)
    return graph.apply("Clip", normalized, graph.floats(-NORMALIZED_CLIP), graph.floats(NORMALIZED_CLIP))


def _encoded(graph: Graph, policy: NumpyPolicy, frames: str) -> str:
    """What the actor reads of normalized frames."""
    contract, encoder = policy.contract, policy.encoder
    if encoder is None:
        return frames
    newest = graph.columns(frames, contract.input_width - contract.frame_width, contract.input_width)
    if isinstance(encoder, Recurrence):
        latent = _recurrence(graph, encoder, newest)
    else:
        latent = _convolution(graph, encoder, contract, frames)
    return graph.apply("Concat", newest, latent, axis=1)


def _convolution(graph: Graph, encoder: Convolution, contract: PolicyContract, frames: str) -> str:
    operator = OPERATORS[encoder.activation]
    shaped = graph.apply("Reshape", frames, graph.integers(-1, contract.history, contract.frame_width))
    embedded = graph.apply("MatMul", shaped, graph.floats(encoder.embed.weight.T))
    hidden = graph.apply(operator, graph.apply("Add", embedded, graph.floats(encoder.embed.bias)))
    hidden = graph.apply("Transpose", hidden, perm=[0, 2, 1])  # (batch, channels, time)
    for kernel in encoder.kernels:
        weight, bias = graph.floats(kernel.weight), graph.floats(kernel.bias)
        hidden = graph.apply(operator, graph.apply("Conv", hidden, weight, bias, strides=[CONV_STRIDE]))
    return graph.linear(graph.apply("Flatten", hidden, axis=1), encoder.head)


def _recurrence(graph: Graph, encoder: Recurrence, frame: str) -> str:
    """r, z = σ(…), n = tanh(Wx + b + r·(Uh + c)), h' = n + z·(h − n)."""
    width = encoder.memory
    parts = graph.linear(frame, encoder.inputs), graph.linear(STATE, encoder.recurrent)
    gates = [[graph.columns(part, i * width, (i + 1) * width) for i in range(3)] for part in parts]
    (x_r, x_z, x_n), (h_r, h_z, h_n) = gates
    reset, update = (graph.apply("Sigmoid", graph.apply("Add", *pair)) for pair in ((x_r, h_r), (x_z, h_z)))
    proposed = graph.apply("Tanh", graph.apply("Add", x_n, graph.apply("Mul", reset, h_n)))
    kept = graph.apply("Mul", update, graph.apply("Sub", STATE, proposed))
    return graph.linear(graph.apply("Add", proposed, kept, output=NEXT_STATE), encoder.head)


def _actor(graph: Graph, policy: NumpyPolicy, value: str) -> str:
    for layer in policy.layers[:-1]:
        value = graph.apply(OPERATORS[policy.contract.activation], graph.linear(value, layer))
    return graph.linear(value, policy.layers[-1])


def _action_map(graph: Graph, policy: NumpyPolicy, action: str) -> None:
    """`envs.actions.joint_targets` in ONNX operators."""
    contract, constants = policy.contract, {name: graph.floats(row) for name, row in policy.action_map.items()}
    sine = policy.clock.start + (contract.history - 1) * contract.frame_width
    swing = graph.apply("Mul", graph.columns(OBSERVATION, sine, sine + 1), constants["leg_sign"])
    lifted = graph.apply("Mul", graph.apply("Clip", swing, graph.floats(0.0), graph.floats(1.0)), constants["lift"])
    clipped = graph.apply("Clip", action, graph.floats(-contract.action_clip), graph.floats(contract.action_clip))
    moved = graph.apply("Mul", clipped, constants["action_scale"])
    target = graph.apply("Add", graph.apply("Add", moved, constants["default_position"]), lifted)
    bounded = graph.apply("Max", target, constants["low"])
    graph.apply("Min", bounded, constants["high"], output=TARGETS)
