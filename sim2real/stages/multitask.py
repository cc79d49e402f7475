"""Train one policy on several tasks or robots at once, and leave each of its members as a skill of its own."""

from dataclasses import asdict, replace
from typing import Any

from envs.randomization import preset
from envs.randomization.sample_log import SampleLog
from policies import hyperparameters
from policies.evaluation import evaluate
from policies.files.policy_file import save_policy
from policies.members.fold import folded
from policies.members.learner import MemberPPO
from policies.members.names import folder
from policies.members.training import MemberTraining
from policies.members.worlds import Member, MemberWorlds
from policies.seeds import part_seed
from policies.skill import skill_of
from policies.threads import one_torch_thread
from policies.training import StoppedError
from sim2real.campaign.stage import Stage
from sim2real.commands import Multitask
from sim2real.stages.results import POLICY, SAMPLES, SKILL, deployable, keep_samples, scores


def multitask(command: Multitask, stage: Stage) -> dict[str, Any]:
    """Train all members together; see `sim2real.commands.Multitask`."""
    one_torch_thread()
    members = [Member.named(name) for name in command.members]
    wanted = hyperparameters.chosen(command.hyperparameters, members[0].spec, members[0].task)
    if command.hyperparameters == hyperparameters.TUNED:
        wanted = replace(wanted, mirror=False)  # common rows have no mirror image
    worlds = MemberWorlds(
        members,
        num_envs=command.num_envs,
        randomization=preset(command.randomization),
        seed=part_seed(command.seed, "worlds"),
        num_threads=stage.cpus,
        gamma=wanted.gamma,
    )
    ppo = MemberPPO(worlds, privileged=command.privileged, hyperparameters=wanted, seed=command.seed)
    samples = _kept_samples(worlds, stage, ppo)
    training = MemberTraining(
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
    }


def _kept_samples(worlds: MemberWorlds, stage: Stage, ppo: MemberPPO) -> list[SampleLog]:
    """The log of each member's restarts."""
    return [
        keep_samples(own, stage, lambda: ppo.num_timesteps, f"samples-{folder(member.name)}")
        for own, member in zip(worlds.worlds, worlds.members, strict=True)
    ]


def _finished(training: MemberTraining, stage: Stage, index: int) -> dict[str, Any]:
    """Write the files of one member into its folder, `stage.out`, and give what is to be known of it."""
    worlds, member = training.worlds, training.worlds.members[index]
    policy = folded(training.policy, index, float(worlds.scale.size[index]))
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
