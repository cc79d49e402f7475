"""A task on a robot for Gymnasium: `SingleEnv`, one world, and `GymVectorEnv`, many without Python per world.

Both are thin adapters over `envs.vector_env.VectorEnv`. Observations are what hardware can measure, raw SI, float32;
`info["privileged"]` has what only a simulator knows and `info["score"]` the task's score of the tick, 0..1. Episodes
end by a fall (terminated) or by time (truncated).
"""

from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

import robots
from envs import embodiments, tasks
from envs.actions import ACTION_CLIP
from envs.randomization import Randomization, preset
from envs.task import TaskSpec
from envs.vector_env import VectorEnv
from robots.model import edit_model
from robots.spec import RobotSpec

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

RENDER_SIZE = (480, 640)
"""Height and width of a picture [pixel]."""
DISTANCE = 5.0
"""From the camera to the robot, in units of the robot's length."""
PALE, WHITE = (0.72, 0.78, 0.84), (0.94, 0.95, 0.96)


class SingleEnv(gymnasium.Env[Floats, Floats]):
    """One world; after an episode's end it wants `reset`.

    Args:
        robot: Name or specification.
        task: Name or specification.
        randomization: Name of a preset, or ranges of hidden parameters, sampled anew at each reset.
        scoring: Episodes as the score has them: longer, one command each, no pushes.
        num_threads: Physics threads; one world needs no second.
        render_mode: "rgb_array", or None for no pictures.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012 -- Gymnasium's own annotation

    def __init__(
        self,
        robot: str | RobotSpec = "go1",
        task: str | TaskSpec = "velocity",
        *,
        randomization: str | Randomization = "default",
        scoring: bool = False,
        num_threads: int = 1,
        render_mode: str | None = None,
    ) -> None:
        self.worlds = _worlds(robot, task, 1, randomization, scoring, num_threads)
        self.task = self.worlds.task
        self.observation_space, self.action_space = _spaces(self.worlds)
        self.metadata = type(self).metadata | {"render_fps": round(self.worlds.spec.control_hz)}
        self.render_mode = _checked_render_mode(render_mode)
        self._camera = Camera(self.worlds)
        self._running = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: Makes this episode and those after it reproducible.
            options: `{"command": ...}` holds a command for the whole episode: (vx [m/s], vy [m/s], yaw rate [rad/s]) of
                a walker, (x, y, z) [m] of an arm's tool.
        """
        unseeded = self._np_random is None
        super().reset(seed=seed)
        if seed is not None or unseeded:
            _seed(self.worlds, self.np_random)
        command = _command(options, self.worlds)
        # a command that was asked for is never drawn anew
        self.worlds.hold_commands(command is not None)
        observation = _begin(self.worlds, command)
        self._running = True
        return _measurable(self.worlds, observation)[0], {"privileged": _privileged(self.worlds, observation)[0]}

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Advance one control period under a dimensionless action, (num_joints,)."""
        if not self._running:
            raise gymnasium.error.ResetNeeded("no episode is running: call reset() first, and again after each end")
        step = self.worlds.step(_as_action(action, self.action_space)[None])
        observation = step.observation if step.final_observation is None else step.final_observation
        terminated, truncated = bool(step.terminated[0]), bool(step.truncated[0])
        self._running = not (terminated or truncated)
        info = {
            "privileged": _privileged(self.worlds, observation)[0],
            "score": float(self.task.score(step.world, self.worlds.space)[0]) * (not terminated),
        }
        return _measurable(self.worlds, observation)[0], float(step.reward[0]), terminated, truncated, info

    def render(self) -> NDArray[np.uint8] | None:
        """A picture, (height, width, 3), or None without a render mode."""
        return None if self.render_mode is None else self._camera.picture(0)

    def close(self) -> None:
        self._camera.close()


class GymVectorEnv(gymnasium.vector.VectorEnv[Floats, Floats, NDArray[Any]]):
    """`num_envs` worlds; a world that ends begins its next episode in the same step.

    The observation is then that of the new episode; `infos["final_obs"]` and `infos["final_info"]` have the old one's
    last. Arguments are those of `SingleEnv`; `num_threads` 0 takes every core.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 -- Gymnasium's own annotation
        "render_modes": ["rgb_array"],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        robot: str | RobotSpec = "go1",
        task: str | TaskSpec = "velocity",
        *,
        randomization: str | Randomization = "default",
        scoring: bool = False,
        num_threads: int = 0,
        render_mode: str | None = None,
    ) -> None:
        self.worlds = _worlds(robot, task, num_envs, randomization, scoring, num_threads)
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = _spaces(self.worlds)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.metadata = type(self).metadata | {"render_fps": round(self.worlds.spec.control_hz)}
        self.render_mode = _checked_render_mode(render_mode)
        self._camera = Camera(self.worlds)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Begin an episode in every world; `seed` makes all that follows reproducible."""
        if options:
            raise ValueError(
                f"reset of many worlds takes no options, got {sorted(options)}; they restart by themselves"
            )
        unseeded = self._np_random is None
        super().reset(seed=seed)
        if seed is not None or unseeded:
            _seed(self.worlds, self.np_random)
        observation = _begin(self.worlds, None)
        return _measurable(self.worlds, observation), self._info(privileged=_privileged(self.worlds, observation))

    def step(self, actions: Floats) -> tuple[Floats, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Advance every world one control period under dimensionless actions, (num_envs, num_joints)."""
        step = self.worlds.step(_as_action(actions, self.action_space))
        score = self.worlds.task.score(step.world, self.worlds.space) * ~step.terminated
        infos = self._info(privileged=_privileged(self.worlds, step.observation), score=score.cpu().numpy())
        if step.final_observation is not None:
            ended = (step.terminated | step.truncated).cpu().numpy()
            infos |= self._final(ended, step.final_observation, score.cpu().numpy())
        return (
            _measurable(self.worlds, step.observation),
            step.reward.cpu().numpy(),
            step.terminated.cpu().numpy(),
            step.truncated.cpu().numpy(),
            infos,
        )

    def _info(self, **values: NDArray[Any]) -> dict[str, Any]:
        """Each value beside the mask of worlds that have it: all."""
        masks = {f"_{name}": np.ones(self.num_envs, dtype=np.bool_) for name in values}
        return values | masks

    def _final(self, ended: Bools, observation: torch.Tensor, score: Floats) -> dict[str, Any]:
        measurable, final_obs = _measurable(self.worlds, observation), np.full(self.num_envs, None, dtype=object)
        for index in np.flatnonzero(ended):
            final_obs[index] = measurable[index]
        values = {"privileged": _privileged(self.worlds, observation) * ended[:, None], "score": score * ended}
        final_info = values | {f"_{name}": ended.copy() for name in values}
        return {"final_obs": final_obs, "_final_obs": ended, "final_info": final_info, "_final_info": ended.copy()}

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """A picture of every world, or None without a render mode."""
        if self.render_mode is None:
            return None
        return tuple(self._camera.picture(world) for world in range(self.num_envs))

    def close_extras(self) -> None:
        self._camera.close()


class Camera:
    """Pictures of single worlds, from beside and above the robot; OpenGL starts with the first one."""

    def __init__(self, worlds: VectorEnv) -> None:
        self.physics, self.spec, self.task = worlds.physics, worlds.spec, worlds.task
        self.view, self.shown = mujoco.MjvCamera(), mujoco.MjvOption()
        self.view.type = mujoco.mjtCamera.mjCAMERA_TRACKING
        self.view.trackbodyid = self.physics.model.body(self.spec.base_body).id
        self.view.distance, self.view.azimuth, self.view.elevation = DISTANCE * self.spec.length, 125.0, -15.0
        self.shown.geomgroup[:] = 1  # the robot is drawn by the shapes it collides with
        self._renderer: mujoco.Renderer | None = None

    def picture(self, world: int) -> NDArray[np.uint8]:
        """(height, width, 3) of a world.

        Raises:
            RuntimeError: MuJoCo finds no OpenGL.
        """
        if self._renderer is None:
            self._renderer = _renderer(_painted(self.spec, self.task))
        model = self._renderer.model
        data = mujoco.MjData(model)
        data.qpos[:] = self.physics.qpos[world].cpu().numpy()
        mujoco.mj_forward(model, data)
        self._renderer.update_scene(data, self.view, self.shown)
        return self._renderer.render()

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


def _painted(spec: RobotSpec, task: TaskSpec) -> mujoco.MjModel:
    """The robot's model with a sky and a tiled ground; its positions are those of the physics."""
    editable = edit_model(spec, ground=embodiments.get(task.embodiment).ground(spec, task))
    half_tiles_per_meter = 1.0 / (4.0 * spec.length)
    editable.visual.headlight.ambient, editable.visual.headlight.diffuse = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    editable.stat.extent = 4.0 * spec.length
    sky, tiles = mujoco.mjtTexture.mjTEXTURE_SKYBOX, mujoco.mjtTexture.mjTEXTURE_2D
    gradient, checker = mujoco.mjtBuiltin.mjBUILTIN_GRADIENT, mujoco.mjtBuiltin.mjBUILTIN_CHECKER
    editable.add_texture(name="sky", type=sky, builtin=gradient, rgb1=PALE, rgb2=WHITE, width=64, height=64)
    editable.add_texture(name="tiles", type=tiles, builtin=checker, rgb1=PALE, rgb2=WHITE, width=64, height=64)
    floor = editable.add_material(name="tiles", texuniform=True, texrepeat=(half_tiles_per_meter,) * 2)
    textures = list(floor.textures)
    textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "tiles"
    floor.textures = textures
    for geom in editable.worldbody.geoms:
        if geom.type in (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_HFIELD):
            geom.material = "tiles"
    return editable.compile()


def _renderer(model: mujoco.MjModel) -> mujoco.Renderer:
    try:
        return mujoco.Renderer(model, *RENDER_SIZE)
    except Exception as error:  # each OpenGL platform fails in its own way
        raise RuntimeError(
            f"render_mode 'rgb_array' needs OpenGL, which MuJoCo could not start ({error}); without a display set "
            "MUJOCO_GL=egl or MUJOCO_GL=osmesa before Python starts"
        ) from error


def _worlds(
    robot: str | RobotSpec,
    task: str | TaskSpec,
    num_envs: int,
    randomization: str | Randomization,
    scoring: bool,
    num_threads: int,
) -> VectorEnv:
    return VectorEnv(
        robots.get(robot) if isinstance(robot, str) else robot,
        tasks.get(task) if isinstance(task, str) else task,
        num_envs=num_envs,
        randomization=preset(randomization) if isinstance(randomization, str) else randomization,
        num_threads=num_threads,
        scoring=scoring,
    )


def _spaces(worlds: VectorEnv) -> tuple["spaces.Box[np.float32]", "spaces.Box[np.float32]"]:
    """Of one world's observation and action."""
    observation = spaces.Box(-np.inf, np.inf, (worlds.actor_width,), np.float32)
    return observation, spaces.Box(-ACTION_CLIP, ACTION_CLIP, (worlds.spec.num_joints,), np.float32)


def _checked_render_mode(render_mode: str | None) -> str | None:
    if render_mode not in (None, "rgb_array"):
        raise ValueError(f"render_mode must be 'rgb_array' or None, got {render_mode!r}")
    return render_mode


def _seed(worlds: VectorEnv, generator: np.random.Generator) -> None:
    worlds.generator.manual_seed(int(generator.integers(2**63)))


def _command(options: dict[str, Any] | None, worlds: VectorEnv) -> torch.Tensor | None:
    """The command among the options of `reset`, (command width,)."""
    unknown = set(options or {}) - {"command"}
    if unknown:
        raise ValueError(f"options of reset are: command; got {sorted(unknown)}")
    if not options:
        return None
    command = torch.as_tensor(options["command"], dtype=torch.float32)
    if command.shape != worlds.episode.command.shape[1:] or not command.isfinite().all():
        meaning = worlds.body.command_meaning or f"left out: nothing is asked of {worlds.spec.name}"
        raise ValueError(f"command must be {meaning}, got {options['command']!r}")
    return command


def _begin(worlds: VectorEnv, command: torch.Tensor | None) -> torch.Tensor:
    """Start every world's episode at its first tick; returns observations."""
    observation = worlds.reset()
    worlds.episode.steps.zero_()  # training spreads the ends of its first episodes
    if command is None:
        return observation
    worlds.episode.command[:] = command
    return worlds.observation()


def _as_action(action: Floats, space: spaces.Space[Any]) -> torch.Tensor:
    given = np.asarray(action, dtype=np.float32)
    if given.shape != space.shape:
        raise ValueError(f"action must have shape {space.shape}, one dimensionless number a joint; got {given.shape}")
    return torch.tensor(given)


def _measurable(worlds: VectorEnv, observation: torch.Tensor) -> Floats:
    return observation[:, : worlds.actor_width].cpu().numpy()


def _privileged(worlds: VectorEnv, observation: torch.Tensor) -> Floats:
    return observation[:, worlds.actor_width :].cpu().numpy()
