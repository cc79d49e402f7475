"""Result folders such as the stages write, for tests of the report."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

import robots
from policies.skill import Skill, SkillCard, terms_of
from sim2real.statistics import Curve, learned_threshold, transfer_measures
from sim2real.verdict import RULE, judge

EPISODES = 8


def points(first: float, last: float, budget: int = 400_000, count: int = 6) -> list[dict[str, Any]]:
    """A learning curve that rises from one score to the other, episodes 0.1 around it."""
    curve = []
    for index in range(count):
        score = last + (first - last) * math.exp(-4.0 * index / (count - 1))
        spread = [0.1 * (2.0 * episode / (EPISODES - 1) - 1.0) for episode in range(EPISODES)]
        episodes = [score + offset for offset in spread]
        curve.append({"env_steps": budget * index // (count - 1), "score": score, "episode_scores": episodes})
    return curve


def transferred(transfer: list[dict[str, Any]], scratch: list[dict[str, Any]]) -> dict[str, Any]:
    """The result of a transfer with these learning curves."""
    score, scratch_score, no_op = transfer[-1]["score"], scratch[-1]["score"], 0.35
    threshold = learned_threshold(max(score, scratch_score), no_op)
    curves, rng = (Curve.of(transfer), Curve.of(scratch)), np.random.default_rng(0)
    measures = transfer_measures(*curves, threshold=threshold, rng=rng)
    verdict = judge(measures)
    return {
        "source_robot": "go1",
        "robot": "anymal_c",
        "task": "velocity",
        "strategy": "finetune",
        "zero_shot": transfer[0]["score"],
        "no_op": no_op,
        "score": score,
        "scratch_score": scratch_score,
        "curves": {"transfer": transfer, "scratch": scratch},
        "refused": False,
        "verdict": verdict.word,
        "reason": verdict.reason,
        "rule": RULE,
    } | measures.as_result()


RESULTS: dict[str, dict[str, Any]] = {
    "train": {
        "robot": "go1",
        "task": "velocity",
        "privileged": True,
        "env_steps": 1_400_832,
        "seconds": 128.4,
        "env_steps_per_s": 11_234.5,
        "score": 0.851,
        "score_ci": [0.83, 0.87],
        "no_op": 0.36,
        "yaw_score": 0.74,
        "yaw_no_op": 0.18,
        "falls": 1,
        "episodes": 128,
        "cvar25": 0.61,
        "cost_of_transport": 0.9,
        "curve": points(0.3, 0.84, 1_400_000),
    },
    "distill": {
        "robot": "go1",
        "score": 0.82,
        "score_ci": [0.80, 0.84],
        "teacher_score": 0.851,
        "ratio": 0.9635,
        "yaw_score": 0.71,
        "falls": 0,
        "episodes": 128,
        "history": 10,
        "memory": 0,
        "randomized": {"score": 0.77, "teacher_score": 0.8, "ratio": 0.9625},
        "adaptation": {"payload": {"ratio": 0.91}, "motor": {"ratio": 0.87}},
        "losses": [{"env_steps": 1000 * step, "loss": 1.0 / step} for step in range(1, 40)],
    },
    "export": {"robot": "go1", "onnx_vs_torch": 2.4e-7, "numpy_vs_torch": 3.1e-7, "observations": 1280, "bytes": 1.3e6},
    "rehearse": {
        "score": 0.7,
        "score_per_reality": [0.6, 0.75, 0.72, 0.73],
        "score_kind": "mean over 4 realities × 4 episodes",
        "sim_score": 0.82,
        "retained": 0.8537,
        "cvar25": 0.6,
        "predicted": [0.6, 0.75],
        "predicted_coverage": 0.6,
        "falls": 2,
        "episodes": 16,
        "late_ticks": 3,
        "ticks": 1500,
        "tick_us": {"p50": 210.0, "p99": 480.0, "p999": 900.0},
    },
    "transfer": transferred(points(0.5, 0.8), points(0.2, 0.7)),
    "evaluate": {"robot": "go1", "score": 0.82, "falls": 0, "episodes": 128},
}
PARAMS: dict[str, dict[str, Any]] = {
    "train": {"robot": "go1", "task": "velocity", "seed": 3, "steps": 1_400_000, "privileged": True},
    "distill": {"student": "proprio", "seed": 0, "steps": 400_000, "history": 10},
    "export": {"to": "onnx"},
    "rehearse": {"realities": 4, "seconds": 10.0, "clock": "lockstep", "seed": 0},
    "transfer": {"to": "anymal_c", "task": None, "strategy": "finetune", "budget": 400_000, "seed": 0},
    "evaluate": {"episodes": 128},
}
PARENTS = {"distill": "train", "export": "distill", "rehearse": "export", "transfer": "train", "evaluate": "distill"}
HIDDEN = {"mass": 0.97, "friction": 0.5, "lag": 0.008, "imperfections": {"mounting": [0.003, 0.004, 0.0]}}


def write(root: Path, kind: str, result: dict[str, Any] | None = None, name: str = "", **record: Any) -> Path:
    """Write the result folder of a stage; returns it."""
    folder = root / (name or kind)
    folder.mkdir(parents=True)
    parent = PARENTS.get(kind)
    content = {
        "schema": 1,
        "kind": kind,
        "name": name or kind,
        "key": f"{kind}-key",
        "params": PARAMS.get(kind, {}),
        "inputs": {"run": f"{parent}-key"} if parent else {},
        "result": RESULTS[kind] if result is None else result,
        "seconds": 12.5,
        "provenance": {"versions": {"mujoco": "4.0.0"}, "commit": "0123456789abcdef", "executor": "inline"},
        "files": {},
        **record,
    }
    (folder / "run.json").write_text(json.dumps(content))
    return folder


def write_seals(folder: Path) -> None:
    """What a rehearsal writes beside its result."""
    episode = {"command": [0.5, 0.0, 0.0], "score": 0.7, "fell": True}
    trials = [{"seed": 0, "episodes": [episode, {**episode, "fell": False}], "hidden": HIDDEN}]
    (folder / "rehearsal.json").write_text(json.dumps({"schema": 1, "realities": trials}))


def write_skill(folder: Path, robot: str, action: float = 0.0) -> None:
    """A skill that gives every joint the same action: 0 stands on the nominal pose, more falls."""
    spec, terms = robots.get(robot), terms_of(robot, "velocity")
    width = sum(term.width for term in terms if term.measurable)
    card = SkillCard(
        robot=robot,
        model_hash=spec.model_hash,
        task="velocity",
        privileged=False,
        history=2,
        frame_width=width,
        hidden=(8,),
        num_joints=spec.num_joints,
    )
    skill = Skill(card, terms)
    with torch.no_grad():
        skill.actor[-1].weight.zero_()
        skill.actor[-1].bias.fill_(action)
    skill.save(folder / "skill.safetensors")
