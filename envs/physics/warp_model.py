"""What MuJoCo Warp must be told about a model, beyond the model."""

import copy

import mujoco
import numpy as np

MAX_CONTACTS = 64
"""Contacts of one world for which room is made at most; a fallen humanoid touches the ground at some twenty points."""


def contact_room(model: mujoco.MjModel, pairs: np.ndarray) -> int:
    """Contacts per world to make room for, given the pairs of geoms that may touch, (num_pairs, 2)."""
    kinds = model.geom_type[pairs]
    contacts = np.where((kinds == mujoco.mjtGeom.mjGEOM_SPHERE).any(-1), 1, 4)
    contacts[(kinds == mujoco.mjtGeom.mjGEOM_HFIELD).any(-1)] = 8  # a geom touches several facets of rough ground
    return int(np.clip(contacts.sum(), 1, MAX_CONTACTS))


def row_room(model: mujoco.MjModel, contacts: int) -> int:
    """Constraint rows of one world: equalities, friction of joints, limits, and `contacts` contacts."""
    condim = int(max([1, *model.geom_condim, *model.pair_dim]))
    elliptic = model.opt.cone == mujoco.mjtCone.mjCONE_ELLIPTIC
    rows = condim if elliptic else max(1, 2 * (condim - 1))
    limits = int(model.jnt_limited.sum() + model.tendon_limited.sum())
    return 6 * model.neq + model.nv + model.ntendon + limits + rows * contacts


def time_stamps(model: mujoco.MjModel) -> np.ndarray:
    """Where the actuators' delay buffers, (user value, cursor, time stamps, values), keep times in `history`."""
    buffers = zip(model.actuator_historyadr, model.actuator_history[:, 0], strict=True)
    return np.concatenate([np.zeros(0, dtype=np.int64), *(start + 2 + np.arange(n) for start, n in buffers if n > 0)])


def with_own_back_emf(model: mujoco.MjModel) -> mujoco.MjModel:
    """A copy whose DC motors compute their back-EMF themselves.

    `robots.actuation` gives them the same torque as an affine bias, which is cheaper on the CPU. At the torque limit
    MuJoCo leaves that bias out of the implicit integration; MuJoCo Warp 4.0 does so only for a motor's own.
    """
    changed = copy.copy(model)
    motors = changed.actuator_gaintype == mujoco.mjtGain.mjGAIN_DCMOTOR
    if (changed.actuator_biasprm[motors][:, [0, 1]] != 0.0).any():
        raise ValueError("DC motors with a bias other than back-EMF are not supported on MuJoCo Warp")
    changed.actuator_biastype[motors] = mujoco.mjtBias.mjBIAS_DCMOTOR
    return changed
