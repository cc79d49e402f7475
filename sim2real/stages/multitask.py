"""Train one policy on several tasks or robots at once, and leave each of its members as a skill of its own."""

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from envs.randomization import preset
from envs.randomization.sample_log import SampleLog
from policies import hyperparameters
from policies.evaluation import evaluate
from policies.files.policy_file import save_policy
from policies.members import fold
from policies.members.learner import MemberPPO
from policies.members.names import folder
from policies.members.training import MemberTraining
from policies.members.worlds import Member, MemberWorlds
from policies.networks import ActorCritic
from policies.seeds import part_seed
from policies.skill import skill_of
from policies.threads import one_torch_thread
from policies.tokens import generalist
from policies.tokens.curriculum import BodyCurriculum
from policies.tokens.generalist import Generalist, GeneralistCard
from policies.tokens.learner import TokenPPO
from policies.tokens.policy import TokenPolicy
from policies.tokens.varied_training import VariedTraining
from policies.tokens.worlds import BodyWorlds
from policies.training import StoppedError
from sim2real.campaign.stage import Stage
from sim2real.commands import Multitask
from sim2real.stages.results import POLICY, SAMPLES, SKILL, TOKENS, deployable, keep_samples, scores

NETWORKS: dict[str, tuple[type[MemberWorlds], type[MemberPPO]]] = {
    "mlp": (MemberWorlds, MemberPPO),
    "tokens": (BodyWorlds, TokenPPO),
}
"""Worlds and learner of each network."""


def multitask(command: Multitask, stage: Stage) -> dict[str, Any]:
    """Train all members together; see `sim2real.commands.Multitask`."""
    one_torch_thread()
    members = [Member.named(name) for name in command.members]
    wanted = hyperparameters.chosen(command.hyperparameters, members[0].spec, members[0].task)
    if command.hyperparameters == hyperparameters.TUNED:
        wanted = replace(wanted, mirror=False)  # common rows have no mirror image
    worlds_of, learner_of = NETWORKS[command.network]
    training_of = _training_of(command, members)
    worlds = worlds_of(
        members,
        num_envs=command.num_envs,
        randomization=preset(command.randomization),
        seed=part_seed(command.seed, "worlds"),
        num_threads=stage.cpus,
        gamma=wanted.gamma,
    )
    ppo = learner_of(worlds, privileged=command.privileged, hyperparameters=wanted, seed=command.seed)
    samples = _kept_samples(worlds, stage, ppo)
    training = training_of(
        ppo,
        command.steps,
        stage.checkpoint / "training.safetensors",
        num_threads=stage.cpus,
        report=stage.report,
        should_stop=stage.should_stop,
    )
    try:
        training.run()
    except StoppedError:
        return {}
    varied = _varied(training) if isinstance(training, VariedTraining) else {}
    if isinstance(worlds, BodyWorlds):
        _generalist(training, command).save(stage.out / TOKENS)
    results = {}
    for index, member in enumerate(members):
        own = replace(stage, out=stage.out / folder(member.name))
        own.out.mkdir()
        samples[index].finish(own.out / SAMPLES)
        results[member.name] = _finished(training, own, index)
    every = [result["score"] for result in results.values()]
    return {
        "privileged": command.privileged,
        "env_steps": ppo.num_timesteps,
        "seconds": training.seconds,
        "env_steps_per_s": training.env_steps_per_s,
        "score": sum(every) / len(every),
        "members": results,
    } | varied


def _training_of(command: Multitask, members: list[Member]) -> Callable[..., MemberTraining]:
    """How the members learn: as they are, or as bodies that vary."""
    if not command.vary:
        return MemberTraining
    return partial(VariedTraining, BodyCurriculum.of(members, command.vary, part_seed(command.seed, "bodies")))


def _varied(training: VariedTraining) -> dict[str, Any]:
    """What became of the bodies; every member has its own again."""
    training.home()
    curriculum = training.curriculum
    reached = [curriculum.vary * width for width in curriculum.widths.values()]
    return {
        "bodies": len(training.worlds.members) - len(curriculum.own) + sum(curriculum.met.values()),
        "vary": sum(reached) / len(reached),
        "trials": [asdict(trial) for trial in training.trials],
    }


def _kept_samples(worlds: MemberWorlds, stage: Stage, ppo: MemberPPO) -> list[SampleLog]:
    """The log of each member's restarts."""
    return [
        keep_samples(own, stage, lambda: ppo.num_timesteps, f"samples-{folder(member.name)}")
        for own, member in zip(worlds.worlds, worlds.members, strict=True)
    ]


def _policy_of(training: MemberTraining, index: int) -> ActorCritic:
    """One member as an ordinary actor-critic."""
    policy, size = training.ppo.policy, float(training.worlds.scale.size[index])
    if isinstance(policy, TokenPolicy):
        return generalist.folded(policy, policy.row.bodies[index], policy.row.terms[index], size)
    return fold.folded(training.policy, index, size)


def _generalist(training: MemberTraining, command: Multitask) -> Generalist:
    """The policy for any joints that a training made."""
    worlds, policy = training.worlds, training.ppo.policy
    card = GeneralistCard(
        members=tuple(member.robot for member in worlds.members),
        model_hashes=tuple(member.spec.model_hash for member in worlds.members),
        task=worlds.members[0].task.name,
        privileged=command.privileged,
        hidden=policy.hidden,
        activation=policy.activation,
        randomization=preset(command.randomization),
        env_steps=training.ppo.num_timesteps,
        return_size=float(worlds.scale.size.mean()),
        terms=tuple(term.name for term in worlds.worlds[0].terms),
    )
    return Generalist(card=card, weights=dict(policy.state_dict()))


def _finished(training: MemberTraining, stage: Stage, index: int) -> dict[str, Any]:
    """Write the files of one member into its folder, `stage.out`, and give what is to be known of it."""
    worlds, member = training.worlds, training.worlds.members[index]
    policy = _policy_of(training, index)
    env_steps = training.ppo.num_timesteps
    skill = skill_of(policy, worlds.worlds[index], robot=member.robot, env_steps=env_steps)
    skill.save(stage.out / SKILL)
    save_policy(stage.out / POLICY, policy, skill.card)
    evaluation = evaluate(member.spec, member.task, skill.player(), num_threads=stage.cpus)
    bundle = deployable(skill, stage, member.spec, member.task, evaluation)
    return {
        "robot": member.robot,
        "task": member.task.name,
        "env_steps": env_steps // len(worlds.members),
        "diverged": int(worlds.worlds[index].diverged.sum()),
        "bundle": bundle and f"{stage.out.name}/{bundle}",
        "curve": [asdict(point) for point in training.curve_of(index)],
    } | scores(evaluation, member.spec, member.task, stage.cpus)
