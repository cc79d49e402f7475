"""A bundle's policy as one call: ONNX Runtime on one thread, plain numpy where that is not installed."""

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from policies.bundle import Bundle
from policies.export.numpy_policy import NumpyPolicy

Policy = Callable[[NDArray[np.float32]], NDArray[np.float32]]
AGREEMENT = 1e-4
"""Largest difference between graph and weights [rad]; the export gate allowed a tenth of it."""
WARM_UP = 300
"""Calls before the robot is armed: the first ones are slow."""
log = logging.getLogger(__name__)


def load_policy(bundle: Bundle) -> Policy:
    """The policy of `bundle`, warmed up: raw observations (1, input_width) to joint targets [rad], (1, num_joints).

    Raises:
        ValueError: the graph does not fit the contract, or its weights.
    """
    try:
        policy = _onnx_policy(bundle)
    except ImportError:
        log.warning("onnxruntime is not installed: the policy runs in numpy (pip install onnxruntime)")
        policy = NumpyPolicy(bundle.contract, bundle.weights)
    _warm_up(policy, NumpyPolicy(bundle.contract, bundle.weights))
    return policy


def _warm_up(policy: Policy, reference: NumpyPolicy) -> None:
    """Call the policy on random sensor readings and compare it with its weights in numpy."""
    width, joints, rng = reference.contract.input_width, reference.contract.num_joints, np.random.default_rng(0)
    for observation in rng.standard_normal((WARM_UP, 1, width), dtype=np.float32):
        targets = policy(observation)
        if targets.shape != (1, joints):
            raise ValueError(f"policy must return (1, {joints}) joint targets, got {targets.shape}")
        if not np.abs(targets - reference(observation)).max() <= AGREEMENT:
            raise ValueError(
                f"the bundle's graph and its weights disagree by more than {AGREEMENT:g} rad; export it again"
            )


def _onnx_policy(bundle: Bundle) -> Policy:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(bundle.onnx, options, providers=["CPUExecutionProvider"])
    name, output = session.get_inputs()[0].name, session.get_outputs()[0].name
    return lambda observation: session.run([output], {name: observation})[0]
