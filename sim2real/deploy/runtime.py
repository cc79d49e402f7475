"""The control loop: arm, rise softly, run the policy behind the guards, damp.

    arm         the robot's first state must satisfy the guards
    soft start  joint targets go from where the joints are to the nominal pose
    run         the policy decides, the guards check
    damp        stiffness zero; entered at the end, at a trip, at an emergency stop, and at any error; never left

SI; joint arrays in the canonical order of the contract.
"""

import time
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from policies import signing
from policies.bundle import Bundle
from policies.contract import ContractError, PolicyContract
from robots.backends.udp_packets import RobotInfo
from robots.state import Array, Backend, RobotCommand, RobotState
from sim2real.deploy.clock import Clock
from sim2real.deploy.emergency_stop import EmergencyStop
from sim2real.deploy.figures import Figures, Trip
from sim2real.deploy.guards import Limits, Tick, Verdict, check
from sim2real.deploy.inference import Policy
from sim2real.deploy.observer import Observer
from sim2real.deploy.recorder import Recorder

ARM_SECONDS = 2.0
"""How long the robot may take to report its first state [s]."""
DAMP_SECONDS = 0.5
"""How long damping is commanded before the loop ends [s]."""
DAMPING = 3.0
"""Damping of a robot that is let go, in units of the contract's kd."""

COMMAND_TOLERANCE = 1e-6
"""A command may be beyond the trained range by rounding."""


class Mode(IntEnum):
    """Where the control loop is."""

    ARM = 0
    SOFT_START = 1
    RUN = 2
    DAMP = 3


class Robot(Backend, Protocol):
    """A backend that says who it is."""

    info: RobotInfo

    def use_order(self, joint_names: tuple[str, ...]) -> None:
        """Report and obey joints in this order."""


def check_robot(contract: PolicyContract, info: RobotInfo) -> None:
    """Refuse a robot other than the one the policy was made for.

    Raises:
        ContractError: naming the first field that disagrees.
    """
    theirs = {
        "robot": (contract.robot, info.robot),
        "joint_names": (sorted(contract.joint_names), sorted(info.joint_names)),
        "control_period": (contract.control_period, info.control_period),
        "model_hash": (contract.model_hash, info.model_hash),
    }
    for name, (ours, value) in theirs.items():
        if ours != value:
            raise ContractError(
                f"contract field {name} disagrees: the policy was made for {ours!r}, the robot says {value!r}; deploy "
                f"a bundle made for this robot, or transfer the skill to it first"
            )


def check_command(contract: PolicyContract, command: tuple[float, float, float]) -> None:
    """Refuse a velocity command that the policy was not trained for.

    Raises:
        ValueError: naming the first component that is out of range.
    """
    names = ("vx [m/s]", "vy [m/s]", "yaw rate [rad/s]")
    for name, low, value, high in zip(names, contract.command_low, command, contract.command_high, strict=True):
        if not low - COMMAND_TOLERANCE <= value <= high + COMMAND_TOLERANCE:
            raise ValueError(f"{name} must lie between {low:.3f} and {high:.3f}, as in training, got {value}")


class Runtime:
    """Runs one bundle on one robot.

    Args:
        bundle, policy: What to run, read and loaded before the robot is touched.
        robot: A connected backend.
        clock: Paces the loop.
        log: Folder for the recording, or None.
        soft_start: Time from the measured to the nominal pose [s].
        require_signature: Run only what a trusted key has signed.

    Raises:
        BundleError: the bundle is not what was signed, or nobody trusted has.
        ContractError: the bundle is for another robot, or needs sensors that are not there.
        ValueError: robot and loop keep different clocks.
    """

    def __init__(
        self,
        bundle: Bundle,
        policy: Policy,
        robot: Robot,
        clock: Clock,
        *,
        log: Path | None = None,
        soft_start: float = 1.0,
        require_signature: bool = False,
    ) -> None:
        signing.verify(bundle, require_signature=require_signature)
        self.contract, self.policy, self.robot, self.clock = bundle.contract, policy, robot, clock
        check_robot(self.contract, robot.info)
        if clock.kind != robot.info.clock:
            raise ValueError(
                f"the loop's clock is {clock.kind!r}, the robot's is {robot.info.clock!r}; a robot that waits for its "
                f"commands needs a LockstepClock, any other a RealClock"
            )
        robot.use_order(self.contract.joint_names)
        self.observer, self.limits = Observer(self.contract), Limits.of(self.contract)
        self.soft_start_ticks = max(1, round(soft_start / self.contract.control_period))
        self.stop = EmergencyStop()
        self.figures = Figures()
        self.recorder = Recorder(log, self.contract.num_joints, self.contract.frame_width, self.contract.control_period)
        self._default = np.array(self.contract.default_position)

    def run(self, command: tuple[float, float, float], seconds: float) -> Trip | None:
        """Arm, rise, walk at `command` (vx [m/s], vy [m/s], yaw rate [rad/s]) for `seconds`, damp.

        Returns:
            The trip that ended it early, if one did. Every call arms anew, except after an emergency stop.

        Raises:
            ValueError: the policy was not trained for such a command; the robot is not touched.
            ConnectionError: the robot reports no state (lockstep: at any tick; real clock: at the start).
        """
        check_command(self.contract, command)
        self._command = np.array(command, dtype=np.float64)
        self.observer.restart()
        with self.stop.on_signals():
            try:
                self._arm()
                self._walk(seconds)
            finally:
                self._damp()
        return self._trip

    def close(self) -> dict[str, Any]:
        """Finish the log; returns the figures of all runs."""
        report = self.report()
        self.recorder.close(joint_names=self.contract.joint_names, robot=self.contract.robot, **report)
        return report

    def report(self) -> dict[str, Any]:
        """Figures of all runs so far."""
        dropped = dict(getattr(self.robot, "dropped", {}))
        return {**self.figures.as_dict(), "dropped": dropped}

    def _arm(self) -> None:
        self._trip: Trip | None = None
        self._mode, self._stale, self._tick = Mode.ARM, 0, 0
        state = self.robot.receive(max(ARM_SECONDS, self.clock.patience))
        if state is None:
            raise ConnectionError(f"the robot reported no state within {max(ARM_SECONDS, self.clock.patience)} s")
        self._state, self._arrived = state, time.perf_counter()
        self._start = self._last_target = state.joint_pos
        self._sent: RobotCommand | None = None
        self.clock.start()

    def _walk(self, seconds: float) -> None:
        began, late = time.monotonic(), self.clock.late_ticks
        try:
            if self._repeat(Mode.SOFT_START, self._rise, self.soft_start_ticks):
                self._repeat(Mode.RUN, self._decide, round(seconds / self.contract.control_period))
        finally:
            self.figures.seconds += time.monotonic() - began
            self.figures.late_ticks += self.clock.late_ticks - late

    def _repeat(self, mode: Mode, propose: Callable[[RobotState], Array], ticks: int) -> bool:
        """Run `ticks` ticks; False as soon as a guard trips."""
        self._mode = mode
        for self._tick in range(ticks):
            self.clock.wait()
            self._receive()
            self._control(propose)
            if self._trip is not None:
                return False
        return True

    def _receive(self) -> None:
        """Take the newest state; a repeated one, or none, makes the last one staler."""
        if self._sent is None:  # the state that armed the robot
            return
        state = self.robot.receive(self.clock.patience)
        if state is None and self.clock.patience > 0.0:
            raise ConnectionError(
                f"the robot reported no state within {self.clock.patience} s; it stopped, or its process died"
            )
        if state is not None and state.sequence > self._state.sequence and state.time > self._state.time:
            self._state, self._stale, self._arrived = state, 0, time.perf_counter()
        else:
            self._stale += 1

    def _control(self, propose: Callable[[RobotState], Array]) -> None:
        began = time.perf_counter()
        wanted = propose(self._state)
        verdict = check(self._seen(wanted), self.limits)
        if verdict.tripped:
            sent = self._send_damping()
        else:
            sent = self._send(verdict.target, self.limits.kp, self.limits.kd)
        self._note(wanted, verdict, sent, (time.perf_counter() - began) * 1e6)

    def _seen(self, wanted: Array) -> Tick:
        return Tick(
            state=self._state,
            stale_ticks=self._stale,
            observation=self.observer.newest,
            memory=self.observer.memory,
            target=wanted,
            last_target=self._last_target,
            stop=self.stop.pressed_by,
        )

    def _rise(self, state: RobotState) -> Array:
        share = (self._tick + 1) / self.soft_start_ticks
        return self._start + share * (self._default - self._start)

    def _decide(self, state: RobotState) -> Array:
        observation = self.observer.observe(state, self._command, self._last_target)
        targets, self.observer.memory = self.policy(observation, self.observer.memory)
        return targets[0].astype(np.float64)

    def _note(self, wanted: Array, verdict: Verdict, sent: RobotCommand, tick_us: float) -> None:
        self.figures.add(tick_us, verdict.bounded)
        self._record(sent, wanted, tick_us)
        if verdict.tripped:
            self._trip = Trip(
                guard=verdict.tripped,
                reason=verdict.reason,
                time=self._state.time,
                sequence=self._state.sequence,
                reaction_ms=(time.perf_counter() - self._arrived) * 1e3,
            )
            self.figures.trips.append(self._trip)
            self.recorder.trip()

    def _record(self, sent: RobotCommand, wanted: Array, tick_us: float) -> None:
        state = self._state
        self.recorder.add(
            mode=self._mode,
            sequence=state.sequence,
            time=state.time,
            stale=self._stale,
            joint_pos=state.joint_pos,
            joint_vel=state.joint_vel,
            joint_torque=state.joint_torque,
            orientation=state.orientation,
            gyro=state.gyro,
            command=self._command,
            observation=self.observer.newest,
            wanted=wanted,
            target=sent.joint_pos,
            kp=sent.kp,
            kd=sent.kd,
            tick_us=tick_us,
        )

    def _send(self, target: Array, kp: Array, kd: Array) -> RobotCommand:
        sent = RobotCommand(sequence=self._state.sequence, joint_pos=target, kp=kp, kd=kd)
        self._sent, self._last_target = sent, target
        self.robot.send(sent)
        return sent

    def _send_damping(self) -> RobotCommand:
        self._mode = Mode.DAMP
        q = np.where(np.isfinite(self._state.joint_pos), self._state.joint_pos, self._default)
        return self._send(q, np.zeros_like(self.limits.kp), DAMPING * self.limits.kd)

    def _damp(self) -> None:
        """Let the robot down gently; states no longer matter."""
        if self._mode == Mode.ARM:
            return
        if self._sent is None or self._sent.sequence != self._state.sequence:  # a state that nobody answered
            self._send_damping()
        for _ in range(round(DAMP_SECONDS / self.contract.control_period)):
            self.clock.wait()
            state = self.robot.receive(self.clock.patience)
            if state is None and self.clock.patience > 0.0:
                return
            self._state = state or self._state
            self._send_damping()
