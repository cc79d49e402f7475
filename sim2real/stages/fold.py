"""Fold a tokens network onto one robot: an ordinary result, which every other stage accepts."""

from typing import Any

import envs.tasks
import robots
from policies.evaluation import evaluate
from policies.files.policy_file import save_policy
from policies.tokens.generalist import Generalist, load_generalist
from sim2real.campaign.stage import Stage
from sim2real.commands import Fold
from sim2real.stages.results import POLICY, SKILL, TOKENS, deployable, scores


def fold(command: Fold, stage: Stage) -> dict[str, Any]:
    """Fold and score; see `sim2real.commands.Fold`."""
    generalist = generalist_of(stage)
    spec, task = robots.get(command.to), envs.tasks.get(generalist.card.task)
    policy = generalist.policy_on(spec)
    skill = generalist.skill_of(policy, command.to)
    skill.save(stage.out / SKILL)
    save_policy(stage.out / POLICY, policy, skill.card)
    evaluation = evaluate(spec, task, skill.player(), num_threads=stage.cpus)
    return {
        "robot": command.to,
        "task": task.name,
        "privileged": skill.card.privileged,
        "env_steps": skill.card.env_steps,
        "seen": spec.model_hash in generalist.card.model_hashes,
        "sources": list(generalist.card.members),
        "bundle": deployable(skill, stage, spec, task, evaluation),
    } | scores(evaluation, spec, task, stage.cpus)


def generalist_of(stage: Stage) -> Generalist:
    """The tokens network in the result that a stage starts from.

    Raises:
        FileNotFoundError: it has none.
    """
    path = stage.input() / TOKENS
    if not path.is_file():
        raise FileNotFoundError(
            f"{stage.input()} holds no {TOKENS}; name a result of sim2real multitask ... --network tokens"
        )
    return load_generalist(path)
