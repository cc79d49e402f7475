"""Triangle meshes of single geoms, each in its geom's own frame. Lengths in m.

Faces run counter-clockwise seen from outside; vertices are not shared across sharp edges, so that shading stays flat
there.
"""

import mujoco
import numpy as np
from numpy.typing import NDArray

Vertices = NDArray[np.float64]
Faces = NDArray[np.int64]

SEGMENTS = 24
"""Of a circle."""
INFINITE = 200.0
"""Half the side of a plane that MuJoCo draws without end [m]."""


def kind(model: mujoco.MjModel, geom: int) -> str:
    """MuJoCo's name of a geom's type, like "capsule"."""
    return mujoco.mjtGeom(model.geom_type[geom]).name.removeprefix("mjGEOM_").lower()


def mesh(model: mujoco.MjModel, geom: int) -> tuple[Vertices, Faces]:
    """Vertices, (num_vertices, 3), and faces, (num_faces, 3), of a geom.

    Raises:
        ValueError: of a type that has no shape of its own.
    """
    size, name = model.geom_size[geom], kind(model, geom)
    if name == "sphere":
        return sphere(size[0])
    if name == "ellipsoid":
        vertices, faces = sphere(1.0)
        return vertices * size, faces
    if name == "capsule":
        below, above = _arc(size[0], -size[1], -90.0, 0.0), _arc(size[0], size[1], 0.0, 90.0)
        return _revolved(np.concatenate([below, above]))
    if name == "cylinder":
        radius, half = size[:2]
        side = [(radius, -half), (radius, half)]
        return _revolved(np.array([(0.0, -half), side[0], *side, side[1], (0.0, half)]))
    if name == "box":
        return _box(size)
    if name == "plane":
        x, y = np.where(size[:2] > 0.0, size[:2], INFINITE)
        return np.array([(-x, -y, 0.0), (x, -y, 0.0), (x, y, 0.0), (-x, y, 0.0)]), np.array([(0, 1, 2), (0, 2, 3)])
    if name == "hfield":
        return _height_field(model, int(model.geom_dataid[geom]))
    if name in ("mesh", "sdf"):
        return _stored(model, int(model.geom_dataid[geom]))
    raise ValueError(f"geom {geom} ({model.geom(geom).name!r}) is a {name}, which the viewer cannot draw")


def sphere(radius: float) -> tuple[Vertices, Faces]:
    """Around the origin."""
    return _revolved(_arc(radius, 0.0, -90.0, 90.0))


def _arc(radius: float, height: float, start: float, end: float) -> Vertices:
    """Profile points (distance from the axis, z) from one latitude to another [deg], around a centre on the axis."""
    latitude = np.radians(np.linspace(start, end, round(SEGMENTS / 2 * (end - start) / 180.0) + 1))
    return np.stack([np.maximum(radius * np.cos(latitude), 0.0), height + radius * np.sin(latitude)], -1)


def _revolved(profile: Vertices) -> tuple[Vertices, Faces]:
    """A profile, (n, 2) from bottom to top, turned around z; a point that comes twice makes a sharp edge."""
    angle = np.linspace(0.0, 2.0 * np.pi, SEGMENTS, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], -1)
    heights = np.broadcast_to(profile[:, None, 1:], (len(profile), SEGMENTS, 1))
    vertices = np.concatenate([profile[:, None, :1] * ring, heights], -1).reshape(-1, 3)
    faces = [
        face
        for row in range(len(profile) - 1)
        if not np.array_equal(profile[row], profile[row + 1])
        for face in _band(row * SEGMENTS, profile[row, 0] > 1e-9, profile[row + 1, 0] > 1e-9)
    ]
    return vertices, np.array(faces)


def _band(start: int, open_below: bool, open_above: bool) -> list[tuple[int, int, int]]:
    """Faces between the ring of vertices from `start` on and the next; a ring that is a point needs half of them."""
    faces = []
    for here in range(SEGMENTS):
        a, b = start + here, start + (here + 1) % SEGMENTS
        if open_below:
            faces.append((a, b, b + SEGMENTS))
        if open_above:
            faces.append((a, b + SEGMENTS, a + SEGMENTS))
    return faces


def _box(half: Vertices) -> tuple[Vertices, Faces]:
    """Six faces of four vertices."""
    sides = []
    for axis in range(3):
        u, v = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
        for sign in (-1.0, 1.0):
            corners = [(-1, -1), (1, -1), (1, 1), (-1, 1)][:: int(sign)]
            sides.append([sign * np.eye(3)[axis] + a * u + b * v for a, b in corners])
    two = np.array([(0, 1, 2), (0, 2, 3)])
    return np.concatenate(sides) * half, np.concatenate([two + 4 * side for side in range(6)])


def _height_field(model: mujoco.MjModel, index: int) -> tuple[Vertices, Faces]:
    """The surface of a height field; its base and sides are not drawn."""
    rows, columns = int(model.hfield_nrow[index]), int(model.hfield_ncol[index])
    x, y, top, _ = model.hfield_size[index]
    start = int(model.hfield_adr[index])
    heights = model.hfield_data[start : start + rows * columns].reshape(rows, columns) * top
    grid_x, grid_y = np.meshgrid(np.linspace(-x, x, columns), np.linspace(-y, y, rows))
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    lower = np.stack([corner, corner + 1, corner + columns + 1], -1)
    upper = np.stack([corner, corner + columns + 1, corner + columns], -1)
    return np.stack([grid_x, grid_y, heights], -1).reshape(-1, 3), np.concatenate([lower, upper])


def _stored(model: mujoco.MjModel, index: int) -> tuple[Vertices, Faces]:
    """A mesh of the model."""
    vertex, face = int(model.mesh_vertadr[index]), int(model.mesh_faceadr[index])
    vertices = model.mesh_vert[vertex : vertex + int(model.mesh_vertnum[index])]
    faces = model.mesh_face[face : face + int(model.mesh_facenum[index])]
    return vertices.astype(np.float64), faces.astype(np.int64)
