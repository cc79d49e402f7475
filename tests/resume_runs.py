"""Runs that may be killed, each in a process of its own: `python resume_runs.py KIND FOLDER ROLLOUTS WORLDS`.

A run writes what it learned into FOLDER; started again, it goes on from its checkpoints there. A checkpoint follows
every rollout, so that a kill at any moment finds one.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

import envs.tasks
import policies.evaluation
import policies.students.distillation
import policies.training
import robots
from envs.randomization import preset
from envs.randomization.sample_log import SampleLog
from envs.vector_env import VectorEnv
from policies.files import policy_file
from policies.networks import ActorCritic, Layout
from policies.ppo import PPO
from policies.skill import Skill, SkillCard
from policies.students.distillation import Distillation
from policies.threads import one_torch_thread
from policies.training import Training
from policies.vec_env import Sb3VecEnv

STEPS = 24
"""Control steps of a rollout."""
TRAININGS = {
    "go1": {"robot": "go1"},
    "curriculum": {"robot": "go1", "schedule": "curriculum"},
    "automatic": {"robot": "go1", "schedule": "automatic"},
    "halfcheetah": {"robot": "gymnasium:HalfCheetah-v5", "task": "gymnasium"},
}
"""Arguments of `api.train`."""
STUDENTS = {
    "mlp": {"history": 3},
    "conv": {"history": 6, "architecture": "conv", "latent": 4},
    "gru": {"history": 1, "architecture": "gru", "memory": 8, "latent": 4},
}
"""Fields of a student's card."""


def small() -> None:
    """Few and short episodes in evaluations, a checkpoint after every rollout; all else as users have it."""
    defaults = policies.evaluation.evaluate.__kwdefaults__
    defaults |= {"episodes": 4, "seconds": 0.2}
    policies.training.CURVE_EPISODES, policies.training.CURVE_SECONDS = 2, 0.1
    policies.training.TRIAL_EPISODES = 2
    policies.training.CHECKPOINT_SECONDS = policies.students.distillation.CHECKPOINT_SECONDS = 0.0
    one_torch_thread()


def train(kind: str, folder: Path, rollouts: int, worlds: int) -> None:
    """A training through the store in `folder`, linked as `folder/result`."""
    from policies.export import write
    from sim2real import api

    write.RECORDED_WORLDS, write.RECORDED_STEPS = 4, 10
    steps = rollouts * STEPS * worlds
    api.train(**TRAININGS[kind], steps=steps, num_envs=worlds, store=folder, out=folder / "result")


def bare(kind: str, folder: Path, rollouts: int, worlds: int) -> None:
    """A training without store, evaluation and bundle, into `folder/result`: what a fast test needs."""
    spec, task = robots.get("go1"), envs.tasks.get("velocity")
    env = VectorEnv(spec, task, num_envs=worlds, randomization=preset("default"), seed=5, num_threads=1)
    kwargs = {"layout": Layout.of(env.terms, privileged=False), "hidden": (32, 32)}
    ppo = PPO(ActorCritic, Sb3VecEnv(env), seed=5, policy_kwargs=kwargs)
    file = folder / "ckpt" / "run" / "training.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    run = Training(ppo, rollouts * STEPS * worlds, file, num_threads=1, curve_points=3)
    with keeping(env, file.parent / "samples", lambda: ppo.num_timesteps, folder / "result"):
        run.run()
    policy_file.write(folder / "result" / "policy.safetensors", dict(ppo.policy.state_dict()), {})
    tell(folder, {"curve": [asdict(point) for point in run.curve], "env_steps": ppo.num_timesteps})


def tell(folder: Path, result: dict[str, Any]) -> None:
    """Write the record of a result."""
    (folder / "result" / "run.json").write_text(json.dumps({"result": result}))


@contextmanager
def keeping(env: VectorEnv, folder: Path, clock: Callable[[], int], result: Path) -> Iterator[None]:
    """Log what every restart draws, and join it into `result`."""
    log = SampleLog(folder, env.randomizer.column_names, env.num_envs, clock)
    env.randomizer.keep_samples(log)
    yield
    result.mkdir(exist_ok=True)
    log.finish(result / "randomization.parquet")


def distill(kind: str, folder: Path, rollouts: int, worlds: int) -> None:
    """A distillation of a teacher of random weights, into `folder/result`."""
    spec, task = robots.get("go1"), envs.tasks.get("velocity")
    env = VectorEnv(spec, task, num_envs=worlds, randomization=preset("default"), seed=5, num_threads=1)
    card = SkillCard(
        robot="go1",
        model_hash=spec.model_hash,
        task="velocity",
        privileged=True,
        history=1,
        frame_width=env.width,
        hidden=(16,),
        num_joints=spec.num_joints,
    )
    torch.manual_seed(5)
    teacher = Skill(card, env.terms).requires_grad_(False)
    student = Skill(replace(card, privileged=False, frame_width=env.actor_width, **STUDENTS[kind]), env.terms)
    file = folder / "ckpt" / "run" / "distillation.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    run = Distillation(teacher, student, env, rollouts * STEPS * worlds, file, seed=5)
    with keeping(env, file.parent / "samples", lambda: run.env_steps, folder / "result"):
        run.run()
    run.student.save(folder / "result" / "skill.safetensors")
    tell(folder, {"losses": run.losses, "env_steps": run.env_steps})


def checkpoint_file(folder: Path) -> Path | None:
    """Of the one run in `folder`, if it has one already."""
    return next(iter(sorted(folder.glob("ckpt/*/[a-z]*.safetensors"), key=lambda path: len(path.name))), None)


def main() -> None:
    kind, folder, rollouts, worlds = sys.argv[1:]
    small()
    run = train if kind in TRAININGS else bare if kind == "bare" else distill
    run(kind, Path(folder), int(rollouts), int(worlds))


if __name__ == "__main__":
    main()
