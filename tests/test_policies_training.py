"""Training and distillation that may be killed: what is restored continues bit for bit."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_policies_ppo import Immediately

import envs.tasks
import policies.ppo
import policies.training
import robots
from envs.randomization import preset
from envs.randomization.schedules import SCHEDULES
from envs.vector_env import VectorEnv
from policies.files import checkpoint
from policies.networks import ActorCritic, Layout
from policies.ppo import PPO
from policies.skill import Skill, SkillCard
from policies.students.distillation import Distillation
from policies.threads import one_torch_thread
from policies.training import StoppedError, Training
from policies.vec_env import Sb3VecEnv

one_torch_thread()
GO1, VELOCITY = robots.get("go1"), envs.tasks.get("velocity")
NUM_ENVS = 8
ITERATION = 24 * NUM_ENVS
"""Environment steps of a rollout."""
HISTORY = 3


@pytest.fixture(scope="module", autouse=True)
def _short():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policies.training, "CURVE_EPISODES", 2)
        patch.setattr(policies.training, "CURVE_SECONDS", 0.1)
        patch.setattr(policies.ppo, "ThreadPoolExecutor", Immediately)
        yield


def an_env(seed: int = 5, spec=GO1) -> VectorEnv:
    return VectorEnv(spec, VELOCITY, num_envs=NUM_ENVS, randomization=preset("default"), seed=seed, num_threads=1)


def a_training(file, num_iterations: int, should_stop=lambda: False, spec=GO1, hidden=(16, 16)) -> Training:
    env = an_env(spec=spec)
    kwargs = {"layout": Layout.of(env.terms, privileged=False), "hidden": hidden}
    ppo = PPO(ActorCritic, Sb3VecEnv(env), seed=5, policy_kwargs=kwargs)
    return Training(ppo, num_iterations * ITERATION, file, num_threads=1, curve_points=1, should_stop=should_stop)


def a_distillation(file, num_iterations: int, should_stop=lambda: False) -> Distillation:
    env = an_env()
    torch.manual_seed(5)
    card = SkillCard(
        robot="go1",
        model_hash=env.spec.model_hash,
        task="velocity",
        privileged=True,
        history=1,
        frame_width=env.width,
        hidden=(16,),
        num_joints=GO1.num_joints,
    )
    teacher = Skill(card, env.terms).requires_grad_(False)
    seen = {"privileged": False, "history": HISTORY, "frame_width": env.actor_width}
    student = Skill(SkillCard(**{**vars(card), **seen}), env.terms)
    return Distillation(teacher, student, env, num_iterations * ITERATION, file, seed=5, should_stop=should_stop)


def stops_after(num_asks: int):
    """A `should_stop` that says no `num_asks` times, once an iteration."""
    asked = iter(range(10_000))
    return lambda: next(asked) >= num_asks


def run_until_stopped(run) -> None:
    with pytest.raises(StoppedError):
        run.run()


def everything(run) -> dict[str, torch.Tensor]:
    """What `save` writes: weights, moments, generators, environment, physics."""
    run.save()
    return checkpoint.load(run.file)[0]


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert different == []


@pytest.fixture(scope="module")
def straight_training(tmp_path_factory):
    run = a_training(tmp_path_factory.mktemp("straight") / "run.safetensors", 4)
    run.run()
    return everything(run), run


@pytest.mark.parametrize("num_asks", [0, 2], ids=["before the first step", "half-way"])
def test_a_stopped_training_goes_on_as_if_it_had_not_been(tmp_path, straight_training, num_asks):
    tensors, straight = straight_training
    file = tmp_path / "run.safetensors"
    run_until_stopped(a_training(file, 4, stops_after(num_asks)))
    assert checkpoint.load(file)[1]["env_steps"] == num_asks * ITERATION
    resumed = a_training(file, 4)
    resumed.run()
    assert_equal(everything(resumed), tensors)
    assert resumed.ppo.num_timesteps == straight.ppo.num_timesteps == 4 * ITERATION
    assert resumed.ppo.adaptive_rate == straight.ppo.adaptive_rate
    scores = [[(point.env_steps, point.episode_scores) for point in run.curve] for run in (resumed, straight)]
    assert scores[0] == scores[1]


def test_the_curve_has_a_point_at_the_start_in_between_and_at_the_end(straight_training):
    _, straight = straight_training
    assert [point.env_steps for point in straight.curve] == [0, 2 * ITERATION, 4 * ITERATION]
    assert all(len(point.episode_scores) == 2 for point in straight.curve)
    assert straight.curve[0].seconds < straight.curve[-1].seconds
    assert straight.learning_seconds < straight.seconds


def test_a_finished_training_is_not_trained_again(tmp_path, straight_training):
    tensors, straight = straight_training
    straight.save()
    again = a_training(tmp_path / "run.safetensors", 4)
    again.file = straight.file
    again.run()
    assert_equal(everything(again), tensors)


def test_progress_is_told_between_rollouts(tmp_path):
    told = []
    run = a_training(tmp_path / "run.safetensors", 2)
    run.report = lambda fraction, **metrics: told.append((fraction, set(metrics)))
    run.run()
    assert [fraction for fraction, _ in told] == [0.0, 0.5]
    assert told[0][1] >= {"steps_per_s", "score", "env_steps"}


def test_a_training_that_was_killed_while_saving_keeps_its_last_checkpoint(tmp_path):
    file = tmp_path / "run.safetensors"
    run_until_stopped(a_training(file, 4, stops_after(2)))
    whole = file.read_bytes()
    (tmp_path / f".{file.name}.1").write_bytes(whole[: len(whole) // 2])  # what a kill leaves behind
    resumed = a_training(file, 4)
    resumed.restore()
    assert resumed.ppo.num_timesteps == 2 * ITERATION


def test_a_damaged_checkpoint_says_what_to_do(tmp_path):
    file = tmp_path / "run.safetensors"
    file.write_bytes(b"half a check")
    with pytest.raises(ValueError, match=r"run\.safetensors is damaged .* delete it to start that stage anew"):
        a_training(file, 4).run()


def test_a_stopped_distillation_goes_on_as_if_it_had_not_been(tmp_path):
    straight = a_distillation(tmp_path / "straight.safetensors", 4)
    straight.run()
    file = tmp_path / "run.safetensors"
    run_until_stopped(a_distillation(file, 4, stops_after(1)))
    assert checkpoint.load(file)[1]["env_steps"] == 2 * ITERATION
    resumed = a_distillation(file, 4)
    resumed.run()
    assert_equal(everything(resumed), everything(straight))
    assert resumed.losses == straight.losses
    assert [point["env_steps"] for point in straight.losses] == [ITERATION * i for i in (1, 2, 3, 4)]


def test_a_student_comes_closer_to_its_teacher(tmp_path):
    run = a_distillation(tmp_path / "run.safetensors", 16)
    run.run()
    assert run.losses[-1]["loss"] < 0.7 * run.losses[0]["loss"]


def test_distilling_leaves_the_teacher_and_the_global_generator_alone(tmp_path):
    run = a_distillation(tmp_path / "run.safetensors", 1)
    before, state = {name: value.clone() for name, value in run.teacher.state_dict().items()}, torch.get_rng_state()
    run.run()
    assert_equal(run.teacher.state_dict(), before)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_students_normalizer_sees_each_frame_once(tmp_path):
    run = a_distillation(tmp_path / "run.safetensors", 2)
    run.run()
    assert run.student.normalizer.count == 2 * ITERATION


def scheduled(file, name: str, should_stop=lambda: False) -> Training:
    training = a_training(file, 4, should_stop)
    training.schedule = SCHEDULES[name](training.env.env.randomizer.randomization)
    return training


def in_schema_1(file) -> None:
    """Rewrite a training's or a distillation's checkpoint as schema 1 had it."""
    tensors, record = checkpoint.load(file)
    if record["kind"] == "training":
        kept = ("env_steps", "seconds", "learning_seconds", "tried", "schedule", "curve")
        old = {"adaptive_rate": record["learner"]["adaptive_rate"]}
        names = {f"learner.{name}": name for name in ("generator", "last_observation")}
        parts = {f"learner.{part}.": f"{part}." for part in ("policy", "actor_optimizer", "critic_optimizer")}
    else:
        kept, old = ("env_steps", "loss", "seconds", "losses"), {}
        names = {"lesson0.player.frames": "frames", "lesson0.observation": "observation", "lesson0.started": "started"}
        names |= {"generator": "generator"}
        parts = {"student.": "student.", "optimizer.": "optimizer.", "lesson0.env.": "env."}
    parts |= {"env.": "env."}
    renamed = {}
    for name, tensor in tensors.items():
        part = next((part for part in parts if name.startswith(part)), None)
        if name in names:
            renamed[names[name]] = tensor
        elif part:
            renamed[parts[part] + name.removeprefix(part)] = tensor
    record = {"schema": 1, **old, **{name: record[name] for name in kept}}
    save_file(renamed, file, metadata={"record": json.dumps(record)})
    assert not {"learner.policy.log_std", "lesson0.led"} & set(renamed)


def test_a_training_of_schema_1_goes_on_bit_for_bit(tmp_path, straight_training):
    tensors, straight = straight_training
    file = tmp_path / "run.safetensors"
    run_until_stopped(a_training(file, 4, stops_after(2)))
    in_schema_1(file)
    resumed = a_training(file, 4)
    resumed.run()
    assert resumed.ppo.adaptive_rate == straight.ppo.adaptive_rate
    found = resumed.ppo.policy.state_dict()
    assert all(torch.equal(found[name], value) for name, value in straight.ppo.policy.state_dict().items())
    worlds = {name: value for name, value in tensors.items() if name.startswith("env.")}
    assert_equal({name: value for name, value in everything(resumed).items() if name.startswith("env.")}, worlds)
    assert checkpoint.load(file)[1]["schema"] == 2


def test_a_distillation_of_schema_1_goes_on_bit_for_bit(tmp_path):
    straight = a_distillation(tmp_path / "straight.safetensors", 4)
    straight.run()
    file = tmp_path / "run.safetensors"
    run_until_stopped(a_distillation(file, 4, stops_after(1)))
    in_schema_1(file)
    resumed = a_distillation(file, 4)
    resumed.run()
    assert_equal(resumed.student.state_dict(), straight.student.state_dict())
    assert resumed.losses == straight.losses


def test_a_checkpoint_of_another_network_or_robot_is_refused(tmp_path):
    file = tmp_path / "run.safetensors"
    run_until_stopped(a_training(file, 4, stops_after(1)))
    with pytest.raises(ValueError, match=r"is of another run: hidden layers must be \[8\], it has \[16, 16\]"):
        a_training(file, 4, hidden=(8,)).run()
    with pytest.raises(ValueError, match="is of another run: robot must be 'a1', it has 'go1'; start it as it was"):
        a_training(file, 4, spec=robots.get("a1")).run()
    with pytest.raises(ValueError, match="must be of a distillation, got 'training'"):
        a_distillation(file, 4).run()


def test_a_budget_below_one_rollout_is_refused(tmp_path):
    run = a_training(tmp_path / "run.safetensors", 1)
    with pytest.raises(ValueError, match=r"one rollout, 192 = 24 control steps of 8 worlds, got 191; raise steps or"):
        Training(run.ppo, ITERATION - 1, run.file)


def test_global_generators_go_on_with_the_run(tmp_path):
    """Users' callbacks and tasks may draw from them."""
    file = tmp_path / "run.safetensors"
    torch.manual_seed(3)
    np.random.seed(3)
    run_until_stopped(a_training(file, 4, stops_after(2)))
    expected = torch.rand(2).tolist(), np.random.rand(2).tolist()
    a_training(file, 4).restore()
    assert (torch.rand(2).tolist(), np.random.rand(2).tolist()) == expected


def test_the_last_three_checkpoints_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(policies.training, "CHECKPOINT_SECONDS", 0.0)
    file = tmp_path / "run.safetensors"
    run_until_stopped(a_training(file, 5, stops_after(4)))
    kept = [checkpoint.load(each)[1]["env_steps"] // ITERATION for each in checkpoint.candidates(file)]
    assert kept == [4, 3, 2]


@pytest.mark.parametrize("name", ["curriculum", "automatic"])
def test_a_scheduled_run_continues_bit_for_bit(name, tmp_path):
    whole = scheduled(tmp_path / "whole.safetensors", name)
    whole.run()
    answers = iter([False, False, True])
    killed = scheduled(tmp_path / "killed.safetensors", name, lambda: next(answers))
    with pytest.raises(StoppedError):
        killed.run()
    resumed = scheduled(tmp_path / "killed.safetensors", name)
    resumed.run()
    expected, found = whole.ppo.policy.state_dict(), resumed.ppo.policy.state_dict()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert resumed.schedule.state_dict() == whole.schedule.state_dict()
    assert resumed.env.env.randomizer.randomization == whole.env.env.randomizer.randomization


def test_a_curriculum_begins_with_the_nominal_robot_and_ends_with_the_whole_ranges(tmp_path):
    training = scheduled(tmp_path / "curriculum.safetensors", "curriculum")
    target, widths = training.env.env.randomizer.randomization, []
    set_ranges = training.env.env.randomizer.set_ranges
    training.env.env.randomizer.set_ranges = lambda ranges: (widths.append(ranges.mass), set_ranges(ranges))
    training.run()
    assert widths[0] == (1.0, 1.0)
    assert widths[-1] == pytest.approx(target.mass)
    assert [high for _, high in widths] == sorted(high for _, high in widths)
