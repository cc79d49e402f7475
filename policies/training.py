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
from envs.state_dicts import Tensors, prefixed, without_prefix
from policies import perceptron
from policies.collective import refuse_drift, told
from policies.divergence import DivergenceWatch
from policies.evaluation import Actor, Evaluation, evaluate
from policies.files import checkpoint, rank_state
from policies.files.learner_state import learner_state, restore_learner
from policies.files.run_state import LOG, Say, load_run, save_run
from policies.ppo import PPO, DivergedError
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
        say: Is told what a user should know, such as that a damaged checkpoint was passed over.
        schedule: How the ranges of randomization widen meanwhile.
    """

    ppo: PPO
    steps: int
    file: Path
    num_threads: int = 0
    curve_points: int = 8
    report: Report = lambda fraction, **metrics: None
    should_stop: Callable[[], bool] = lambda: False
    say: Say = LOG.warning
    schedule: Schedule | None = None
    tried: float = 0.0
    """Share of the budget after which the policy was last scored for the schedule."""
    curve: list[CurvePoint] = field(default_factory=list)
    seconds: float = 0.0
    learning_seconds: float = 0.0
    """Without evaluations and checkpoints [s]."""

    def __post_init__(self) -> None:
        rollout = self.ppo.n_steps * self.ppo.n_envs * self.ppo.collective.size
        if self.steps < rollout:
            raise ValueError(
                f"steps must be at least one rollout, {rollout} = {self.ppo.n_steps} control steps of "
                f"{rollout // self.ppo.n_steps} worlds, got {self.steps}; raise steps or simulate fewer worlds"
            )

    def run(self) -> None:
        """Train to the end, from the checkpoint where there is one.

        Raises:
            StoppedError: `should_stop` said so; the checkpoint is saved.
            DivergedError: the run came apart; a post-mortem lies beside its checkpoints.
        """
        if checkpoint.exists(self.file):
            self.restore()
        refuse_drift(self.ppo.collective, dict(self.ppo.policy.state_dict()), self.ppo.num_timesteps)
        self.follow_schedule()
        if self.ppo.num_timesteps < self.steps:
            self._learn(self.steps - self.ppo.num_timesteps)
        self._evaluate_if_due(final=True)
        self.save()

    def _learn(self, steps: int) -> None:
        fresh = self.ppo._last_obs is None  # a run stopped before its first step is not: its worlds must stay
        watch = DivergenceWatch(self.file)
        try:
            self.ppo.learn(steps, callback=[watch, Watcher(self)], reset_num_timesteps=fresh)
        except DivergedError as error:
            if watch.error:  # the learner, which ends its update, may have said less on the way out
                raise watch.error from None
            watch.stop(str(error))  # the learner noticed first

    @property
    def env(self) -> Sb3VecEnv:
        assert isinstance(self.ppo.env, Sb3VecEnv)
        return self.ppo.env

    @property
    def env_steps_per_s(self) -> float:
        """Environment steps per second of learning, evaluations and checkpoints not counted."""
        return self.ppo.num_timesteps / max(self.learning_seconds, 1e-9)

    @property
    def about(self) -> dict[str, Any]:
        """What a checkpoint of this run is about."""
        env = self.env.env
        return {"robot": env.spec.name, "model_hash": env.spec.model_hash, "task": env.task.name} | self.sizes

    @property
    def sizes(self) -> dict[str, Any]:
        """Of the worlds and the network; part of `about`."""
        env, policy = self.env.env, self.ppo.policy
        return {
            "worlds": env.num_envs,
            "workers": self.ppo.collective.size,
            "observation_width": env.width,
            "actor_width": policy.layout.actor_width,
            "hidden_layers": list(policy.hidden),
            "activation": policy.activation,
        }

    @property
    def how(self) -> dict[str, str]:
        """What decides the last bits besides versions."""
        return {"device": self.ppo.device.type, "layers": "by hand" if perceptron.FAST else "torch's"}

    def save(self) -> None:
        """Write everything that the rest of the run depends on; rank 0 does, for all ranks."""
        tensors, learner = learner_state(self.ppo)
        own = prefixed("learner", tensors) | prefixed("env", self.env.env.state_dict())
        tensors = rank_state.of_all(self.ppo.collective, own, self.ppo.num_timesteps)
        if self.ppo.collective.rank == 0:
            save_run(self.file, "training", tensors, self._record() | {"learner": learner}, self.about, self.how)

    def _record(self) -> dict[str, Any]:
        return {
            "env_steps": self.ppo.num_timesteps,
            "seconds": self.seconds,
            "learning_seconds": self.learning_seconds,
            "tried": self.tried,
            "schedule": self.schedule.state_dict() if self.schedule else {},
            "curve": [asdict(point) for point in self.curve],
        }

    def restore(self) -> None:
        """Continue where `save` was called."""
        tensors, record = load_run(self.file, "training", self.about, self.say, self.how)
        tensors = rank_state.of_this(self.ppo.collective, tensors)
        restore_learner(self.ppo, without_prefix("learner", tensors), record["learner"])
        self._restore_run(tensors, record)

    def _restore_run(self, tensors: Tensors, record: dict[str, Any]) -> None:
        """What a run of any learner has: worlds, times, schedule, curve."""
        self.env.env.load_state_dict(without_prefix("env", tensors))
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
        score, *episode_scores = self._measured()
        self.seconds += time.perf_counter() - started
        self.curve.append(
            CurvePoint(
                env_steps=done,
                seconds=self.seconds,
                score=score,
                episode_scores=tuple(episode_scores),
            )
        )

    def follow_schedule(self) -> None:
        """Give the worlds the ranges of randomization for what has been learned so far."""
        if self.schedule is None:
            return
        progress, score = min(1.0, self.ppo.num_timesteps / self.steps), None
        if self.schedule.needs_score and progress >= self.tried + TRIAL_SHARE:
            score = self._measured(self.schedule.trial, TRIAL_EPISODES)[0]
            self.tried = progress
        ranges, randomizer = self.schedule.ranges(progress, score), self.env.env.randomizer
        if ranges != randomizer.randomization:
            randomizer.set_ranges(ranges)

    def _measured(self, randomization: Randomization | None = None, episodes: int | None = None) -> list[float]:
        """Score of the policy as it is, and of each episode; rank 0 measures while the others wait."""
        if self.ppo.collective.rank:
            return told(self.ppo.collective, [])
        evaluation = self.evaluate(self._act, randomization, episodes)
        return told(self.ppo.collective, [evaluation.score, *evaluation.episode_scores])

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


class Watcher(BaseCallback):
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
        due = time.perf_counter() - self.saved_at > CHECKPOINT_SECONDS
        # Asked once: the answer may change, and who stops must have saved.
        stop, due = map(bool, told(run.ppo.collective, [run.should_stop(), due]))
        if due or stop:
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
