"""What the joints of a robot attend to under a skill: attribution and its check, as JSON data."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

import envs.tasks
from envs import embodiments
from envs.embodiments.embodiment import Actor
from policies import attribution
from policies.attribution import Watched
from policies.skill import Skill
from robots.spec import RobotSpec
from sim2real.stages.bodies import skeleton

STATES = 512
"""Visited states that an attribution is a mean over."""
SEED = 0
"""Of the choice of states, and of the random readings that are deleted."""


def attended(
    skill: Skill, spec: RobotSpec, watched: Watched, score: float, play: Callable[[Actor], float]
) -> dict[str, Any]:
    """Attribution over visited states, and its check by deletion.

    Args:
        skill: On the robot.
        spec: The robot.
        watched: What the skill saw there.
        score: What it scored.
        play: Gives the score of another actor in the same episodes.
    """
    terms = embodiments.terms(spec, envs.tasks.get(skill.card.task))
    states = watched.frames(STATES, torch.Generator().manual_seed(SEED))
    found = attribution.attribute(skill, terms, states)
    readings = attribution.readings(terms, spec.joint_names, skill.card.frame_width)
    deletion = attribution.delete(skill, found, readings, play, score, np.random.default_rng(SEED))
    return {
        "joints": list(spec.joint_names),
        "senses": list(found.senses),
        "by_sense": found.by_sense.tolist(),
        "by_joint": found.by_joint.tolist(),
        "states": found.states,
        "incompleteness": found.incompleteness,
        "deletion": asdict(deletion) | {"top_drop": deletion.top_drop, "random_drop": deletion.random_drop},
        "skeleton": skeleton(spec),
    }
