"""Score a policy on the fixed episodes, with intervals; and, if asked, find where it breaks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import envs.tasks
from envs.task import TaskSpec
from policies import evaluation
from policies.robustness import robustness_map
from policies.robustness.axes import CATALOGUE
from policies.robustness.conditions import Condition, Outcome
from policies.skill import Skill, load_skill, robot_of
from policies.threads import one_torch_thread
from policies.training import StoppedError
from robots.spec import RobotSpec
from sim2real.campaign.stage import Stage
from sim2real.commands import Evaluate
from sim2real.report.robustness import save_picture
from sim2real.stages.results import SKILL, scores

PICTURE = "robustness.png"
EPISODES = "robustness.parquet"
"""Score and fall of every episode under every condition."""


def evaluate(command: Evaluate, stage: Stage) -> dict[str, Any]:
    """Evaluate a result's skill; see `sim2real.commands.Evaluate`."""
    one_torch_thread()
    skill = load_skill(stage.input() / SKILL)
    spec, task = robot_of(skill.card), envs.tasks.get(skill.card.task)
    try:
        mapped = _map_robustness(command, stage, skill, spec, task) if command.robustness else {}
    except StoppedError:
        return {}
    measured = evaluation.evaluate(spec, task, skill.player(), episodes=command.episodes, num_threads=stage.cpus)
    return {"robot": skill.card.robot, "task": task.name} | scores(measured, spec, task, stage.cpus) | mapped


def _map_robustness(command: Evaluate, stage: Stage, skill: Skill, spec: RobotSpec, task: TaskSpec) -> dict[str, Any]:
    """Where the policy breaks, as data, as a picture and episode by episode."""

    def report(fraction: float) -> None:
        stage.report(0.9 * fraction)
        if stage.should_stop():
            raise StoppedError

    found, played = robustness_map.measure(
        spec,
        task,
        skill.player,
        trained=skill.card.randomization,
        pair=command.axes,
        num_threads=stage.cpus,
        report=report,
    )
    save_picture(found.as_dict(), stage.out / PICTURE)
    write_episodes(played, stage.out / EPISODES)
    return {"robustness": found.as_dict(), "picture": PICTURE, "robustness_episodes": EPISODES}


def write_episodes(played: Mapping[Condition, Outcome], path: Path) -> None:
    """A row for each episode: what was disturbed, in units of the fields of `Randomization`, its score, its fall."""
    nominal = {axis.name: axis.nominal for axis in CATALOGUE}
    names = sorted({name for condition in played for name, _ in condition})
    sizes = [len(outcome.scores) for outcome in played.values()]
    columns: dict[str, Any] = {
        name: np.repeat([dict(condition).get(name, nominal[name]) for condition in played], sizes) for name in names
    }
    columns["episode"] = np.concatenate([np.arange(size) for size in sizes])
    columns["score"] = np.concatenate([outcome.scores for outcome in played.values()])
    columns["fell"] = np.concatenate([outcome.fell for outcome in played.values()])
    pq.write_table(pa.table(columns), path)
