"""Footage: robots' poses over time and what is said of them, and the images that become a film. SI."""

from collections.abc import Iterator
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from robots.spec import RobotSpec
from sim2real.report.captions import Caption, Captions
from sim2real.report.framing import frame, is_ground, offsets, spread
from sim2real.report.scene import OVERSAMPLING

DISTANCE, AZIMUTH, ELEVATION = 3.9, 125.0, -15.0
"""Of the camera: radii of the robot, degrees."""
CAMERA_SECONDS = 1.0
"""The camera follows a mean of the base's path over so long [s]."""
GOAL = 0.025
"""Radius of the ball that marks a goal [L]."""
GOAL_COLOUR = np.array((0.84, 0.16, 0.16, 1.0), dtype=np.float32)
GROUND_GROUP = 5
"""Of the geoms that all robots in a picture share."""


@dataclass(frozen=True, kw_only=True)
class Footage:
    """Robots side by side, a row for each control tick."""

    qpos: NDArray[np.float64]
    """(ticks, robots, nq)."""
    captions: tuple[Caption, ...]
    """One for each tick."""
    starts: tuple[int, ...] = ()
    """Ticks at which the camera is somewhere else all at once, since a robot is."""
    goals: NDArray[np.float64] | None = None
    """(ticks, robots, 3) points that are to be reached [m]."""
    control_hz: float


def images(renderer: mujoco.Renderer, spec: RobotSpec, footage: Footage, fps: int) -> Iterator[Image.Image]:
    """RGB images, `fps` a second, of the renderer's size divided by `OVERSAMPLING`."""
    shot, captions = _Shot(renderer, spec, footage), Captions(renderer.width // OVERSAMPLING)
    for tick in np.arange(0.0, len(footage.qpos), footage.control_hz / fps).astype(int):
        shot.compose(tick)
        yield captions.draw(renderer.render(), OVERSAMPLING, footage.captions[tick])


class _Shot:
    """A camera that follows, and everything in front of it."""

    def __init__(self, renderer: mujoco.Renderer, spec: RobotSpec, footage: Footage) -> None:
        self.renderer, self.footage, self.model = renderer, footage, renderer.model
        self.data, self.ground = mujoco.MjData(self.model), is_ground(self.model)
        self.model.geom_group[self.ground] = GROUND_GROUP
        robots = footage.qpos.shape[1]
        framed = frame(self.model, spec, footage.qpos[0, 0])
        self.offsets = offsets(self.model, framed, robots)
        self.camera, self.goal_radius = mujoco.MjvCamera(), GOAL * spec.length
        self.camera.distance = DISTANCE * framed.radius * spread(self.offsets)
        self.camera.azimuth, self.camera.elevation = AZIMUTH, ELEVATION * min(2.0, spread(self.offsets))
        self.path = self._path(self.model.body(spec.base_body).id) + framed.centre

    def compose(self, tick: int) -> None:
        """Put every robot of a tick into the renderer's scene."""
        self.camera.lookat[:] = self.path[tick]
        for robot, offset in enumerate(self.offsets):
            self.data.qpos[:] = self.footage.qpos[tick, robot]
            mujoco.mj_forward(self.model, self.data)
            self.data.geom_xpos[~self.ground] += offset
            self._add(first=robot == 0)
            if self.footage.goals is not None:
                self._mark(self.footage.goals[tick, robot] + offset)

    def _add(self, *, first: bool) -> None:
        """What `data` shows; only the first robot brings the ground."""
        shown = mujoco.MjvOption()
        shown.geomgroup[:] = 1
        if first:
            self.renderer.update_scene(self.data, self.camera, shown)
            return
        shown.geomgroup[GROUND_GROUP] = 0
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_addGeoms(self.model, self.data, shown, mujoco.MjvPerturb(), everything, self.renderer.scene)

    def _mark(self, place: NDArray[np.float64]) -> None:
        """Add a ball."""
        scene, sphere, size = self.renderer.scene, mujoco.mjtGeom.mjGEOM_SPHERE, np.full(3, self.goal_radius)
        mujoco.mjv_initGeom(scene.geoms[scene.ngeom], sphere, size, place, np.eye(3).flatten(), GOAL_COLOUR)
        scene.ngeom += 1

    def _path(self, base: int) -> NDArray[np.float64]:
        """(ticks, 3) smoothed way of the bases: of all or, where each has its own ground, of the last."""
        robots = range(len(self.offsets)) if self.offsets.any() else (len(self.offsets) - 1,)
        path = np.zeros((len(self.footage.qpos), len(robots), 3))
        for tick, poses in enumerate(self.footage.qpos):
            for place, robot in enumerate(robots):
                self.data.qpos[:] = poses[robot]
                mujoco.mj_kinematics(self.model, self.data)
                path[tick, place] = self.data.xpos[base]
        window = max(1, round(CAMERA_SECONDS * self.footage.control_hz))
        return smoothed(path.mean(1), window, self.footage.starts)


def smoothed(path: NDArray[np.float64], window: int, starts: tuple[int, ...]) -> NDArray[np.float64]:
    """Centred running mean of (ticks, n), apart for the stretches that begin at `starts`."""
    kernel = np.ones(window) / window
    pieces = []
    for piece in np.split(path, starts):
        padded = np.pad(piece, ((window // 2, window - 1 - window // 2), (0, 0)), mode="edge")
        columns = [np.convolve(column, kernel, mode="valid") for column in padded.T]
        pieces.append(np.stack(columns, -1))
    return np.concatenate(pieces)
