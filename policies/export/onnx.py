"""A policy as an ONNX graph from raw SI sensors to joint targets [rad].

Scaling, normalizer, network and action map are inside the graph: a controller feeds sensor readings in contract order
(history oldest frame first, flattened) and sends what comes out. Only operators that every runtime has.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from policies.contract import PolicyContract
from policies.export.numpy_policy import NORMALIZED_CLIP, NumpyPolicy

OPSET = 17
IR_VERSION = 10
INPUT, OUTPUT = "observation", "joint_targets"


class _Graph:
    """Nodes and constants in the making; each call returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: NDArray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def floats(self, value: NDArray | float) -> str:
        return self.constant(np.asarray(value, dtype=np.float32))

    def apply(self, operator: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        name = output or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def columns(self, value: str, start: int, stop: int) -> str:
        bounds = [self.constant(np.array([number], dtype=np.int64)) for number in (start, stop)]
        return self.apply("Slice", value, *bounds, self.constant(np.array([1], dtype=np.int64)))


def to_onnx(contract: PolicyContract, weights: Mapping[str, NDArray]) -> bytes:
    """The serialized graph; equal contracts and weights give equal bytes."""
    policy, graph = NumpyPolicy(contract, weights), _Graph()
    action = _network(graph, policy, _normalized(graph, policy))
    _action_map(graph, policy, action)
    shape = ["batch", contract.input_width]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            f"{contract.task} on {contract.robot}",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", contract.num_joints])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="sim2real",
    )
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _normalized(graph: _Graph, policy: NumpyPolicy) -> str:
    frames = policy.contract.history
    tiled = [np.tile(row, frames) for row in (policy.offset, policy.scale, policy.mean, policy.std)]
    offset, scale, mean, std = (graph.floats(row) for row in tiled)
    scaled = graph.apply("Mul", graph.apply("Sub", INPUT, offset), scale)
    normalized = graph.apply("Div", graph.apply("Sub", scaled, mean), std)
    return graph.apply("Clip", normalized, graph.floats(-NORMALIZED_CLIP), graph.floats(NORMALIZED_CLIP))


def _network(graph: _Graph, policy: NumpyPolicy, value: str) -> str:
    for index, (weight, bias) in enumerate(policy.layers):
        value = graph.apply("Gemm", value, graph.floats(weight), graph.floats(bias), transB=1)
        if index < len(policy.layers) - 1:
            value = graph.apply("Elu", value)
    return value


def _action_map(graph: _Graph, policy: NumpyPolicy, action: str) -> None:
    """`envs.actions.joint_targets` in ONNX operators."""
    contract, constants = policy.contract, {name: graph.floats(row) for name, row in policy.action_map.items()}
    sine = policy.clock.start + (contract.history - 1) * contract.frame_width
    swing = graph.apply("Mul", graph.columns(INPUT, sine, sine + 1), constants["leg_sign"])
    lifted = graph.apply("Mul", graph.apply("Clip", swing, graph.floats(0.0), graph.floats(1.0)), constants["lift"])
    clipped = graph.apply("Clip", action, graph.floats(-contract.action_clip), graph.floats(contract.action_clip))
    moved = graph.apply("Mul", clipped, constants["action_scale"])
    target = graph.apply("Add", graph.apply("Add", moved, constants["default_position"]), lifted)
    bounded = graph.apply("Max", target, constants["low"])
    graph.apply("Min", bounded, constants["high"], output=OUTPUT)
