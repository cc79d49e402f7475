"""MuJoCo Warp beside the CPU engine: the same motion in single precision, worlds that differ, exact restores."""

import importlib.util

import pytest
import torch

import envs.tasks
import robots
from envs.physics.cpu import CpuPhysics
from envs.physics.interface import Physics
from envs.physics.make import make_physics
from envs.randomization import preset
from envs.vector_env import VectorEnv
from robots.model import build_model, foot_geom_ids

SPEC = robots.get("go1")
MODEL = build_model(SPEC, delay_samples=6)
WORLDS = 3
DELAYS = (0.0, 0.0101, 0.02)
"""Of each world's actuators [s]: none, between two steps of 4 ms, five steps."""
SETTLE = 200
"""Substeps of a fall onto the feet."""

NO_WARP = importlib.util.find_spec("mujoco_warp") is None
needs_warp = pytest.mark.skipif(NO_WARP, reason="needs the extra: pip install .[gpu]")
warp = [pytest.mark.slow, needs_warp]
cuda = [*warp, pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")]


@pytest.fixture(scope="module", params=[pytest.param("warp-cpu", marks=warp), pytest.param("cuda", marks=cuda)])
def gpu(request: pytest.FixtureRequest) -> Physics:
    return make_physics(MODEL, WORLDS, device=request.param)


@pytest.fixture(scope="module")
def cpu() -> CpuPhysics:
    return CpuPhysics(MODEL, WORLDS, 1)


@pytest.fixture(scope="module")
def standing() -> torch.Tensor:
    """(num_state,) of a robot that stands on its feet."""
    physics = CpuPhysics(MODEL, 1, 1)
    physics.qpos[:, 2] += 0.02
    physics.step(SETTLE)
    return physics.save()[0]


def everywhere(physics: Physics) -> torch.Tensor:
    return torch.arange(WORLDS, device=physics.device)


def put(physics: Physics, row: torch.Tensor) -> None:
    """Every world into one state."""
    physics.restore(everywhere(physics), row.expand(WORLDS, -1))


def scale(physics: Physics, name: str, factors: tuple[float, ...]) -> None:
    """Multiply a model field by one factor a world."""
    field = physics.model_field(name)
    field *= torch.tensor(factors).to(field).view(-1, *[1] * (field.ndim - 1))


def differ(physics: Physics) -> None:
    """Give each world a robot of its own."""
    for name, factors in {
        "body_mass": (0.8, 1.0, 1.3),
        "body_inertia": (0.8, 1.0, 1.3),
        "geom_friction": (0.5, 1.0, 1.5),
    }.items():
        scale(physics, name, factors)
    delay = physics.model_field("actuator_delay")
    delay[:] = torch.tensor(DELAYS).to(delay)[:, None]
    physics.set_const(everywhere(physics))


def move(physics: Physics, num_steps: int, seed: int = 0, spread: float = 0.3) -> torch.Tensor:
    """(num_steps, num_worlds, nq) after each control step of the same targets in every world, up to `spread` [rad]."""
    generator, positions = torch.Generator().manual_seed(seed), []
    for _ in range(num_steps):
        share = 2.0 * torch.rand(SPEC.num_joints, generator=generator) - 1.0
        physics.ctrl[:] = (torch.tensor(SPEC.default_positions) + spread * share).to(physics.ctrl)
        assert not physics.step(SPEC.substeps).any()
        positions.append(physics.qpos.cpu().double().clone())
    return torch.stack(positions)


@pytest.fixture
def pair(cpu: CpuPhysics, gpu: Physics, standing: torch.Tensor):
    """Both engines with the same differing robots, which stand; put back to the nominal model afterwards."""
    names = ("body_mass", "body_inertia", "geom_friction", "actuator_delay")
    nominal = {(engine, name): engine.model_field(name).clone() for engine in (cpu, gpu) for name in names}
    for engine in (cpu, gpu):
        differ(engine)
        put(engine, standing)
    yield cpu, gpu
    for (engine, name), values in nominal.items():
        engine.model_field(name)[:] = values
    for engine in (cpu, gpu):
        engine.set_const(everywhere(engine))
        put(engine, standing)


def test_a_robot_begins_in_its_nominal_pose_as_on_the_cpu_engine(gpu: Physics):
    fresh = type(gpu)(MODEL, 1, str(gpu.device))
    torch.testing.assert_close(fresh.save().cpu(), CpuPhysics(MODEL, 1, 1).save().float(), rtol=0, atol=1e-7)


def test_both_engines_move_alike_and_every_world_by_its_own_mass_friction_and_delay(pair):
    cpu, gpu = (move(engine, 5) for engine in pair)  # 20 substeps
    torch.testing.assert_close(gpu, cpu, rtol=0, atol=1e-5)  # 7e-7 was measured
    apart = (cpu[-1, 0] - cpu[-1, 1]).abs().max(), (cpu[-1, 1] - cpu[-1, 2]).abs().max()
    assert min(apart) > 1e-2


def test_motors_at_their_torque_limit_move_alike(cpu: CpuPhysics, gpu: Physics, standing: torch.Tensor):
    for engine in (cpu, gpu):
        put(engine, standing)
        engine.qpos[:, 2] += 1.0  # in the air: contacts would soon part them
    torque = cpu.output("actuator_force")
    positions = [move(engine, 4, spread=3.0) for engine in (cpu, gpu)]
    assert (torque.abs() >= torch.from_numpy(MODEL.actuator_forcerange[:, 1])).sum() >= 10
    torch.testing.assert_close(positions[1], positions[0], rtol=0, atol=1e-5)


def test_constants_follow_the_mass_of_each_world(pair):
    cpu, gpu = (engine.model_field("body_subtreemass").double().cpu() for engine in pair)
    torch.testing.assert_close(gpu, cpu, rtol=1e-6, atol=0)
    assert gpu[2, 1] / gpu[1, 1] == pytest.approx(1.3, rel=1e-6)  # every body is 1.3 times as heavy
    cpu, gpu = (engine.model_field("dof_invweight0").double().cpu() for engine in pair)
    torch.testing.assert_close(gpu, cpu, rtol=1e-5, atol=0)


def test_one_delay_is_felt_when_it_ends_and_not_before(gpu: Physics, standing: torch.Tensor):
    put(gpu, standing)
    delay = gpu.model_field("actuator_delay")
    before = delay.clone()
    delay[:] = torch.tensor([0.0, 0.004, 0.02], device=gpu.device)[:, None]  # 0, 1 and 5 substeps
    torque = gpu.output("actuator_force")
    gpu.step(1)
    at_rest, felt = torque[:, 0].clone(), []
    gpu.ctrl[:, 0] += 0.1
    for _ in range(7):
        gpu.step(1)
        felt.append((torque[:, 0] - at_rest > 1.0).tolist())
    delay[:] = before
    assert [column.index(True) for column in zip(*felt, strict=True)] == [0, 1, 5]


def test_a_delay_does_not_grow_with_time(gpu: Physics, standing: torch.Tensor):
    # In single precision 12 s − 0.02 s falls just short of the time stamp of the command five steps before.
    size = MODEL.nq + MODEL.nv + 1
    stamps = torch.cat([size + start + 2 + torch.arange(6) for start in MODEL.actuator_historyadr.tolist()])
    late = standing.clone()
    late[0] += 12.0
    late[stamps] += 12.0
    delay = gpu.model_field("actuator_delay")
    before = delay.clone()
    delay[:] = 0.02
    put(gpu, standing)
    early_motion = move(gpu, 8)
    put(gpu, late)
    late_motion = move(gpu, 8)
    delay[:] = before
    torch.testing.assert_close(late_motion, early_motion, rtol=0, atol=1e-5)


def test_restored_rows_are_exact_and_go_on_as_before(gpu: Physics, standing: torch.Tensor):
    put(gpu, standing)
    move(gpu, 2)
    rows = gpu.save()
    first = move(gpu, 3, seed=1)
    gpu.restore(everywhere(gpu), rows)
    assert torch.equal(gpu.save(), rows)
    assert torch.equal(gpu.save(torch.tensor([2], device=gpu.device)), rows[2:])
    tolerance = 0.0 if gpu.device.type == "cpu" else 1e-5  # a GPU adds up in any order
    torch.testing.assert_close(move(gpu, 3, seed=1), first, rtol=0, atol=tolerance)


def test_refreshing_a_world_changes_its_outputs_alone(gpu: Physics, standing: torch.Tensor):
    put(gpu, standing)
    gpu.step(1)
    feet = torch.from_numpy(foot_geom_ids(MODEL, SPEC)).to(gpu.device)
    stale = gpu.output("geom_xpos")[:, feet, 2].clone()
    gpu.qpos[:, 2] += 0.1
    gpu.refresh(torch.tensor([1], device=gpu.device))
    raised = gpu.output("geom_xpos")[:, feet, 2] - stale
    torch.testing.assert_close(raised[1], torch.full_like(raised[1], 0.1), rtol=0, atol=1e-3)
    assert torch.equal(raised[[0, 2]], torch.zeros_like(raised[[0, 2]]))


def test_a_diverged_world_is_reported_and_starts_over_while_the_others_go_on(gpu: Physics, standing: torch.Tensor):
    put(gpu, standing)
    move(gpu, 1)
    rows = gpu.save()
    gpu.step(SPEC.substeps)
    untouched = gpu.qpos.clone()
    gpu.restore(everywhere(gpu), rows)
    gpu.output("actuator_force")
    gpu.qvel[1, 7] = float("nan")
    assert gpu.step(SPEC.substeps).tolist() == [False, True, False]
    torch.testing.assert_close(gpu.qpos[[0, 2]], untouched[[0, 2]], rtol=0, atol=1e-5)
    nominal = CpuPhysics(MODEL, 1, 1).save()[0].to(gpu.device, torch.float32)
    assert torch.equal(gpu.save()[1], nominal)
    assert torch.isfinite(gpu.output("geom_xpos")).all()
    assert torch.isfinite(gpu.output("actuator_force")).all()
    assert not gpu.step(SPEC.substeps).any()


def test_a_command_that_is_no_number_is_a_divergence(gpu: Physics, standing: torch.Tensor):
    put(gpu, standing)
    gpu.ctrl[0, 3] = float("nan")
    assert gpu.step(1).tolist() == [True, False, False]


def test_state_tensors_are_the_engine_s_own_memory(gpu: Physics):
    arrays = gpu._data  # what MuJoCo Warp steps
    for name in ("qpos", "qvel", "ctrl", "xfrc_applied"):
        assert getattr(gpu, name).data_ptr() == getattr(arrays, name).ptr
    assert gpu.model_field("body_mass").data_ptr() == gpu._model.body_mass.ptr


def test_a_force_on_the_base_lifts_it(gpu: Physics, standing: torch.Tensor):
    put(gpu, standing)
    before = gpu.qpos[:, 2].clone()
    gpu.xfrc_applied[1, MODEL.body(SPEC.base_body).id, 2] = 3.0 * 9.81 * SPEC.mass
    gpu.step(10)
    lifted = gpu.qpos[:, 2] - before
    gpu.xfrc_applied[:] = 0.0
    # free flight at 2 g for 10 steps of 4 ms, semi-implicit: 2 · 9.81 · 0.004² · (1 + 2 + … + 10) = 17 mm, legs lag
    assert lifted[1] > 0.01
    assert lifted[[0, 2]].abs().max() < 1e-3


def test_a_hook_runs_before_every_substep(gpu: Physics, standing: torch.Tensor):
    put(gpu, standing)
    times: list[float] = []
    gpu.step(3, hook=lambda: times.append(float(gpu.save()[0, 0])))
    steps = torch.tensor(times).diff()
    torch.testing.assert_close(steps, torch.full((2,), SPEC.physics_dt), rtol=0, atol=1e-6)


@pytest.mark.slow
@needs_warp
def test_an_environment_observes_and_resumes_alike_on_either_engine():
    given = {"num_envs": 4, "randomization": preset("default"), "seed": 0}
    cpu = VectorEnv(SPEC, envs.tasks.get("velocity"), num_threads=1, **given)
    gpu = VectorEnv(SPEC, envs.tasks.get("velocity"), device="warp-cpu", **given)
    action = torch.zeros(4, SPEC.num_joints)
    for _ in range(3):
        expected, step = cpu.step(action), gpu.step(action)
        torch.testing.assert_close(step.observation, expected.observation, rtol=0, atol=1e-3)  # 3e-5 was measured
        torch.testing.assert_close(step.reward, expected.reward, rtol=0, atol=1e-4)
    saved = gpu.state_dict()
    first = gpu.step(action).observation
    gpu.load_state_dict(saved)
    assert torch.equal(gpu.step(action).observation, first)


def test_contacts_that_find_no_room_are_an_error_and_not_a_softer_floor(gpu: Physics, standing: torch.Tensor):
    crowded = type(gpu)(MODEL, 2, str(gpu.device), max_contacts=1)
    crowded.restore(torch.arange(2), standing.expand(2, -1))
    with pytest.raises(RuntimeError, match=r"2 of 2 worlds dropped contacts.*max_contacts=2"):
        crowded.step(1)


def test_room_is_made_for_every_contact_of_the_model(gpu: Physics):
    # Four spheres on a plane. Rows: 18 of joint friction, 12 limits, 4 contacts of 4 pyramid edges.
    assert (gpu.max_contacts, gpu.max_rows) == (4, 18 + 12 + 4 * 4)


def test_an_unknown_field_or_output_is_refused_by_name(gpu: Physics):
    with pytest.raises(LookupError, match=r"no 'geom_type' that differs between worlds; it has .*geom_friction"):
        gpu.model_field("geom_type")
    with pytest.raises(LookupError, match=r"no 'height' that differs between worlds; it has .*geom_xpos"):
        gpu.output("height")


def test_an_unknown_device_is_refused():
    with pytest.raises(ValueError, match="device must be one of cpu, cuda, warp-cpu, got 'tpu'"):
        make_physics(MODEL, 1, device="tpu")


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=r"pip install 'sim2real\[gpu\]'"):
        make_physics(MODEL, 1, device="cuda")


def test_without_a_gpu_the_error_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match=r"'cuda:1' needs an NVIDIA GPU.*CUDA build of torch"):
        make_physics(MODEL, 1, device="cuda:1")


def test_the_cpu_engine_needs_no_warp():
    assert isinstance(make_physics(MODEL, 1, num_threads=1), CpuPhysics)
