"""The parameters of the model, in the order of a sample: first those that teachers have always seen.

Ranges of the preset "full" follow what published work trains with (legged_gym, mjlab, Isaac Lab, MuJoCo Playground:
mass ±15–20 %, gains ±20 %, friction 0.3–1.25, delays of 0–20 ms) and are assumptions elsewhere.
"""

import torch

from envs.randomization.anatomy import Anatomy
from envs.randomization.parameter import Claim, Parameter
from envs.randomization.plan import Sheet, each_row_times
from robots.actuation import BACK_EMF, KD, KP, RESISTANCE

MASS_CONSTANTS = (
    *("body_subtreemass", "body_invweight0", "dof_invweight0", "dof_M0", "dof_length"),
    *("tendon_invweight0", "actuator_acc0"),
)
"""What MuJoCo derives from masses, inertias and armatures."""
FRAME_CONSTANTS = ("body_sameframe", "geom_sameframe", "site_sameframe", "bvh_aabb", "cam_poscom0", "light_poscom0")
"""What it derives besides from the place of a centre of mass."""
PAYLOAD_HEIGHT = 0.2
"""Height of a payload over its carrier's frame, in units of L."""


def _com(axis: int, full: tuple[float, float]) -> Parameter:
    return Parameter(
        name=f"com_{'xyz'[axis]}",
        unit="L",
        nominal=0.0,
        full=full,
        claims=(Claim(field="body_ipos", rows="base", columns=(axis,), operation="add"),),
        constants=MASS_CONSTANTS + FRAME_CONSTANTS,
    )


def _factor(name: str, full: tuple[float, float], *claims: Claim, constants: tuple[str, ...] = ()) -> Parameter:
    """A factor on a property of every joint."""
    return Parameter(
        name=name,
        unit="1",
        nominal=1.0,
        full=full,
        claims=claims,
        constants=constants,
        per="joint",
    )


def _slope(axis: int) -> Parameter:
    return Parameter(
        name=f"slope_{'xy'[axis]}",
        unit="g",
        nominal=0.0,
        full=(-0.05, 0.05),
        claims=(Claim(field="opt.gravity", rows=("leaning_x", "leaning_y")[axis], columns=(axis,), operation="add"),),
    )


def _contact(name: str, full: tuple[float, float], field: str, column: int) -> Parameter:
    claim = Claim(field=field, rows="feet", columns=(column,))
    return Parameter(name=name, unit="1", nominal=1.0, full=full, claims=(claim,))


def write_payload(parameter: Parameter, sheet: Sheet, value: torch.Tensor, anatomy: Anatomy) -> None:
    """Fix a point mass, `value` (n, 1) in units of m, over the carrier: parallel axes, then principal ones again."""
    body = anatomy.carrier
    mass, centre = sheet.row("body_mass", body), sheet.row("body_ipos", body)
    moments, attitude = sheet.row("body_inertia", body), sheet.row("body_iquat", body)
    load = value * anatomy.units[parameter.unit]
    total, axes = mass + load, _rotation(attitude)
    offset = mass.new_tensor([0.0, 0.0, PAYLOAD_HEIGHT * anatomy.units["L"]]) - centre
    # Two bodies about their common centre: I + µ(|r|² − r rᵀ), r from one to the other, µ their reduced mass.
    distance = (offset**2).sum(-1)[:, None, None] * torch.eye(3, dtype=mass.dtype, device=mass.device)
    spread = (mass * load / total)[:, :, None] * (distance - offset[:, :, None] * offset[:, None, :])
    principal, axes = torch.linalg.eigh(axes @ torch.diag_embed(moments) @ axes.mT + spread)
    quaternion = _quaternion(axes * torch.linalg.det(axes).sign()[:, None, None])  # a rotation, no reflection
    attitude[:] = torch.where(load > 0.0, quaternion, attitude)  # axes as compiled where there is no load
    moments[:] = torch.where(load > 0.0, principal, moments)
    centre += offset * load / total
    mass[:] = total


def _quaternion_products() -> torch.Tensor:
    """(4, 4, 3, 3): R_ij = Σ_ab q_a q_b P_abij for unit quaternions, and 4 q_a q_b = δ_ab + Σ_ij P_abij R_ij."""
    products = torch.zeros(4, 4, 3, 3, dtype=torch.float64)
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        for index, sign in ((0, 1.0), (1 + i, 1.0), (1 + j, -1.0), (1 + k, -1.0)):
            products[index, index, i, i] = sign
        for (a, b), row, column, sign in (((1 + i, 1 + j), i, j, 1.0), ((0, 1 + k), i, j, -1.0)):
            for first, second in ((a, b), (b, a)):
                products[first, second, row, column] = sign
                products[first, second, column, row] = 1.0 if a else -sign
    return products


_PRODUCTS = _quaternion_products()


def _rotation(quaternion: torch.Tensor) -> torch.Tensor:
    """(n, 3, 3) of unit quaternions (w, x, y, z), (n, 4)."""
    pairs = (quaternion[:, :, None] * quaternion[:, None, :]).flatten(1)
    return each_row_times(pairs, _PRODUCTS.to(pairs).flatten(0, 1).flatten(1)).unflatten(-1, (3, 3))


def _quaternion(rotation: torch.Tensor) -> torch.Tensor:
    """(n, 4) unit quaternions (w, x, y, z) of rotations, (n, 3, 3): of q qᵀ, the eigenvector of the eigenvalue 1."""
    pairs = each_row_times(rotation.flatten(1), _PRODUCTS.to(rotation).flatten(0, 1).flatten(1).mT)
    return torch.linalg.eigh(pairs.unflatten(-1, (4, 4)))[1][:, :, -1]


MODEL_TERMS: tuple[Parameter, ...] = (
    Parameter(
        name="mass",
        unit="1",
        nominal=1.0,
        full=(0.85, 1.15),
        claims=(
            Claim(field="body_mass", rows="trunk"),
            Claim(field="body_inertia", rows="trunk", columns=(0, 1, 2)),
        ),
        constants=MASS_CONSTANTS,
    ),
    _com(0, (-0.1, 0.1)),
    _com(1, (-0.07, 0.07)),
    _com(2, (-0.07, 0.07)),
    Parameter(
        name="friction",
        unit="1",
        nominal=1.0,
        full=(0.4, 1.25),
        claims=(Claim(field="geom_friction", rows="feet", operation="set"),),
    ),
    _factor("kp", (0.8, 1.2), Claim(field="actuator_gainprm", rows="servos", columns=(KP,))),
    _factor("kd", (0.8, 1.2), Claim(field="actuator_gainprm", rows="servos", columns=(KD,))),
    _factor("damping", (0.5, 2.0), Claim(field="dof_damping", rows="dofs")),
    _factor("friction_loss", (0.5, 2.0), Claim(field="dof_frictionloss", rows="dofs")),
    _factor(
        "strength",
        (0.85, 1.05),
        Claim(field="actuator_forcerange", rows="actuators", columns=(0, 1)),
        Claim(field="actuator_biasprm", rows="actuators", columns=(BACK_EMF,)),
        Claim(field="actuator_gainprm", rows="actuators", columns=(RESISTANCE,), operation="divide"),
    ),
    _factor("delay", (0.0, 2.5), Claim(field="actuator_delay", rows="actuators")),
    _factor("armature", (0.8, 1.2), Claim(field="dof_armature", rows="dofs"), constants=MASS_CONSTANTS),
    Parameter(
        name="foot_friction",
        unit="1",
        nominal=1.0,
        full=(0.8, 1.2),
        claims=(Claim(field="geom_friction", rows="feet"),),
        per="foot",
    ),
    Parameter(
        name="surface_friction",
        unit="1",
        nominal=1.0,
        full=(0.6, 1.4),
        claims=(Claim(field="geom_friction", rows="surfaces"),),
    ),
    Parameter(
        name="payload",
        unit="m",
        nominal=0.0,
        full=(0.0, 0.1),
        claims=(
            Claim(field="body_mass", rows="carrier", operation="add"),
            Claim(field="body_ipos", rows="carrier", columns=(0, 1, 2), operation="add"),
            Claim(field="body_inertia", rows="carrier", columns=(0, 1, 2), operation="add"),
            Claim(field="body_iquat", rows="carrier", columns=(0, 1, 2, 3), operation="add"),
        ),
        constants=MASS_CONSTANTS + FRAME_CONSTANTS,
        write=write_payload,
    ),
    _slope(0),
    _slope(1),
    _contact("contact_time", (0.75, 1.5), "geom_solref", 0),
    _contact("contact_width", (0.5, 2.0), "geom_solimp", 2),
    Parameter(  # chooses a whole body: see `bodies`
        name="link_length",
        unit="1",
        nominal=1.0,
        full=(0.95, 1.05),
        claims=(),
        constants=MASS_CONSTANTS + FRAME_CONSTANTS,
    ),
)
"""All of them; later ones act on what earlier ones wrote."""

BY_NAME = {parameter.name: parameter for parameter in MODEL_TERMS}
MODEL_FIELDS = tuple(dict.fromkeys(field for parameter in MODEL_TERMS for field in parameter.fields))
"""What samples write."""
PARAMETERS = tuple(parameter.name for parameter in MODEL_TERMS[:11])
"""Names of the parameters that a teacher sees, in the order in which it sees them."""
assert PARAMETERS[-1] == "delay"
