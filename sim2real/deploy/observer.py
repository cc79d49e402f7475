"""From a robot's state to what its policy was trained to see: raw SI in contract order, history oldest frame first.

And what a policy with memory remembers from tick to tick.
"""

import numpy as np
from numpy.typing import NDArray

from envs.commands import advance_phase, clock, is_standing
from envs.observations import actor_observation, projected_gravity
from policies.contract import ContractError, PolicyContract
from policies.export.numpy_policy import initial_state
from robots.state import Array, RobotState

TERMS = ("gravity", "gyro", "command", "joint_pos", "joint_vel", "previous_target", "clock")


class Observer:
    """Stacks observations and runs the gait clock; one call of `observe` is one control tick.

    `memory`, (1, contract.memory), is what the policy gave last for its next tick.

    Raises:
        ContractError: the policy wants to see something that this loop does not measure.
    """

    def __init__(self, contract: PolicyContract) -> None:
        names = tuple(term.name for term in contract.observations)
        if names != TERMS:
            raise ContractError(
                f"contract field observations must be {TERMS}, got {names}; no hardware measures "
                f"{contract.unmeasurable or 'that'}: distill the policy into a student with real sensors first"
            )
        self.contract, self._width = contract, contract.frame_width
        self._frames = np.zeros((1, contract.input_width), dtype=np.float32)
        self.restart()

    def restart(self) -> None:
        """Forget the past: the next frame fills the whole history, the memory is zero."""
        self.memory = initial_state(self.contract, 1)
        self._phase = np.zeros((1, 1))
        self._empty = True
        self._frames[:] = 0.0

    @property
    def newest(self) -> NDArray[np.float32]:
        """(frame_width,) the frame of this tick."""
        return self._frames[0, -self._width :]

    def observe(self, state: RobotState, command: Array, previous_target: Array) -> NDArray[np.float32]:
        """What the policy sees, (1, input_width).

        Args:
            state: The robot's state.
            command: vx [m/s], vy [m/s], yaw rate [rad/s].
            previous_target: What was commanded last [rad].
        """
        contract, row = self.contract, command[None]
        standing = is_standing(row, speed=contract.speed, time=contract.time)
        frame = actor_observation(
            np,
            gravity=projected_gravity(np, state.orientation[None]),
            gyro=state.gyro[None],
            command=row,
            joint_pos=state.joint_pos[None],
            joint_vel=state.joint_vel[None],
            previous_target=previous_target[None],
            clock=clock(np, self._phase, standing),
        )
        self._stack(frame)
        self._phase = advance_phase(self._phase, frequency_hz=contract.gait_frequency, dt=contract.control_period)
        return self._frames

    def _stack(self, frame: Array) -> None:
        width = self._width
        if self._empty:
            self._frames[:] = np.tile(frame, self.contract.history)
            self._empty = False
        else:
            self._frames[:, :-width] = self._frames[:, width:].copy()
            self._frames[:, -width:] = frame
