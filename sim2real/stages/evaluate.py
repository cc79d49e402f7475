"""Score a policy on the fixed episodes, with intervals."""

from typing import Any

import envs.tasks
from policies import evaluation
from policies.skill import load_skill, robot_of
from policies.threads import one_torch_thread
from sim2real.campaign.stage import Stage
from sim2real.commands import Evaluate
from sim2real.stages.results import SKILL, scores


def evaluate(command: Evaluate, stage: Stage) -> dict[str, Any]:
    """Evaluate a result's skill; see `sim2real.commands.Evaluate`."""
    one_torch_thread()
    skill = load_skill(stage.input() / SKILL)
    spec, task = robot_of(skill.card), envs.tasks.get(skill.card.task)
    measured = evaluation.evaluate(spec, task, skill.player(), episodes=command.episodes, num_threads=stage.cpus)
    return {"robot": skill.card.robot, "task": task.name} | scores(measured, spec, task, stage.cpus)
