"""From names to something that moves: a bare robot, or a task's worlds with a policy in them."""

from pathlib import Path
from typing import TYPE_CHECKING

import robots
from sim2real.view.bare import BareRobot
from sim2real.view.target import Target

if TYPE_CHECKING:  # torch takes two seconds, which a bare robot does not pay
    from sim2real.view.acting import ActingRobots


def simulate(target: Target, task: str | None, num_worlds: int, randomization: str) -> "BareRobot | ActingRobots":
    """The simulation of a target.

    Args:
        target: A robot, or a skill on the robot it was trained on.
        task: Whose worlds it stands in; the skill's own if left out, and none for a bare robot.
        num_worlds: Robots side by side.
        randomization: Name of a preset of hidden parameters.

    Raises:
        ValueError: several bare robots, a robot that cannot do the task, or a skill that no longer fits its robot.
        LookupError: there is no such task or preset.
    """
    if target.skill or task:
        return _acting(target, task, num_worlds, randomization)
    if num_worlds > 1 or randomization != "none":
        raise ValueError("several or randomized robots are worlds of a task: name one by --task, or view a RUN")
    return BareRobot(robots.get(target.robot))


def _acting(target: Target, task: str | None, num_worlds: int, randomization: str) -> "ActingRobots":
    import envs.tasks
    from envs.randomization import preset
    from policies.skill import load_skill, robot_of, terms_of
    from policies.threads import one_torch_thread
    from sim2real.view.acting import ActingRobots

    one_torch_thread()
    hidden = preset(randomization)
    if not target.skill:
        return ActingRobots(robots.get(target.robot), envs.tasks.get(str(task)), None, num_worlds, hidden)
    skill = load_skill(Path(target.skill))
    spec = robot_of(skill.card)
    if task and task != skill.card.task:
        skill = load_skill(Path(target.skill), terms_of(skill.card.robot, task))
    return ActingRobots(spec, envs.tasks.get(task or skill.card.task), skill, num_worlds, hidden)
