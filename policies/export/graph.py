"""An ONNX graph in the making: nodes and constants; each call returns the name of its result."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from policies.export.layers import Linear

OPERATORS = {"elu": "Elu", "relu": "Relu", "tanh": "Tanh"}
"""Of the activations."""


class Graph:
    """Nodes and constants; each call returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: NDArray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def floats(self, value: NDArray | float) -> str:
        return self.constant(np.asarray(value, dtype=np.float32))

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, dtype=np.int64))

    def apply(self, operator: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        name = output or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def columns(self, value: str, start: int, stop: int) -> str:
        """Columns `start` to `stop` of a matrix."""
        return self.apply("Slice", value, self.integers(start), self.integers(stop), self.integers(1))

    def linear(self, value: str, layer: Linear) -> str:
        """A layer over the rows of a matrix."""
        return self.apply("Gemm", value, self.floats(layer.weight), self.floats(layer.bias), transB=1)
