"""Which compiled models can share one batch, and where their numbers differ."""

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import MODEL_FIELDS

SIZES = ("nq", "nv", "nu", "na", "nbody", "njnt", "ngeom", "nsite", "neq", "nsensor", "npair", "nexclude", "nhfield")
STRUCTURE = (
    *("body_parentid", "jnt_type", "jnt_bodyid", "geom_type", "geom_bodyid", "geom_contype", "geom_conaffinity"),
    *("actuator_trnid", "actuator_trntype", "actuator_gaintype", "actuator_biastype", "actuator_dyntype"),
    *("actuator_history", "hfield_size", "hfield_data", "mesh_vert"),
)
OPTIONS = ("integrator", "cone", "solver", "iterations", "ls_iterations", "disableflags", "enableflags")
LOOKS = ("name", "key_", "cam_", "light_", "mat_", "text_", "tuple_", "numeric_")
"""Beginnings of the names of fields that physics does not read."""


def topology(model: mujoco.MjModel) -> tuple[Any, ...]:
    """Equal for models that differ in numbers alone: same tree, joints, shapes, actuators and options of the solver.

    Ground and meshes are shared by all worlds of a batch, so they must be the same to the last number.
    """
    sizes = tuple(int(getattr(model, name)) for name in SIZES)
    structure = tuple(getattr(model, name).tobytes() for name in STRUCTURE)
    return sizes + structure + tuple(float(getattr(model.opt, name)) for name in OPTIONS)


def differing_fields(models: Sequence[mujoco.MjModel]) -> list[str]:
    """Names of the model fields, "opt." before those of MjOption, whose values are not the same in all models."""
    first = models[0]
    physical = sorted(
        name for name in MODEL_FIELDS if not name.startswith(LOOKS) and not name.endswith(("_user", "_rgba"))
    )
    return [name for name in physical if any(_differ(name, first, other) for other in models[1:])]


def _differ(name: str, one: mujoco.MjModel, other: mujoco.MjModel) -> bool:
    mine, theirs = field_value(one, name), field_value(other, name)
    return isinstance(mine, np.ndarray | float | int) and not np.array_equal(mine, theirs)


def field_value(model: mujoco.MjModel, name: str) -> Any:
    """A model field by its name in `mujoco.batch`: "body_mass", "opt.gravity"; None where there is none."""
    return getattr(model.opt, name[4:], None) if name.startswith("opt.") else getattr(model, name, None)
