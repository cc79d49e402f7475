"""The tool of an arm whose MJCF does not say where its work is done. Lengths in m."""

import mujoco
import numpy as np
from numpy.typing import NDArray

from robots.primitives import MESH, body_name
from robots.source_model import Source, posed

Array = NDArray[np.float64]
NAME = "tool"
"""Of the site that is added."""
JAW = 0.8
"""A last link whose parent reaches this share of its distance from the parent's joint is the jaw of a gripper."""
TIP = 0.05
"""Share of the tool's length that counts as its tip."""


def find_tool(editable: mujoco.MjSpec, found: Source, notes: list[str]) -> str:
    """Name of a site at the tool: the file's site furthest out along the joints, or a new one at the tip."""
    model = found.model
    sites = [(len(_joints_to(found, int(model.site_bodyid[site]))), site) for site in range(model.nsite)]
    moving = [(joints, site) for joints, site in sites if joints > 0 and model.site(site).name]
    if moving:
        return model.site(max(moving)[1]).name
    body = _tool_body(found)
    data = posed(model, found.base, found.qpos)
    position = data.xmat[body].reshape(3, 3).T @ (_tip(found, data, body) - data.xpos[body])
    editable.body(body_name(model, body)).add_site(name=NAME, pos=position)
    notes.append(f"site {NAME} on {body_name(model, body)}, at its tip")
    return NAME


def _joints_to(found: Source, body: int) -> list[int]:
    """Driven joints that move a body."""
    joints: list[int] = []
    while body > 0:
        joints += [joint for joint in found.joints if found.model.jnt_bodyid[joint] == body]
        body = int(found.model.body_parentid[body])
    return joints


def _tool_body(found: Source) -> int:
    """The last link, or the fixed part of a gripper where the last link is its jaw."""
    model = found.model
    last = max(found.joints, key=lambda joint: len(_joints_to(found, int(model.jnt_bodyid[joint]))))
    body = int(model.jnt_bodyid[last])
    parent = int(model.body_parentid[body])
    wrist = _joints_to(found, parent)
    if not wrist:
        return body
    data = posed(model, found.base, found.qpos)
    own, others = (_reach(data, wrist[0], _points(model, data, bodies)) for bodies in ({body}, {parent}))
    return parent if others > JAW * own > 0.0 else body


def _reach(data: mujoco.MjData, joint: int, points: Array) -> float:
    """Largest distance from a joint."""
    return float(np.linalg.norm(points - data.xanchor[joint], axis=1).max(initial=0.0))


def _tip(found: Source, data: mujoco.MjData, body: int) -> Array:
    """(3,) middle of what lies furthest from the last joint, in the world; the body's origin where it has no shape."""
    bodies = {body}
    if body == found.model.jnt_bodyid[found.joints[-1]]:
        bodies = {other for other in range(body, found.model.nbody) if body in _ancestors(found.model, other)}
    points = _points(found.model, data, bodies)
    if not len(points):
        return data.xpos[body]
    distance = np.linalg.norm(points - data.xanchor[_joints_to(found, body)[0]], axis=1)
    return points[distance >= (1.0 - TIP) * distance.max()].mean(axis=0)


def _ancestors(model: mujoco.MjModel, body: int) -> list[int]:
    """A body and those it hangs on."""
    chain = []
    while body > 0:
        chain.append(body)
        body = int(model.body_parentid[body])
    return chain


def _points(model: mujoco.MjModel, data: mujoco.MjData, bodies: set[int]) -> Array:
    """(num_points, 3) vertices of meshes and corners around other shapes, in the world."""
    corners = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, -1).T
    points = [np.zeros((0, 3))]
    for geom in (geom for geom in range(model.ngeom) if int(model.geom_bodyid[geom]) in bodies):
        if model.geom_type[geom] == MESH:
            first, count = model.mesh_vertadr[model.geom_dataid[geom]], model.mesh_vertnum[model.geom_dataid[geom]]
            local = model.mesh_vert[first : first + count]
        else:
            local = model.geom_aabb[geom, :3] + corners * model.geom_aabb[geom, 3:]
        points.append(data.geom_xpos[geom] + local @ data.geom_xmat[geom].reshape(3, 3).T)
    return np.concatenate(points)
