"""Distillation: who leads, what encoders learn, several teachers, and runs that go on where they stopped."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

import envs.tasks
import robots
from envs.randomization import preset
from envs.vector_env import VectorEnv
from policies.files import checkpoint
from policies.ppo import DivergedError
from policies.skill import Skill, SkillCard
from policies.students.distillation import Distillation
from policies.students.lessons import Batch, Lesson
from policies.students.privileged import PrivilegedLatent
from policies.students.schooling import Teacher, refuse
from policies.threads import one_torch_thread
from policies.training import StoppedError

one_torch_thread()
VELOCITY = envs.tasks.get("velocity")
NUM_ENVS = 8
ITERATION = 24 * NUM_ENVS
STUDENTS = {
    "mlp": {"history": 3},
    "conv": {"history": 5, "architecture": "conv", "latent": 6},
    "gru": {"architecture": "gru", "memory": 8, "latent": 6},
}


def an_env(robot: str = "go1", seed: int = 5) -> VectorEnv:
    spec = robots.get(robot)
    return VectorEnv(spec, VELOCITY, num_envs=NUM_ENVS, randomization=preset("default"), seed=seed, num_threads=1)


def a_skill(env: VectorEnv, seed: int = 0, **changes) -> Skill:
    card = SkillCard(
        robot=env.spec.name,
        model_hash=env.spec.model_hash,
        task="velocity",
        privileged=True,
        history=1,
        frame_width=env.width,
        hidden=(16,),
        num_joints=env.spec.num_joints,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        skill = Skill(replace(card, **changes), env.terms)
        skill.normalizer.update(skill.normalizer.offset + torch.randn(64, skill.card.frame_width) * 0.3)
    return skill


def a_run(file, encoder: str = "gru", num_iterations: int = 4, **others) -> Distillation:
    env = an_env()
    seen = {"privileged": False, "frame_width": env.actor_width}
    student = a_skill(env, 1, **seen, **others.pop("card", {}), **STUDENTS[encoder])
    teacher = a_skill(env).requires_grad_(False)
    return Distillation(teacher, student, env, num_iterations * ITERATION, file, seed=5, **others)


def everything(run: Distillation) -> dict[str, torch.Tensor]:
    run.save()
    return checkpoint.load(run.file)[0]


@pytest.mark.parametrize("encoder", sorted(STUDENTS))
def test_a_stopped_distillation_of_any_student_goes_on_bit_for_bit(encoder, tmp_path):
    options = {"lead": "episode", "teacher_share": 0.9, "redraw_seconds": 0.5}
    straight = a_run(tmp_path / "straight.safetensors", encoder, **options)
    straight.run()
    answers = iter([False, True])
    stopped = a_run(tmp_path / "run.safetensors", encoder, should_stop=lambda: next(answers), **options)
    with pytest.raises(StoppedError):
        stopped.run()
    resumed = a_run(tmp_path / "run.safetensors", encoder, **options)
    resumed.run()
    expected, found = everything(straight), everything(resumed)
    own = [name for name in expected if not name.startswith("globals")]
    assert [name for name in own if not torch.equal(found[name], expected[name])] == []
    assert resumed.losses == straight.losses
    remembered = {"mlp": "frames", "conv": "frames", "gru": "state"}[encoder]
    assert expected[f"lesson0.player.{remembered}"].abs().sum() > 0.0


@pytest.mark.parametrize("encoder", ["conv", "gru"])
def test_a_student_with_an_encoder_comes_closer_to_its_teacher(encoder, tmp_path):
    run = a_run(tmp_path / "run.safetensors", encoder, 12, card={"hidden": (24,)}, learning_rate=3e-3)
    run.run()  # another width than the teacher's: a fresh actor
    assert run.losses[-1]["loss"] < 0.85 * run.losses[0]["loss"]
    assert run.losses[-1]["latent_loss"] < run.losses[0]["latent_loss"]


def test_a_latent_says_all_that_a_teachers_first_layer_hears_of_its_privileged_channels():
    env = an_env()
    teacher, observation = a_skill(env), env.observation()
    width = env.width - env.actor_width
    latent = PrivilegedLatent([teacher], env.actor_width, min(width, 16))
    hidden = teacher.actor[0].weight[:, env.actor_width :] @ teacher.normalizer(observation)[:, env.actor_width :].T
    torch.testing.assert_close(latent.basis @ latent(teacher, observation).T, hidden, atol=1e-4, rtol=1e-4)


def test_fewer_numbers_say_the_most_that_they_can():
    env = an_env()
    teacher, observation = a_skill(env), env.observation()
    z = teacher.normalizer(observation)[:, env.actor_width :]
    weights = teacher.actor[0].weight.detach()[:, env.actor_width :]
    latent = PrivilegedLatent([teacher], env.actor_width, 3)
    left = torch.linalg.matrix_norm(weights - latent.basis @ latent.projection)
    sigma = torch.linalg.svdvals(weights)
    assert left == pytest.approx(sigma[3:].square().sum().sqrt().item(), rel=1e-4)  # Eckart–Young
    torch.testing.assert_close(latent(teacher, observation), z @ latent.projection.T, atol=1e-4, rtol=1e-4)


def test_a_latent_wider_than_what_the_teacher_is_told_is_refused():
    env = an_env()
    with pytest.raises(ValueError, match=r"latent must be within 1\.\.16, .* got 17"):
        PrivilegedLatent([a_skill(env)], env.actor_width, 17)  # 16 hidden units hear no more


def test_a_student_of_its_teachers_size_begins_as_its_teacher_with_the_latent_in_place(tmp_path):
    run = a_run(tmp_path / "run.safetensors", "gru")
    env, observation = run.env, run.env.observation()
    teacher, student = run.teacher, run.student
    assert not run.normalizer_learns
    with torch.no_grad():
        latent = run.latent(teacher, observation)
        frame = student.normalizer(observation[:, : env.actor_width])
        told = student.actor(torch.cat([frame, latent], -1))
        full = PrivilegedLatent([teacher], env.actor_width, 16)
        rank = full.basis[:, :6] @ full.projection[:6]
        first = teacher.actor[0]
        z = teacher.normalizer(observation)
        hidden = z[:, : env.actor_width] @ first.weight[:, : env.actor_width].T + z[:, env.actor_width :] @ rank.T
        expected = hidden + first.bias
        for layer in list(teacher.actor)[1:]:
            expected = layer(expected)
        torch.testing.assert_close(told, expected, atol=1e-4, rtol=1e-4)


def test_the_teacher_leads_all_worlds_at_first_and_none_once_it_has_handed_over(tmp_path):
    run = a_run(tmp_path / "run.safetensors", "mlp", 4, teacher_share=0.5)
    shares = []
    step = run.lessons[0].step
    run.lessons[0].step = lambda theirs, own: (shares.append(run.lessons[0].led.mean().item()), step(theirs, own))
    run.run()
    assert shares[:24] == [1.0] * 24  # share 1 − 0/2
    assert shares[48:] == [0.0] * 48  # from half of the four rollouts on
    assert 0.0 <= shares[24] <= 1.0


def test_without_mixing_the_student_leads_from_the_start(tmp_path):
    run = a_run(tmp_path / "run.safetensors", "mlp", 1, teacher_share=0.0)
    run.run()
    assert run.lessons[0].led.sum() == 0.0


def test_a_leader_of_an_episode_stays_until_its_end(tmp_path):
    run = a_run(tmp_path / "run.safetensors", "mlp", 4, lead="episode", teacher_share=1.0)
    lesson, seen = run.lessons[0], []
    step = lesson.step

    def watched(theirs, own):
        seen.append((lesson.led[:, 0].clone(), lesson.started.clone()))
        step(theirs, own)

    lesson.step = watched
    run.run()
    changes = [now != before for (before, _), (now, _) in pairwise(seen)]
    ends = [started for _, started in seen[1:]]
    assert any(change.any() for change in changes)
    assert not any((change & ~end).any() for change, end in zip(changes, ends, strict=True))


def test_hidden_parameters_change_in_mid_episode_only_on_request(tmp_path):
    for seconds, expected in ((0.0, False), (0.1, True)):
        run = a_run(tmp_path / f"{seconds}.safetensors", "mlp", 1, redraw_seconds=seconds)
        lesson, changed = run.lessons[0], []
        before = run.env.randomizer.values.clone()
        step = lesson.step

        def watched(theirs, own, lesson=lesson, changed=changed, before=before, step=step, run=run):
            differs = (run.env.randomizer.values != before).any(-1)
            changed.append((differs & ~lesson.started).any().item())
            before.copy_(run.env.randomizer.values)
            step(theirs, own)

        lesson.step = watched
        run.run()
        assert any(changed) is expected


def two_teachers(file, num_iterations: int = 4) -> Distillation:
    other = an_env("anymal_c", seed=6)
    lesson = Lesson(a_skill(other, 7).requires_grad_(False), other)
    return a_run(file, "gru", num_iterations, more=(lesson,), learning_rate=3e-3)


def test_each_teacher_labels_its_own_worlds(tmp_path):
    run = two_teachers(tmp_path / "run.safetensors")
    batch = run._rollout()
    assert batch.frames.shape[:2] == (24, 2 * NUM_ENVS)
    assert run.env_steps == 24 * 2 * NUM_ENVS
    assert batch.state.shape == (2 * NUM_ENVS, 8)
    variances = [batch.actions[:, part].var((0, 1)).mean() for part in (slice(0, 8), slice(8, 16))]
    weights = [batch.weight[0, 0], batch.weight[0, -1]]
    assert (weights[0] * variances[0]).item() == pytest.approx((weights[1] * variances[1]).item(), rel=1e-5)


def test_another_robots_frames_reach_the_student_in_the_units_of_its_own(tmp_path):
    run = two_teachers(tmp_path / "run.safetensors")
    lesson, student, width = run.lessons[1], run.student, run.env.actor_width
    frame, _ = lesson.perceive()
    theirs = lesson.teacher.normalizer
    dimensionless = (lesson.observation[:, :width] - theirs.offset[:width]) * theirs.scale[:width]
    seen = (frame - student.normalizer.offset) * student.normalizer.scale
    torch.testing.assert_close(seen, dimensionless, atol=1e-4, rtol=1e-4)
    assert run.lessons[0].same_units
    assert not lesson.same_units


@pytest.mark.slow
def test_one_student_comes_closer_to_two_teachers(tmp_path):
    run = two_teachers(tmp_path / "run.safetensors", num_iterations=24)
    run.run()
    assert run.losses[-1]["loss"] < 0.7 * run.losses[0]["loss"]


def test_a_student_of_two_teachers_resumes(tmp_path):
    straight = two_teachers(tmp_path / "straight.safetensors")
    straight.run()
    answers = iter([True])
    stopped = two_teachers(tmp_path / "run.safetensors")
    stopped.should_stop = lambda: next(answers)
    with pytest.raises(StoppedError):
        stopped.run()
    resumed = two_teachers(tmp_path / "run.safetensors")
    resumed.run()
    expected, found = straight.student.state_dict(), resumed.student.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_batches_stand_side_by_side_world_by_world():
    ones = Batch(*(torch.ones(2, 3, 1) for _ in range(5)), state=torch.ones(3, 4))
    both = Batch.beside([ones, ones.each(lambda values: 2.0 * values[:, :1])._replace(state=torch.zeros(1, 4))])
    assert both.frames[:, :, 0].tolist() == [[1.0, 1.0, 1.0, 2.0]] * 2
    assert both.state.sum() == 12.0


def test_a_teacher_of_broken_weights_stops_the_run_with_a_reason(tmp_path):
    run = a_run(tmp_path / "run.safetensors", "mlp")
    run.teacher.actor[0].weight.fill_(float("nan"))
    with pytest.raises(DivergedError, match=r"the loss is nan after \d+ steps; look for NaN in the teacher's weights"):
        run.run()


def test_teachers_of_other_joints_are_refused():
    teachers = []
    for robot in ("go1", "t1"):
        env = an_env(robot)
        teachers.append(Teacher.of(a_skill(env), 0.5))
    with pytest.raises(ValueError, match=r"a plain network drives joints by their place"):
        refuse(teachers, remembering=False)
    refuse(teachers[:1], remembering=False)
