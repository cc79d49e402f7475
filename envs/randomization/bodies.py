"""Link lengths: bodies of one parametric family, of which a world gets another one at each restart.

They are compiled once, evenly spaced over the range; a drawn length stands for the nearest of them. Masses, inertias,
shapes and motors follow the length as the family has it; other parameters act on the body of the world.
"""

import mujoco
import numpy as np
import torch

from envs.physics.interface import Physics
from envs.randomization.anatomy import compiled
from envs.randomization.parameter import Range
from robots import families
from robots.model import Contacts, build_model
from robots.spec import RobotSpec
from robots.topology import topology

COUNT = 9
"""Bodies over the whole range; odd, so that the middle is one of them."""
Entry = tuple[str, int, int]
"""Field, row, column of a model."""


class Bodies:
    """Bodies whose links are `factors` times as long.

    Attributes:
        factors: Ascending, the nominal 1 among them.
        values: Entry -> (number of bodies,) compiled values, of every entry in which a body differs from the nominal.
    """

    def __init__(self, physics: Physics, spec: RobotSpec, span: Range) -> None:
        factors = np.unique(np.append(np.linspace(*span, COUNT), 1.0))
        self.factors = torch.from_numpy(factors).to(physics.device)
        fields = _fields(physics.model, [lengthened(spec, float(factor)) for factor in factors])
        self.values: dict[Entry, np.ndarray] = {}
        for field, bodies in fields.items():
            nominal = compiled(physics.model, field)
            table = bodies.reshape(len(factors), *nominal.shape)
            for row, column in np.argwhere((table != nominal).any(0)):
                self.values[field, int(row), int(column)] = table[:, row, column]

    def index(self, factor: torch.Tensor) -> torch.Tensor:
        """(n,) which body is nearest to each factor, (n,).

        Raises:
            ValueError: a factor lies outside the range for which bodies were compiled.
        """
        low, high = self.factors[0], self.factors[-1]
        if bool((factor < low - 1e-9).any() or (factor > high + 1e-9).any()):
            raise ValueError(
                f"link_length must lie within {low:g}..{high:g}, got {factor.tolist()}; set its range first"
            )
        return (factor[:, None] - self.factors).abs().argmin(-1)


def lengthened(spec: RobotSpec, factor: float) -> RobotSpec:
    """The member of a robot's family whose links are `factor` times as long: a quadruped's legs, an arm's reach."""
    body = families.parse(spec.name)
    if isinstance(body, families.Arm):
        return families.vary(spec, reach=body.reach * factor)
    return families.vary(spec, leg_length=body.leg_length * factor)


def lacks_family(spec: RobotSpec, model: mujoco.MjModel) -> str:
    """Why a robot's links have one length only; empty if they can have others."""
    if model.nhfield:
        return "it acts on flat ground, and this ground is rough"
    try:
        families.parse(spec.name)
    except (LookupError, ValueError):
        return "it acts on parametric robots, and there are none of another length"
    return ""


def _fields(model: mujoco.MjModel, specs: list[RobotSpec]) -> dict[str, np.ndarray]:
    """What differs between the bodies, whichever contacts the model was compiled with."""
    samples = int(model.actuator_history[:, 0].max(initial=0))
    choices: tuple[Contacts, Contacts] = ("feet", "full")
    builds = [build_model(specs[0], contacts=one, delay_samples=samples) for one in choices]
    alike = [topology(build) == topology(model) for build in builds]
    contacts = choices[alike.index(True) if True in alike else 0]
    found = families.family_fields(model, specs, contacts=contacts, delay_samples=samples)
    return {field: values for field, values in found.items() if not field.startswith("key_")}
