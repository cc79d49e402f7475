"""Many worlds of one robot and one task, stepped together as torch tensors.

Observation: one flat row, the measurable terms first, the privileged ones behind them (`VectorEnv.terms`). Everything
random comes from one owned generator; `state_dict` holds all that the next step depends on, so that a restored
environment continues bit for bit. What is particular to a kind of robot lives in its embodiment.
"""

import math
from dataclasses import replace
from typing import Any

import torch

from envs import embodiments
from envs.actions import ACTION_CLIP
from envs.embodiments.embodiment import Setting
from envs.lint import refuse_unmeasurable
from envs.observations import Term, hidden_term
from envs.physics.interface import Physics
from envs.physics.make import make_physics
from envs.randomization import Disturbances, Randomization, Randomizer, Sensing, delay_samples, hidden_width
from envs.start_states import POOL
from envs.state_dicts import prefixed, without_prefix
from envs.task import TaskSpec, World
from envs.worlds import Step, Worlds, finite_where
from robots.joint_space import joint_space
from robots.model import build_model
from robots.spec import RobotSpec


class VectorEnv(Worlds):
    """`num_envs` worlds of `task` on `spec`; see `envs.worlds.Worlds`.

    Args:
        spec, task: What moves, and what it must do.
        num_envs: Number of worlds.
        randomization: Ranges of hidden parameters, sampled anew at each reset.
        seed: Of the environment's generator.
        num_threads: Physics threads; 0 takes every core. Results do not depend on it.
        scoring: Draw commands from the score's ranges and keep them for the whole episode.
        device: "cpu", or "cuda" where MuJoCo Warp is installed.
        physics: Worlds to live in, in place of new ones; they hold the model that `model_of` compiles.

    Raises:
        ValueError: the robot cannot do the task, or lacks a sensor that the task's actor needs.
    """

    def __init__(
        self,
        spec: RobotSpec,
        task: TaskSpec,
        *,
        num_envs: int,
        randomization: Randomization,
        seed: int = 0,
        num_threads: int = 0,
        scoring: bool = False,
        device: str = "cpu",
        physics: Physics | None = None,
    ) -> None:
        refuse(spec, task)
        self.spec, self.task, self.num_envs, self.randomization = spec, task, num_envs, randomization
        self.space, self.scoring, self.dt = joint_space(spec), scoring, 1.0 / spec.control_hz
        self.episode_steps = round((task.episode_seconds if scoring else task.training_seconds) * spec.control_hz)
        self.physics = physics or make_physics(
            model_of(spec, task, randomization), num_envs, device=device, num_threads=num_threads
        )
        self.device = self.physics.device
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.diverged = torch.zeros(num_envs, dtype=torch.long, device=self.device)
        self.randomizer = Randomizer(randomization, self.physics, spec, self.space)
        self.sensing = Sensing(randomization, spec, num_envs, self.dt, self.device)
        self.disturbances = Disturbances(randomization, self.randomizer, self.space, self.dt)
        self._name_terms()
        scratch = make_physics(self.physics.model, POOL, num_threads=1)
        rows = task.start(scratch, spec, torch.Generator().manual_seed(seed))
        self.start_rows = rows.to(self.device, self.physics.qpos.dtype)  # both engines lay out their rows alike
        self.body = embodiments.get(task.embodiment)(self._setting())
        self.reset()

    def _setting(self) -> Setting:
        return Setting(
            spec=self.spec,
            space=self.space,
            task=self.task,
            physics=self.physics,
            randomizer=self.randomizer,
            generator=self.generator,
            scoring=self.scoring,
        )

    def _name_terms(self) -> None:
        self.actor_terms: tuple[Term, ...]
        self.actor_terms, privileged = embodiments.get(self.task.embodiment).terms(self.spec, self.space, self.task)
        self.privileged_terms = privileged + hidden_term(hidden_width(self.spec))
        refuse_unmeasurable(self.spec, self.actor_terms)

    @property
    def episode(self) -> Any:
        """The embodiment's `Episode`: steps, command, action and what else changes every step."""
        return self.body.episode

    def reset(self) -> torch.Tensor:
        """Start every world anew with fresh parameters and commands; returns observations."""
        self.body.begin()
        self._restart(torch.arange(self.num_envs, device=self.device))
        if not self.scoring:  # spread the ends of the first episodes
            steps = torch.randint(self.episode_steps, (self.num_envs,), generator=self.generator, device=self.device)
            self.episode.steps = steps
        return self.observation()

    def step(self, action: torch.Tensor) -> Step:
        """Advance one control period under `action`, (num_envs, num_joints), dimensionless."""
        previous_action = self.begin_step(action)
        return self.finish_step(previous_action, self.physics.step(self.spec.substeps))

    def begin_step(self, action: torch.Tensor) -> torch.Tensor:
        """All of a step before the physics; returns the previous action."""
        episode = self.episode
        previous_action, episode.action = episode.action, action.clamp(-ACTION_CLIP, ACTION_CLIP)
        self.physics.ctrl[:] = self.body.drive(action)
        if not self.scoring:
            self.disturbances.act(self.generator)
        return previous_action

    def finish_step(self, previous_action: torch.Tensor, diverged: torch.Tensor) -> Step:
        """All of a step after the physics, which says which worlds it lost."""
        self.episode.steps += 1
        self.diverged += diverged
        self.body.advance()
        world = self.world(previous_action)
        fallen = self.task.fallen(world, self.space, self.spec.default_height) | diverged
        reward = finite_where(diverged, self.task.reward(world, self.space, self.dt)) + self.task.fall_reward * fallen
        truncated, lost = self.episode.steps >= self.episode_steps, self.body.lost(world)
        truncated = (truncated if lost is None else truncated | lost) & ~fallen
        final = self._restart_ended(fallen | truncated, diverged, world)
        after = world if final is None else self.world(previous_action)
        return Step(self.observe(after, again=final is not None), reward, fallen, truncated, final, world)

    def hold_commands(self, hold: bool) -> None:
        """Keep every command to the end of its episode, also in training; or draw new ones as the task says."""
        seconds = math.inf if hold else self.task.resample_seconds
        self.body.setting = replace(self.body.setting, task=replace(self.task, resample_seconds=seconds))

    def world(self, previous_action: torch.Tensor) -> World:
        """Ground truth as it is now."""
        return self.body.world(previous_action)

    def observation(self) -> torch.Tensor:
        """(num_envs, width) of the worlds as they are; sensors are read anew."""
        return self.observe(self.world(self.episode.action))

    def observe(self, world: World, again: bool = False) -> torch.Tensor:
        """(num_envs, width): noisy sensors, then ground truth that only critics and teachers may see.

        Args:
            world: Ground truth.
            again: Within the same control step: only worlds that restarted have new sensor samples.
        """
        read = self.sensing.corrupt_restarted if again else self.sensing.corrupt
        measured = self.body.actor(read(self.body.sensed(world), self.generator))
        return torch.cat([measured, *self.body.privileged(world), self.randomizer.hidden], -1)

    def _restart_ended(self, ended: torch.Tensor, diverged: torch.Tensor, world: World) -> torch.Tensor | None:
        if not ended.any():
            return None
        final, episode = self.observe(world), self.episode
        episode.command, episode.action = episode.command.clone(), episode.action.clone()  # `world` keeps the old ones
        episode.steps[diverged] = 0  # no curriculum believes the place into which the engine put a lost world
        self._restart(ended.nonzero()[:, 0])
        return final

    def _restart(self, worlds: torch.Tensor) -> None:
        """Begin new episodes in `worlds`, (n,): start state, hidden parameters, biases, command."""
        episode, physics = self.episode, self.physics
        chosen = torch.randint(len(self.start_rows), (len(worlds),), generator=self.generator, device=self.device)
        physics.restore(worlds, self.start_rows[chosen])
        self.randomizer.resample(worlds, self.generator)
        self.body.restart(worlds)
        episode.steps[worlds] = 0
        episode.action[worlds] = 0.0
        episode.previous_target[worlds] = physics.ctrl[worlds].float()
        self.sensing.restart(worlds, self.generator)
        self.disturbances.restart(worlds)
        physics.refresh(worlds)

    def begin_as(self, other: Worlds, like: torch.Tensor) -> None:
        """Begin in every world the episode that world `like` of `other`, (num_envs,), is in; parameters stay its own.

        Raises:
            ValueError: `other` has another model, or delay buffers of another length.
        """
        everyone, state = torch.arange(self.num_envs, device=self.device), other.state_dict()
        rows = state["physics.state"][like]
        if rows.shape[1] != self.physics.save(everyone[:1]).shape[1]:
            raise ValueError(
                f"worlds begin as others of the same robot, task and delay buffers, got {other.task.name} on "
                f"{other.spec.name} with states of {rows.shape[1]} numbers"
            )
        for name in vars(self.episode):
            setattr(self.episode, name, state[f"episode.{name}"][like])
        for part in ("sensing", "disturbances"):
            own = without_prefix(part, state)
            self._parts()[part].load_state_dict({name: value[like] for name, value in own.items()})
        self.physics.restore(everyone, rows)
        self.physics.refresh(everyone)

    def _parts(self) -> dict[str, Any]:
        return {"randomizer": self.randomizer, "sensing": self.sensing, "disturbances": self.disturbances}

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that the next step depends on."""
        state = {f"episode.{name}": value.clone() for name, value in vars(self.episode).items()}
        for part, holder in self._parts().items():
            state |= prefixed(part, {name: value.clone() for name, value in holder.state_dict().items()})
        state |= {"physics.state": self.physics.save(), "diverged": self.diverged.clone()}
        return state | {"start_rows": self.start_rows.clone(), "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Continue where `state_dict` was taken."""
        everyone = torch.arange(self.num_envs, device=self.device)
        for name in vars(self.episode):
            setattr(self.episode, name, state[f"episode.{name}"].to(self.device, copy=True))
        for part, holder in self._parts().items():
            holder.load_state_dict(without_prefix(part, state))
        self.start_rows = state["start_rows"].to(self.device, copy=True)
        self.diverged = state["diverged"].to(self.device, copy=True)
        self.physics.restore(everyone, state["physics.state"])
        self.physics.refresh(everyone)
        self.generator.set_state(state["generator"])


def refuse(spec: RobotSpec, task: TaskSpec) -> None:
    """Check that a robot can do a task.

    Raises:
        ValueError: it cannot; the message says why.
    """
    reason = task.refuses(spec)
    if reason:
        raise ValueError(f"task {task.name!r} {reason}; {spec.name} is of kind {spec.kind}")


def model_of(spec: RobotSpec, task: TaskSpec, randomization: Randomization) -> Any:
    """The compiled model of a task's worlds: its contacts, its ground, delay buffers for the longest delay."""
    return build_model(
        spec,
        contacts=task.contacts,
        delay_samples=delay_samples(randomization, spec),
        ground=embodiments.get(task.embodiment).ground(spec, task),
    )
