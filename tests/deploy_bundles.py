"""Bundles for deployment tests: the ONNX graph of `policies.export.numpy_policy`, from weights chosen here."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import robots
from policies import bundle as bundles
from policies.bundle import Bundle
from policies.contract import PolicyContract, contract_for
from policies.export.numpy_policy import NORMALIZED_CLIP
from robots.joint_space import joint_space

Weights = dict[str, np.ndarray]


def contract(name: str = "go1", history: int = 1) -> PolicyContract:
    spec = robots.get(name)
    return contract_for(
        spec,
        joint_space(spec),
        task="velocity",
        command_high=(0.5, 0.18, 0.1),
        delay_range=(0.0, 0.02),
        history=history,
    )


def standing_weights(agreed: PolicyContract, hidden: int = 128) -> Weights:
    """A perceptron of the usual size whose output is zero: it holds the nominal pose and lifts its feet in the gait."""
    rng = np.random.default_rng(0)
    widths = [agreed.input_width, hidden, hidden, agreed.num_joints]
    weights = {"normalizer.mean": np.zeros(agreed.frame_width), "normalizer.std": np.ones(agreed.frame_width)}
    for i, (columns, rows) in enumerate(pairwise(widths)):
        weights[f"actor.{i}.weight"] = rng.normal(0.0, columns**-0.5, (rows, columns)) * (i < 2)
        weights[f"actor.{i}.bias"] = np.zeros(rows)
    return {name: value.astype(np.float32) for name, value in weights.items()}


def busy_weights(agreed: PolicyContract, size: float = 0.02) -> Weights:
    """Like `standing_weights`, but every sensor moves every joint a little."""
    weights = standing_weights(agreed)
    shape = weights["actor.2.weight"].shape
    weights["actor.2.weight"] = np.random.default_rng(1).normal(0.0, size, shape).astype(np.float32)
    return weights


def write(path: Path, agreed: PolicyContract, weights: Weights, score: float | None = None) -> Path:
    """Write the bundle of a policy; returns its path."""
    spec = robots.get(agreed.robot)
    scores = {} if score is None else {"score": score}
    bundles.write(
        path,
        Bundle(
            contract=agreed,
            onnx=onnx_graph(agreed, weights),
            weights=weights,
            robot=replace(spec, mjcf=spec.mjcf_path.name),
            mjcf_text=spec.mjcf_path.read_text(),
            scores=scores,
        ),
    )
    return path


def onnx_graph(agreed: PolicyContract, weights: Weights) -> bytes:
    history, frame = agreed.history, agreed.frame_width
    constants: dict[str, np.ndarray] = {
        "frames_shape": np.array([-1, history, frame]),
        "flat_shape": np.array([-1, history * frame]),
        "offset": _row([value for term in agreed.observations for value in term.offset]),
        "factor": _row([value for term in agreed.observations for value in term.scale]),
        "mean": weights["normalizer.mean"],
        "std": weights["normalizer.std"],
        "least": np.float32(-NORMALIZED_CLIP),
        "most": np.float32(NORMALIZED_CLIP),
        "least_action": np.float32(-agreed.action_clip),
        "most_action": np.float32(agreed.action_clip),
        "zero": np.float32(0.0),
        "one": np.float32(1.0),
        "clock_start": np.array([history * frame - 2]),
        "clock_end": np.array([history * frame - 1]),
        "axis": np.array([1]),
        **{name: _row(getattr(agreed, name)) for name in ("default_position", "action_scale", "lift", "leg_sign")},
        "low": _row(agreed.position_low),
        "high": _row(agreed.position_high),
    }
    node = helper.make_node
    nodes = [
        node("Reshape", ["observation", "frames_shape"], ["frames"]),
        node("Sub", ["frames", "offset"], ["shifted"]),
        node("Mul", ["shifted", "factor"], ["scaled"]),
        node("Sub", ["scaled", "mean"], ["centred"]),
        node("Div", ["centred", "std"], ["divided"]),
        node("Clip", ["divided", "least", "most"], ["clipped"]),
        node("Reshape", ["clipped", "flat_shape"], ["hidden0"]),
    ]
    layers = sum(name.startswith("actor.") and name.endswith(".weight") for name in weights)
    for i in range(layers):
        constants |= {f"w{i}": weights[f"actor.{i}.weight"], f"b{i}": weights[f"actor.{i}.bias"]}
        output = "raw_action" if i == layers - 1 else f"linear{i}"
        nodes.append(node("Gemm", [f"hidden{i}", f"w{i}", f"b{i}"], [output], transB=1))
        if i < layers - 1:
            nodes.append(node("Elu", [output], [f"hidden{i + 1}"]))
    nodes += [
        node("Clip", ["raw_action", "least_action", "most_action"], ["action"]),
        node("Slice", ["observation", "clock_start", "clock_end", "axis"], ["sine"]),
        node("Mul", ["sine", "leg_sign"], ["leg_sine"]),
        node("Clip", ["leg_sine", "zero", "one"], ["swing"]),
        node("Mul", ["action", "action_scale"], ["offset_joint"]),
        node("Add", ["default_position", "offset_joint"], ["aimed"]),
        node("Mul", ["swing", "lift"], ["lifted"]),
        node("Add", ["aimed", "lifted"], ["unbounded"]),
        node("Max", ["unbounded", "low"], ["bounded"]),
        node("Min", ["bounded", "high"], ["target"]),
    ]
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["n", agreed.input_width])],
        [helper.make_tensor_value_info("target", TensorProto.FLOAT, ["n", agreed.num_joints])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _row(values) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)
