"""From a policy's dimensionless action to joint targets [rad]; one line for training, numpy and the exported graph.

    q_target = clip(q_nom + s·clip(a) + lift·max(0, sin(phase of the leg)), q_min, q_max)

`s` carries the semantic sign, so the same action means the same motion on every robot (swing forward, extend, abduct
outward); the open-loop foot lift is what makes walking learnable within minutes.
"""

from typing import Any

ACTION_SCALE = 0.35
"""Joint travel of one unit of action [rad]."""
ACTION_CLIP = 4.0
"""Actions beyond this are clipped [1]."""

Array = Any


def joint_targets(
    xp: Any,
    action: Array,
    clock: Array,
    *,
    default_position: Array,
    action_scale: Array,
    lift: Array,
    leg_sign: Array,
    low: Array,
    high: Array,
    action_clip: Array = ACTION_CLIP,
) -> Array:
    """Joint targets [rad], (..., num_joints).

    Args:
        xp: Array namespace of the arrays.
        action: (..., num_joints), dimensionless.
        clock: (..., 2), sine and cosine of the gait phase; both zero when standing.
        default_position: Nominal pose [rad], (num_joints,).
        action_scale: Signed travel of one unit of action [rad], (num_joints,).
        lift: Joint offsets at the height of the swing [rad], (num_joints,).
        leg_sign: +1 for legs that swing while sin(phase) > 0, −1 for the others, (num_joints,).
        low: Least targets [rad], (num_joints,).
        high: Greatest targets [rad], (num_joints,).
        action_clip: Actions beyond this are clipped [1].
    """
    swing = xp.clip(clock[..., 0:1] * leg_sign, 0.0, 1.0)
    target = default_position + action_scale * xp.clip(action, -action_clip, action_clip) + lift * swing
    return xp.clip(target, low, high)
