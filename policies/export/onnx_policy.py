"""A bundle's policy by ONNX Runtime, on one thread; needs no torch."""

from numpy.typing import NDArray

from policies.contract import PolicyContract
from policies.export.layers import Array

OBSERVATION, TARGETS = "observation", "joint_targets"
STATE, NEXT_STATE = "state", "next_state"


def ends(contract: PolicyContract) -> tuple[dict[str, int], dict[str, int]]:
    """Inputs and outputs of a contract's graph: name -> width."""
    inputs, outputs = {OBSERVATION: contract.input_width}, {TARGETS: contract.num_joints}
    if contract.memory:
        inputs[STATE] = outputs[NEXT_STATE] = contract.memory
    return inputs, outputs


class OnnxPolicy:
    """A graph that fits its contract.

    Raises:
        ImportError: onnxruntime is not installed.
        ValueError: the graph's inputs or outputs are not those of the contract.
    """

    def __init__(self, contract: PolicyContract, onnx: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        self._memory = contract.memory
        inputs, outputs = ends(contract)
        _check("takes", self._session.get_inputs(), inputs)
        _check("gives", self._session.get_outputs(), outputs)

    def step(self, observation: NDArray, state: NDArray) -> tuple[Array, Array]:
        """Joint targets [rad] and the next state, as `NumpyPolicy.step`."""
        if not self._memory:
            return self._session.run([TARGETS], {OBSERVATION: observation})[0], state
        targets, next_state = self._session.run([TARGETS, NEXT_STATE], {OBSERVATION: observation, STATE: state})
        return targets, next_state


def _check(verb: str, ends: list, expected: dict[str, int]) -> None:
    got = {end.name: end.shape[-1] for end in ends}
    if got != expected:
        raise ValueError(
            f"the bundle's graph {verb} {got or 'nothing'}, its contract says {expected} (names and widths); "
            "export it again"
        )
