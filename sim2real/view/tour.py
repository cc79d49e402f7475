"""Footage of a bare robot: it stands under its own servos, then hangs while each joint sweeps its range. SI."""

import numpy as np
from numpy.typing import NDArray

from robots.model import default_data, has_free_base, joint_qpos_indices
from sim2real.report.captions import Caption
from sim2real.report.footage import Footage
from sim2real.view.bare import BareRobot, hold, unit
from sim2real.view.simulation import initial

STANDING = 0.2
"""Share of the film in which the robot holds its pose."""
SECONDS_A_JOINT = 1.2
STANDING_SECONDS = 2.0


def natural_seconds(robot: BareRobot) -> float:
    """Time in which every joint can be followed by eye [s]."""
    return STANDING_SECONDS + SECONDS_A_JOINT * robot.spec.num_joints


def tour(robot: BareRobot, seconds: float) -> Footage:
    """Hold the pose, then move one joint after the other from its low limit to its high one, in `seconds` all told."""
    hz = robot.spec.control_hz
    ticks = round(seconds * hz)
    standing = round(STANDING * ticks)
    stood = [_stand(robot) for _ in range(standing)]
    moved, captions = _sweeps(robot, ticks - standing)
    return Footage(
        qpos=np.array(stood + moved)[:, None],
        captions=(Caption("holds its pose"),) * standing + tuple(captions),
        starts=(standing,),
        control_hz=hz,
    )


def sweep(share: NDArray[np.float64], low: float, middle: float, high: float) -> NDArray[np.float64]:
    """From `middle` down to `low`, up to `high` and back, for shares 0..1 of the time; smooth at the turns."""
    corners, values = np.array([0.0, 0.25, 0.75, 1.0]), np.array([middle, low, high, middle])
    leg = np.clip(np.searchsorted(corners, share, side="right") - 1, 0, 2)
    within = (share - corners[leg]) / (corners[leg + 1] - corners[leg])
    return values[leg] + (values[leg + 1] - values[leg]) * (1.0 - np.cos(np.pi * within)) / 2.0


def _stand(robot: BareRobot) -> NDArray[np.float64]:
    robot.step(initial(robot.knobs))
    return robot.state().qpos[0]


def _sweeps(robot: BareRobot, ticks: int) -> tuple[list[NDArray[np.float64]], list[Caption]]:
    """Poses and captions; kinematic, as if hung up, so that nothing hinders a joint."""
    spec, data = robot.spec, default_data(robot.model)
    if has_free_base(robot.model, spec):
        hold(spec, robot.model, data)
    poses, captions = [], []
    turns = np.array_split(np.arange(ticks), spec.num_joints)
    for joint, index, turn in zip(spec.joints, joint_qpos_indices(robot.model, spec), turns, strict=True):
        low, high = joint.position_limits
        extent = f"of {low:+.2f} … {high:+.2f} {unit(joint, robot.model)}"
        for position in sweep(np.linspace(0.0, 1.0, len(turn)), low, joint.default_position, high):
            pose = data.qpos.copy()
            pose[index] = position
            poses.append(pose)
            captions.append(Caption(joint.name, f"{position:+.2f} {extent}"))
    return poses, captions
