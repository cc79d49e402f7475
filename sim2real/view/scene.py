"""The robots as a browser shows them: shapes once, then poses. Lengths in m."""

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2real.report.footage import GOAL
from sim2real.report.framing import frame, offsets, spread
from sim2real.report.scene import RGB
from sim2real.view.backdrop import add_ground, add_light, is_ground, linear, srgb
from sim2real.view.contacts import contacts
from sim2real.view.meshes import Faces, Vertices, sphere
from sim2real.view.shapes import Shape, merged, shapes
from sim2real.view.simulation import Simulation, State

ROOT = "/worlds"
RED = (0.84, 0.16, 0.16)
"""Of contacts and goals."""
WEIGHT = 1.0
"""Length of the line for a force that carries the robot's weight [L]."""
VIEW = 3.0
"""Distance of the camera, in radii of the robot."""
NOTHING = np.full((1, 2, 3), 1e6)
"""A line that nobody sees; there must be one."""


class Scene:
    """One picture of all worlds, side by side.

    Args:
        server: A `viser.ViserServer`.
        simulation: What it shows.
        paint: Colour of the robots' bases, 0..1.
    """

    def __init__(self, server: Any, simulation: Simulation, paint: RGB) -> None:
        self.model, self.spec = simulation.model, simulation.spec
        state = simulation.state()
        self._frame = frame(self.model, self.spec, state.qpos[0])
        self.offsets = offsets(self.model, self._frame, simulation.num_worlds)
        self.follow, self.show_contacts = True, False
        self._server, self._data = server, mujoco.MjData(self.model)
        self._weight = self.spec.mass * float(np.linalg.norm(self.model.opt.gravity))
        server.scene.set_up_direction("+z")
        add_light(server.scene)
        self._look()
        self._root = server.scene.add_frame(ROOT, show_axes=False)
        found = shapes(self.model, self.spec, paint)
        for index, shape in enumerate(filter(is_ground, found)):
            add_ground(server.scene, f"{ROOT}/ground_{index}", shape, self.spec.length)
        moving = merged([shape for shape in found if not is_ground(shape)])
        self.parts = [(shape, self._add_part(f"{index}", shape)) for index, shape in enumerate(moving)]
        self._contacts = self._add_contacts()
        self._goals = None if state.goals is None else self._add_goals()
        self.show(state)

    def show(self, state: State) -> None:
        """Move everything to where it is in `state`."""
        positions, quaternions, touching = self._poses(state)
        with self._server.atomic():
            for shape, handle in self.parts:
                handle.batched_positions = positions[:, shape.body].astype(np.float32)
                handle.batched_wxyzs = quaternions[:, shape.body].astype(np.float32)
            self._contacts.visible = self.show_contacts
            if self.show_contacts:
                self._contacts.points = touching
            if self._goals is not None and state.goals is not None:
                self._goals.batched_positions = (state.goals + self.offsets).astype(np.float32)
            self._root.position = -self._middle(positions) if self.follow else np.zeros(3)

    def _poses(self, state: State) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
        """(n, nbody, 3) positions, (n, nbody, 4) orientations (w, x, y, z), and contact lines, (k, 2, 3)."""
        positions, quaternions, lines = [], [], []
        for world, offset in enumerate(self.offsets):
            self._compute(state, world)
            positions.append(self._data.xpos + offset)
            quaternions.append(self._data.xquat.copy())
            if self.show_contacts:
                points, forces = contacts(self.model, self._data)
                ends = points + forces * (WEIGHT * self.spec.length / self._weight)
                lines.append(np.stack([points, ends], 1) + offset)
        drawn = np.concatenate([*lines, NOTHING]).astype(np.float32)
        return np.stack(positions), np.stack(quaternions), drawn

    def _compute(self, state: State, world: int) -> None:
        """Forward the state of one world: all of it where forces are asked for."""
        data = self._data
        data.qpos[:], data.qvel[:], data.ctrl[:] = state.qpos[world], state.qvel[world], state.ctrl[world]
        if self.show_contacts:
            mujoco.mj_forward(self.model, data)
        else:
            mujoco.mj_kinematics(self.model, data)

    def _middle(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """(3,) what stays in the picture's middle: the mean base or, where each has its own ground, the last one."""
        bases = positions[:, self.model.body(self.spec.base_body).id]
        middle = (bases - self.offsets).mean(0) if self.offsets.any() else bases[-1]
        height = middle[2] - self.spec.default_height if self.model.nhfield else 0.0
        return np.array((middle[0], middle[1], height))

    def _look(self) -> None:
        """Put the camera beside and above the robots."""
        centre, distance = self._frame.centre, VIEW * self._frame.radius * spread(self.offsets)
        at = np.array((centre[0], centre[1], centre[2] + self.spec.default_height))
        self._server.initial_camera.look_at = at
        self._server.initial_camera.position = at + distance * np.array((0.57, -0.74, 0.36))

    def _add_part(self, name: str, shape: Shape) -> Any:
        """One of its kind in every world."""
        body = self.model.body(shape.body).name
        opacity = shape.opacity if shape.opacity < 1.0 else None
        return self._add_copies(f"{body}_{name}", shape.vertices, shape.faces, shape.colour, opacity)

    def _add_goals(self) -> Any:
        return self._add_copies("goals", *sphere(GOAL * self.spec.length), RED, None)

    def _add_copies(self, name: str, vertices: Vertices, faces: Faces, colour: RGB, opacity: float | None) -> Any:
        robots = len(self.offsets)
        return self._server.scene.add_batched_meshes_simple(
            f"{ROOT}/{name}",
            vertices,
            faces,
            batched_wxyzs=np.tile((1.0, 0.0, 0.0, 0.0), (robots, 1)),
            batched_positions=np.zeros((robots, 3)),
            batched_colors=linear(colour),
            opacity=opacity,
            lod="off",
        )

    def _add_contacts(self) -> Any:
        width = 0.02 * self.spec.length
        return self._server.scene.add_line_segments(
            f"{ROOT}/contacts", NOTHING, srgb(RED), thickness=width, visible=False
        )
