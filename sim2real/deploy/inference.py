"""A bundle's policy as one call: ONNX Runtime on one thread, plain numpy where that is not installed."""

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from policies.bundle import Bundle
from policies.export.numpy_policy import NumpyPolicy, initial_state
from policies.export.onnx_policy import OnnxPolicy

Policy = Callable[[NDArray[np.float32], NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Raw observation, (1, input_width), and recurrent state, (1, memory), to joint targets [rad], (1, num_joints), and the
next state."""
AGREEMENT = 1e-4
"""Largest difference between graph and weights [rad]; the export gate allowed a tenth of it."""
WARM_UP = 300
"""Calls before the robot is armed: the first ones are slow."""
log = logging.getLogger(__name__)


def load_policy(bundle: Bundle) -> Policy:
    """The policy of `bundle`, warmed up.

    Raises:
        ValueError: the graph does not fit the contract, or its weights.
    """
    reference = NumpyPolicy(bundle.contract, bundle.weights)
    try:
        policy: Policy = OnnxPolicy(bundle.contract, bundle.onnx).step
    except ImportError:
        log.warning("onnxruntime is not installed: the policy runs in numpy (pip install onnxruntime)")
        policy = reference.step
    _warm_up(policy, reference)
    return policy


def _warm_up(policy: Policy, reference: NumpyPolicy) -> None:
    """Call the policy on random sensor readings and compare it with its weights in numpy.

    Each call starts from the state that the weights gave, so that a policy with memory is compared call by call.
    """
    contract, rng = reference.contract, np.random.default_rng(0)
    state = initial_state(contract, 1)
    for observation in rng.standard_normal((WARM_UP, 1, contract.input_width), dtype=np.float32):
        got, expected = policy(observation, state), reference.step(observation, state)
        shapes = tuple(part.shape for part in got)
        if shapes != ((1, contract.num_joints), (1, contract.memory)):
            raise ValueError(
                f"policy must return (1, {contract.num_joints}) joint targets and (1, {contract.memory}) numbers to "
                f"remember, got {shapes}"
            )
        if not all(np.abs(one - other).max(initial=0.0) <= AGREEMENT for one, other in zip(got, expected, strict=True)):
            raise ValueError(
                f"the bundle's graph and its weights disagree by more than {AGREEMENT:g} rad; export it again"
            )
        state = expected[1]
