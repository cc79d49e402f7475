"""What stands between a policy and the motors: one ordered list, every guard of every tick in it.

A guard either trips, and the robot is damped until somebody arms it again, or bounds the joint targets. Targets that
break no bound pass through bit for bit. Numbers that are not finite always trip: they are never clamped.
Where bounds contradict each other the later one holds: positions before steps, steps before torques, which the drives
saturate themselves.
SI; joint arrays in the canonical order of the contract.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from policies.contract import PolicyContract
from robots.state import Array, RobotState

STALE_TICKS = 3
"""Ticks without a new state that are survived."""
TILT = 1.0
"""Angle between base and gravity that means a fall [rad]."""
UNIT = 0.01
"""A quaternion's norm differs at most so much from 1; beyond, the IMU is broken."""
POSITION_MARGIN = 0.02
"""Targets keep this far from the mechanical limits [rad]."""
POSITION_BEYOND = 0.15
"""Measured this far beyond the mechanical limits, an encoder or a joint is broken [rad]."""
SPEED_FACTOR = 1.5
"""Measured joint speed that trips, in units of the joint's limit."""


@dataclass(frozen=True, kw_only=True)
class Tick:
    """What the guards see of one control tick."""

    state: RobotState
    stale_ticks: int
    """Ticks since a state came whose sequence and time had moved on."""
    observation: NDArray[np.float32]
    """What the policy saw."""
    memory: NDArray[np.float32]
    """What the policy hands to its next tick; nothing for most."""
    target: Array
    """What the policy wants [rad]; bounded by the guards before this one."""
    last_target: Array
    """What was commanded last [rad]."""
    stop: str = ""
    """Who asked for an emergency stop."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the robot may do, from its contract."""

    low: Array
    high: Array
    speed: Array
    torque: Array
    kp: Array
    kd: Array
    step: Array
    """Largest change of a target in one tick [rad]."""

    @staticmethod
    def of(contract: PolicyContract) -> "Limits":
        speed = np.array(contract.velocity_limit)
        return Limits(
            low=np.array(contract.position_low),
            high=np.array(contract.position_high),
            speed=speed,
            torque=np.array(contract.torque_limit),
            kp=np.array(contract.kp),
            kd=np.array(contract.kd),
            step=speed * contract.control_period,
        )


def _emergency_stop(tick: Tick, limits: Limits) -> str:
    return f"{tick.stop} asked for it" if tick.stop else ""


def _stale_state(tick: Tick, limits: Limits) -> str:
    return f"no new state for {tick.stale_ticks} ticks" if tick.stale_ticks > STALE_TICKS else ""


def _non_finite(tick: Tick, limits: Limits) -> str:
    state = tick.state
    sensors = (state.joint_pos, state.joint_vel, state.joint_torque, state.orientation, state.gyro)
    seen: dict[str, NDArray] = {"state": np.concatenate(sensors), "observation": tick.observation}
    seen |= {"memory": tick.memory, "target": tick.target}
    for name, values in seen.items():
        if not np.isfinite(values).all():
            return f"the {name} is not finite"
    return ""


def _imu(tick: Tick, limits: Limits) -> str:
    norm = float(np.linalg.norm(tick.state.orientation))
    return "" if abs(norm - 1.0) <= UNIT else f"the orientation is no rotation: its quaternion has norm {norm:.2f}"


def _tilt(tick: Tick, limits: Limits) -> str:
    _, x, y, _ = tick.state.orientation.tolist()
    upright = 1.0 - 2.0 * (x * x + y * y)  # cosine of the angle between the base's z and the world's
    return "" if upright > math.cos(TILT) else f"the base is tilted by {math.acos(max(-1.0, upright)):.2f} rad"


def _position(tick: Tick, limits: Limits) -> str:
    q = tick.state.joint_pos
    beyond = np.maximum(limits.low - q, q - limits.high)
    return _worst("measured {value:.2f} rad beyond its range", beyond, beyond > POSITION_BEYOND)


def _speed(tick: Tick, limits: Limits) -> str:
    speed = np.abs(tick.state.joint_vel)
    return _worst("moves at {value:.1f} rad/s", speed, speed > SPEED_FACTOR * limits.speed)


def _position_limit(tick: Tick, limits: Limits) -> Array:
    return _between(limits.low + POSITION_MARGIN, tick.target, limits.high - POSITION_MARGIN)


def _step_limit(tick: Tick, limits: Limits) -> Array:
    return _between(tick.last_target - limits.step, tick.target, tick.last_target + limits.step)


def _torque_limit(tick: Tick, limits: Limits) -> Array:
    """Keep the predicted torque kp·(q* − q) − kd·dq within the limit."""
    q, damping = tick.state.joint_pos, limits.kd * tick.state.joint_vel
    return _between(q + (damping - limits.torque) / limits.kp, tick.target, q + (damping + limits.torque) / limits.kp)


@dataclass(frozen=True)
class Guard:
    """One line of the list."""

    name: str
    trips: Callable[[Tick, Limits], str] | None = None
    """Returns why, or nothing."""
    bounds: Callable[[Tick, Limits], Array] | None = None
    """Returns the target that is allowed [rad]."""


GUARDS = (
    Guard("emergency_stop", trips=_emergency_stop),
    Guard("stale_state", trips=_stale_state),
    Guard("non_finite", trips=_non_finite),
    Guard("imu", trips=_imu),
    Guard("tilt", trips=_tilt),
    Guard("position", trips=_position),
    Guard("speed", trips=_speed),
    Guard("torque_limit", bounds=_torque_limit),
    Guard("step_limit", bounds=_step_limit),
    Guard("position_limit", bounds=_position_limit),
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the guards decided about a tick."""

    target: Array
    """What may be commanded [rad]; meaningless after a trip."""
    bounded: tuple[str, ...] = ()
    """Guards that changed the target."""
    tripped: str = ""
    """Guard that tripped, or nothing."""
    reason: str = ""


def check(tick: Tick, limits: Limits) -> Verdict:
    """Ask every guard, in order."""
    bounded: list[str] = []
    for guard in GUARDS:
        if guard.trips is not None and (reason := guard.trips(tick, limits)):
            return Verdict(target=tick.target, tripped=guard.name, reason=reason)
        if guard.bounds is not None:
            allowed = guard.bounds(tick, limits)
            if (allowed != tick.target).any():
                bounded.append(guard.name)
                tick = replace(tick, target=allowed)
    return Verdict(target=tick.target, bounded=tuple(bounded))


def _between(low: Array, values: Array, high: Array) -> Array:
    return np.minimum(np.maximum(values, low), high)


def _worst(text: str, values: Array, broken: NDArray[np.bool_]) -> str:
    if not broken.any():
        return ""
    joint = int(np.argmax(np.where(broken, values, -np.inf)))
    return f"joint {joint} {text.format(value=values[joint])}"
