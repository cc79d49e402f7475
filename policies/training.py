"""A training run that may be killed: PPO with a learning curve and checkpoints that continue bit for bit."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.callbacks import BaseCallback

from envs.randomization import Randomization
from envs.randomization.schedules import Schedule
from envs.state_dicts import prefixed, without_prefix
from policies import checkpoint
from policies.evaluation import Actor, Evaluation, evaluate
from policies.ppo import PPO
from policies.vec_env import Sb3VecEnv

CURVE_EPISODES, CURVE_SECONDS = 48, 5.0
"""Of the evaluation behind each point of a learning curve."""
TRIAL_EPISODES, TRIAL_SHARE = 16, 0.02
"""Of the evaluations that an automatic schedule of randomization asks for, and how much of the budget lies between."""
CHECKPOINT_SECONDS = 12.0
"""Least time between checkpoints [s]: what a kill can cost."""

Report = Callable[..., None]
"""Called with the fraction done and metrics by keyword."""


class StoppedError(Exception):
    """The run was asked to stop and has saved its checkpoint."""


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One evaluation during training."""

    env_steps: int
    seconds: float
    """Training time so far, evaluations included [s]."""
    score: float
    episode_scores: tuple[float, ...]


@dataclass
class Training:
    """PPO on one robot's environment up to `steps` environment steps.

    Attributes:
        ppo: The learner; its environment is a `Sb3VecEnv`.
        steps: Environment steps in all.
        file: Where checkpoints go.
        curve_points: Evaluations along the way, the ones at the start and the end not counted.
        report, should_stop: How progress is told and when to save and stop.
        schedule: How the ranges of randomization widen meanwhile.
    """

    ppo: PPO
    steps: int
    file: Path
    num_threads: int = 0
    curve_points: int = 8
    report: Report = lambda fraction, **metrics: None
    should_stop: Callable[[], bool] = lambda: False
    schedule: Schedule | None = None
    tried: float = 0.0
    """Share of the budget after which the policy was last scored for the schedule."""
    curve: list[CurvePoint] = field(default_factory=list)
    seconds: float = 0.0
    learning_seconds: float = 0.0
    """Without evaluations and checkpoints [s]."""

    def run(self) -> None:
        """Train to the end, from the checkpoint where there is one.

        Raises:
            StoppedError: `should_stop` said so; the checkpoint is saved.
        """
        if self.file.exists():
            self.restore()
        self.follow_schedule()
        if self.ppo.num_timesteps < self.steps:
            remaining = self.steps - self.ppo.num_timesteps
            fresh = self.ppo._last_obs is None  # a run stopped before its first step is not: its worlds must stay
            self.ppo.learn(remaining, callback=_Watcher(self), reset_num_timesteps=fresh)
        self._evaluate_if_due(final=True)
        self.save()

    @property
    def env(self) -> Sb3VecEnv:
        assert isinstance(self.ppo.env, Sb3VecEnv)
        return self.ppo.env

    @property
    def env_steps_per_s(self) -> float:
        """Environment steps per second of learning, evaluations and checkpoints not counted."""
        return self.ppo.num_timesteps / max(self.learning_seconds, 1e-9)

    def save(self) -> None:
        """Write everything that the rest of the run depends on."""
        ppo = self.ppo
        tensors = prefixed("policy", dict(ppo.policy.state_dict()))
        tensors |= prefixed("actor_optimizer", checkpoint.optimizer_tensors(ppo.policy.optimizer))
        tensors |= prefixed("critic_optimizer", checkpoint.optimizer_tensors(ppo.policy.critic_optimizer))
        tensors |= prefixed("env", self.env.env.state_dict())
        tensors |= {"generator": ppo.generator.get_state(), "last_observation": torch.as_tensor(ppo._last_obs)}
        checkpoint.save(self.file, tensors, self._record())

    def _record(self) -> dict[str, Any]:
        return {
            "env_steps": self.ppo.num_timesteps,
            "adaptive_rate": self.ppo.adaptive_rate,
            "seconds": self.seconds,
            "learning_seconds": self.learning_seconds,
            "tried": self.tried,
            "schedule": self.schedule.state_dict() if self.schedule else {},
            "curve": [asdict(point) for point in self.curve],
        }

    def restore(self) -> None:
        """Continue where `save` was called."""
        tensors, record = checkpoint.load(self.file)
        ppo = self.ppo
        ppo.policy.load_state_dict(without_prefix("policy", tensors))
        for name, optimizer in (("actor", ppo.policy.optimizer), ("critic", ppo.policy.critic_optimizer)):
            moments = without_prefix(f"{name}_optimizer", tensors)
            checkpoint.load_optimizer(
                optimizer, moments, record["adaptive_rate"] if name == "actor" else ppo.learning_rate
            )
        self.env.env.load_state_dict(without_prefix("env", tensors))
        ppo.generator.set_state(tensors["generator"])
        ppo._last_obs = tensors["last_observation"]
        ppo.num_timesteps, ppo.adaptive_rate = record["env_steps"], record["adaptive_rate"]
        self.seconds, self.learning_seconds = record["seconds"], record["learning_seconds"]
        self.tried = record["tried"]
        if self.schedule:
            self.schedule.load_state_dict(record["schedule"])
        self.curve = [
            CurvePoint(**point | {"episode_scores": tuple(point["episode_scores"])}) for point in record["curve"]
        ]

    def _evaluate_if_due(self, final: bool = False) -> None:
        done = self.ppo.num_timesteps
        interval = self.steps / (self.curve_points + 1)
        last = self.curve[-1].env_steps if self.curve else -1
        if last >= 0 and done // interval == last // interval and not (final and last < done):
            return
        started = time.perf_counter()
        evaluation = self.evaluate(self._act)
        self.seconds += time.perf_counter() - started
        self.curve.append(
            CurvePoint(
                env_steps=done,
                seconds=self.seconds,
                score=evaluation.score,
                episode_scores=evaluation.episode_scores,
            )
        )

    def follow_schedule(self) -> None:
        """Give the worlds the ranges of randomization for what has been learned so far."""
        if self.schedule is None:
            return
        progress, score = min(1.0, self.ppo.num_timesteps / self.steps), None
        if self.schedule.needs_score and progress >= self.tried + TRIAL_SHARE:
            score = self.evaluate(self._act, self.schedule.trial, TRIAL_EPISODES).score
            self.tried = progress
        ranges, randomizer = self.schedule.ranges(progress, score), self.env.env.randomizer
        if ranges != randomizer.randomization:
            randomizer.set_ranges(ranges)

    def _act(self, observation: torch.Tensor) -> torch.Tensor:
        return self.ppo.policy._predict(observation, deterministic=True)

    def evaluate(
        self, actor: Actor, randomization: Randomization | None = None, episodes: int | None = None
    ) -> Evaluation:
        """Any actor over the short episodes behind the points of the curve, on the nominal robot by default."""
        env = self.env.env
        return evaluate(
            env.spec,
            env.task,
            actor,
            episodes=episodes or CURVE_EPISODES,
            seconds=CURVE_SECONDS,
            randomization=randomization,
            num_threads=self.num_threads,
        )


class _Watcher(BaseCallback):
    """Between rollouts: measure, save, report, and stop when told to."""

    def __init__(self, training: Training) -> None:
        super().__init__()
        self.run = training
        self.resumed_at = time.perf_counter()
        self.saved_at = self.resumed_at

    def _on_rollout_start(self) -> None:
        run = self.run
        self._count_time()
        run._evaluate_if_due()
        run.follow_schedule()
        stop = run.should_stop()  # asked once: the answer may change, and who stops must have saved
        if time.perf_counter() - self.saved_at > CHECKPOINT_SECONDS or stop:
            run.save()
            self.saved_at = time.perf_counter()
        run.report(
            min(1.0, run.ppo.num_timesteps / run.steps),
            steps_per_s=run.env_steps_per_s,
            score=run.curve[-1].score,
            env_steps=run.ppo.num_timesteps,
        )
        self.resumed_at = time.perf_counter()
        if stop:
            raise StoppedError

    def _on_training_end(self) -> None:
        self._count_time()

    def _count_time(self) -> None:
        passed = time.perf_counter() - self.resumed_at
        self.run.seconds += passed
        self.run.learning_seconds += passed

    def _on_step(self) -> bool:
        return True
