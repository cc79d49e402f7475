"""A compiled model as one flat MJCF: no defaults, no includes, every number explicit and at full precision.

`MjSpec.to_xml` writes six digits; two robots that must agree to twelve need all of them. SI.
"""

import xml.etree.ElementTree as ET

import mujoco
import numpy as np

from robots.primitives import SHAPES, body_name
from robots.topology import differing_fields, field_value

PLANE = int(mujoco.mjtGeom.mjGEOM_PLANE)
JOINTS = {0: "free", 1: "ball", 2: "slide", 3: "hinge"}
GEOMS = {int(kind): kind.name.removeprefix("mjGEOM_").lower() for kind in mujoco.mjtGeom.__members__.values()}
SHAPE_FIELDS = (
    *("size", "pos", "quat", "contype", "conaffinity", "condim", "group", "priority", "friction"),
    *("solmix", "solref", "solimp", "margin", "gap", "rgba"),
)
KEPT_OPTIONS = ("gravity", "wind", "density", "viscosity", "magnetic")
FLAGS = (("disable", mujoco.mjtDisableBit, "disableflags"), ("enable", mujoco.mjtEnableBit, "enableflags"))


def flat_mjcf(model: mujoco.MjModel) -> str:
    """MJCF of bodies, joints, shapes, sites and what surrounds them.

    Actuators, sensors and keyframes are not written: `robots.model` adds them. Names and looks survive.

    Raises:
        ValueError: the model holds something else, like a mesh, a tendon or an equality constraint.
    """
    text = write_flat(model)
    lost = _lost(model, mujoco.MjModel.from_xml_string(text))
    if lost:
        raise ValueError(f"a flat MJCF cannot express this model: {', '.join(lost)} would change; keep to primitives")
    return text


def write_flat(model: mujoco.MjModel) -> str:
    """`flat_mjcf` of a model whose derived constants may be stale, unchecked."""
    root = ET.Element("mujoco")
    add(root, "compiler", angle="radian", autolimits="false", inertiafromgeom="false")
    option = add(root, "option", **{name: getattr(model.opt, name) for name in KEPT_OPTIONS})
    add(option, "flag", **_flags(model))
    elements = {0: add(root, "worldbody")}
    for body in range(model.nbody):
        if body > 0:
            elements[body] = _add_body(elements[int(model.body_parentid[body])], model, body)
        for joint in range(model.body_jntadr[body], model.body_jntadr[body] + model.body_jntnum[body]):
            _add_joint(elements[body], model, joint)
        for geom in np.flatnonzero(model.geom_bodyid == body):
            _add_geom(elements[body], model, int(geom))
        for site in np.flatnonzero(model.site_bodyid == body):
            _add_site(elements[body], model, int(site))
    contact = add(root, "contact")
    for signature in model.exclude_signature:
        pair = body_name(model, signature >> 16), body_name(model, signature & 0xFFFF)
        add(contact, "exclude", body1=pair[0], body2=pair[1])
    ET.indent(root)
    return ET.tostring(root, encoding="unicode")


def add(parent: ET.Element, tag: str, **attributes: object) -> ET.Element:
    """A new element; numbers and arrays of them are written at full precision, empty text is left out."""
    written = {name: _text(value) for name, value in attributes.items()}
    return ET.SubElement(parent, tag, {name: text for name, text in written.items() if text})


def _text(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, str):
        return value
    return " ".join(repr(number) for number in np.atleast_1d(np.asarray(value)).tolist())


def _flags(model: mujoco.MjModel) -> dict[str, str]:
    return {
        bit.name.split("_")[1].lower(): state
        for state, bits, field in FLAGS
        for bit in bits.__members__.values()
        if getattr(model.opt, field) & int(bit) and not bit.name.startswith("mjN")
    }


def _add_body(parent: ET.Element, model: mujoco.MjModel, body: int) -> ET.Element:
    added = add(
        parent,
        "body",
        name=body_name(model, body),
        pos=model.body_pos[body],
        quat=model.body_quat[body],
        gravcomp=model.body_gravcomp[body],
    )
    if model.body_mass[body] > 0.0:
        add(
            added,
            "inertial",
            mass=model.body_mass[body],
            pos=model.body_ipos[body],
            quat=model.body_iquat[body],
            diaginertia=model.body_inertia[body],
        )
    return added


def _add_joint(body: ET.Element, model: mujoco.MjModel, joint: int) -> None:
    kind, dof, address = JOINTS[int(model.jnt_type[joint])], model.jnt_dofadr[joint], model.jnt_qposadr[joint]
    name = model.joint(joint).name
    if kind == "free":
        add(body, "joint", name=name, type=kind, armature=model.dof_armature[dof], damping=model.dof_damping[dof])
        return
    one = {} if kind == "ball" else {"ref": model.qpos0[address], "springref": model.qpos_spring[address]}
    add(
        body,
        "joint",
        name=name,
        type=kind,
        pos=model.jnt_pos[joint],
        axis=model.jnt_axis[joint],
        limited=model.jnt_limited[joint] != 0,
        range=model.jnt_range[joint],
        margin=model.jnt_margin[joint],
        stiffness=model.jnt_stiffness[joint],
        armature=model.dof_armature[dof],
        damping=model.dof_damping[dof],
        frictionloss=model.dof_frictionloss[dof],
        solreflimit=model.jnt_solref[joint],
        solimplimit=model.jnt_solimp[joint],
        solreffriction=model.dof_solref[dof],
        solimpfriction=model.dof_solimp[dof],
        group=model.jnt_group[joint],
        **one,
    )


def _add_geom(body: ET.Element, model: mujoco.MjModel, geom: int) -> None:
    kind = int(model.geom_type[geom])
    if kind not in (*SHAPES, PLANE):
        raise ValueError(
            f"a flat MJCF holds primitive shapes, got a {GEOMS[kind]} in body "
            f"{body_name(model, int(model.geom_bodyid[geom]))!r}; replace it by a box, a capsule or a sphere"
        )
    fields = {name: getattr(model, f"geom_{name}")[geom] for name in SHAPE_FIELDS}
    add(body, "geom", name=model.geom(geom).name, type=GEOMS[kind], **fields)


def _add_site(body: ET.Element, model: mujoco.MjModel, site: int) -> None:
    fields = {name: getattr(model, f"site_{name}")[site] for name in ("pos", "quat", "size", "group", "rgba")}
    add(body, "site", name=model.site(site).name, type=GEOMS[int(model.site_type[site])], **fields)


def _lost(model: mujoco.MjModel, written: mujoco.MjModel) -> list[str]:
    """Fields in which they differ by more than the rounding of a quaternion."""
    ours = {f"opt.{name}" for name in (*KEPT_OPTIONS, "disableflags", "enableflags")}
    lost = [name for name in differing_fields([model, written]) if name in ours or not name.startswith("opt.")]
    return [
        name
        for name in lost
        if not _close(np.asarray(field_value(model, name)), np.asarray(field_value(written, name)))
    ]


def _close(one: np.ndarray, two: np.ndarray) -> bool:
    return one.shape == two.shape and np.allclose(one, two, rtol=0.0, atol=1e-12 * max(1.0, np.abs(one).max(initial=0)))
