"""Many bodies of one topology inside one compiled model: what differs between them, field by field."""

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from robots.model import Contacts, build_model
from robots.spec import RobotSpec
from robots.topology import differing_fields, field_value, topology

DERIVED = frozenset(mujoco.MjModel._setconst_outputs) - frozenset(mujoco.MjModel._setconst_inputs)
"""Fields that `set_const` computes from the others."""
POSES = ("key_qpos", "key_ctrl")
"""The nominal pose, from which worlds start."""


def family_fields(
    base: mujoco.MjModel, specs: Sequence[RobotSpec], *, contacts: Contacts = "feet", delay_samples: int = 0
) -> dict[str, NDArray]:
    """Model fields that turn `base` into each of `specs`, once they are written per world and `set_const` has run.

    Args:
        base: Compiled model of a robot of the same topology, whose worlds become the bodies.
        specs: Bodies, n of them.
        contacts: As `base` was built.
        delay_samples: As `base` was built.

    Returns:
        Field name, "opt." before those of MjOption -> (n, ...), for every field in which any of the bodies differs and
        for the nominal pose.

    Raises:
        ValueError: a body has other joints, shapes or actuators, or another physics step.
    """
    models = [build_model(spec, contacts=contacts, delay_samples=delay_samples) for spec in specs]
    for spec, model in zip(specs, models, strict=True):
        _check_topology(base, model, spec.name)
    names = [name for name in differing_fields([base, *models]) if name not in DERIVED]
    return {name: np.stack([np.asarray(field_value(model, name)) for model in models]) for name in (*names, *POSES)}


def _check_topology(base: mujoco.MjModel, model: mujoco.MjModel, name: str) -> None:
    if topology(base) != topology(model):
        raise ValueError(
            f"bodies in the worlds of one model must have its joints, shapes and actuators ({base.nbody} bodies, "
            f"{base.nu} actuators, {base.ngeom} shapes), got {name} with {model.nbody}, {model.nu} and {model.ngeom}; "
            f"build both with the same contacts and delay_samples, or step them as a robot group"
        )
    if base.opt.timestep != model.opt.timestep:
        raise ValueError(
            f"bodies in the worlds of one model must have its physics step, {base.opt.timestep} s, "
            f"got {name} with {model.opt.timestep} s"
        )
