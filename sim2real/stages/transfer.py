"""Hand a skill to another robot: zero-shot probe, the strategy, a control from scratch at equal budget, a verdict."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

import envs.tasks
import robots
from envs.make import make_worlds
from envs.randomization import Randomization
from envs.task import TaskSpec
from policies.evaluation import Evaluation, evaluate, no_op
from policies.seeds import part_seed
from policies.skill import load_skill, robot_of, skill_of
from policies.starting import joint_mismatch
from policies.threads import one_torch_thread
from policies.tokens.generalist import load_generalist
from policies.training import CurvePoint, StoppedError, Training
from policies.vec_env import Sb3VecEnv
from robots.spec import RobotSpec
from sim2real.campaign.stage import Stage
from sim2real.commands import Transfer
from sim2real.stages.results import POLICY, SAMPLES, SKILL, TOKENS, finish, keep_samples
from sim2real.statistics import Curve, learned_threshold, transfer_measures
from sim2real.transfer import strategies
from sim2real.transfer.strategy import Source, Strategy
from sim2real.verdict import RULE, judge

NUM_ENVS = 256
CONTROL = "scratch"
MEASURED = (
    "verdict",
    "zero_shot",
    "jumpstart",
    "step_saving_ratio",
    "step_saving_ratio_ci",
    "transfer_ratio",
    "bundle",
)
"""Keys of a result that a refused transfer has no value for."""


def transfer(command: Transfer, stage: Stage) -> dict[str, Any]:
    """Transfer and judge; see `sim2real.commands.Transfer`."""
    one_torch_thread()
    spec = robots.get(command.to)
    tokens = (stage.input() / TOKENS).is_file()
    skill = _of_any_joints(command, stage, spec) if tokens else _of_these_joints(command, stage, spec)
    task = envs.tasks.get(command.task or skill.task)
    head = {"source_robot": skill.robot, "robot": command.to, "task": task.name, "strategy": command.strategy}
    if skill.source is None:
        return head | dict.fromkeys(MEASURED) | {"refused": True, "reason": skill.reason, "seconds": 0.0}
    try:
        return head | _Trial(command, stage, skill.source, spec, task, skill.randomization).run()
    except StoppedError:
        return {}


@dataclass(frozen=True, kw_only=True)
class _Offered:
    """What is to be handed over."""

    robot: str
    """It was trained on; several with commas between them."""
    task: str
    randomization: Randomization
    source: Source | None
    """None where the receiver's joints are not those it knows."""
    reason: str
    """Why not."""


def _of_these_joints(command: Transfer, stage: Stage, spec: RobotSpec) -> _Offered:
    """A plain network, which moves to robots whose joints match one by one."""
    card = load_skill(stage.input() / SKILL).card
    if not (stage.input() / POLICY).is_file():
        raise FileNotFoundError(
            f"{stage.input()} holds no {POLICY}: transfer starts from a result of train or transfer, "
            "whose critic is needed; name the teacher instead of its student"
        )
    if card.history > 1:
        raise ValueError(
            f"transfer hands over policies that read one frame, this one reads {card.history}; name its teacher, or go "
            f"on with sim2real train --robot {command.to} --from RUN"
        )
    reason = joint_mismatch(robot_of(card), spec)
    return _Offered(
        robot=card.robot,
        task=card.task,
        randomization=card.randomization,
        source=None if reason else Source.load(stage.input() / POLICY),
        reason=reason,
    )


def _of_any_joints(command: Transfer, stage: Stage, spec: RobotSpec) -> _Offered:
    """A tokens network, as the plain one that it is on the receiver."""
    generalist = load_generalist(stage.input() / TOKENS)
    card, source, reason = generalist.card, None, ""
    try:
        policy = generalist.policy_on(spec, envs.tasks.get(command.task or card.task))
        source = Source.of(policy, privileged=card.privileged)
    except ValueError as error:
        reason = str(error)
    robot = ",".join(card.members)
    return _Offered(robot=robot, task=card.task, randomization=card.randomization, source=source, reason=reason)


@dataclass(frozen=True)
class _Trial:
    """Two arms on one target: the strategy and its control, with equal budgets, seeds and episodes."""

    command: Transfer
    stage: Stage
    source: Source
    spec: RobotSpec
    task: TaskSpec
    randomization: Randomization

    def run(self) -> dict[str, Any]:
        """Run both arms and judge them."""
        strategy = strategies.get(self.command.strategy)
        arm = self.training(strategy, begin=0.0)
        samples = keep_samples(arm.env.env, self.stage, lambda: arm.ppo.num_timesteps)
        probe = self.score(arm)
        if strategy.trains:
            arm.run()
        else:
            arm.curve = _level(arm, self.command.budget)
        samples.finish(self.stage.out / SAMPLES)
        control = self.training(strategies.get(CONTROL), begin=0.5)
        control_samples = keep_samples(
            control.env.env, self.stage, lambda: control.ppo.num_timesteps, "control_samples"
        )
        control.run()
        control_samples.finish(self.stage.out / f"{CONTROL}_{SAMPLES}")
        scratch = self.score(control)
        result = finish(arm, self.stage, self.command.to, self.spec, self.task)
        curves = {"transfer": result.pop("curve"), "scratch": [asdict(point) for point in control.curve]}
        return (
            result
            | {
                "zero_shot": probe.score,
                "zero_shot_ci": probe.score_ci,
                "scratch_score": scratch.score,
                "scratch_score_ci": scratch.score_ci,
                "curves": curves,
                "scratch_seconds": control.seconds,
                "refused": False,
            }
            | self.judged(arm, control)
        )

    def environment(self) -> Sb3VecEnv:
        """The target in training, as the source was trained."""
        env = make_worlds(
            self.spec,
            self.task,
            num_envs=NUM_ENVS,
            randomization=self.randomization,
            seed=part_seed(self.command.seed, "worlds"),
            num_threads=self.stage.cpus,
        )
        return Sb3VecEnv(env)

    def training(self, strategy: Strategy, *, begin: float) -> Training:
        """An arm whose progress counts from `begin`, 0 or 0.5, of the stage."""
        return Training(
            strategy.learner(self.source, self.environment(), self.command.budget, self.command.seed),
            self.command.budget,
            self.stage.checkpoint / f"{strategy.name}.safetensors",
            num_threads=self.stage.cpus,
            report=lambda fraction, **metrics: self.stage.report(begin + fraction / 2.0, arm=strategy.name, **metrics),
            should_stop=self.stage.should_stop,
        )

    def score(self, arm: Training) -> Evaluation:
        """The arm's policy as it is now, on all fixed episodes."""
        skill = skill_of(arm.ppo.policy, arm.env.env, robot=self.command.to, env_steps=arm.ppo.num_timesteps)
        return evaluate(self.spec, self.task, skill.player(), num_threads=self.stage.cpus)

    def judged(self, arm: Training, control: Training) -> dict[str, Any]:
        """Measures and verdict, all from the short episodes of the learning curves."""
        curves = [[asdict(point) for point in training.curve] for training in (arm, control)]
        idle = control.evaluate(no_op(self.spec, self.task)).score
        threshold = learned_threshold(max(points[-1]["score"] for points in curves), idle)
        rng = np.random.default_rng(self.command.seed)
        measures = transfer_measures(Curve.of(curves[0]), Curve.of(curves[1]), threshold=threshold, rng=rng)
        verdict = judge(measures)
        return {"verdict": verdict.word, "reason": verdict.reason, "rule": RULE} | measures.as_result()


def _level(arm: Training, budget: int) -> list[CurvePoint]:
    """The curve of a skill that is not trained."""
    measured = arm.evaluate(lambda observation: arm.ppo.policy._predict(observation, deterministic=True))
    return [
        CurvePoint(env_steps=steps, seconds=0.0, score=measured.score, episode_scores=measured.episode_scores)
        for steps in (0, budget)
    ]
