"""MuJoCo on CPU threads: the same numbers however it is run, exact delays, exact restores, divergence told."""

import mujoco
import numpy as np
import pytest
import torch

import robots
from envs.physics.cpu import CpuPhysics
from robots.model import build_model, default_data, foot_geom_ids

SPEC = robots.get("go1")
SAMPLES = 6
"""Length of the delay buffers [physics steps]: up to 24 ms."""


def physics(num_worlds: int = 4, num_threads: int = 1) -> CpuPhysics:
    """Worlds in the nominal pose, commanded it all along."""
    model = build_model(SPEC, delay_samples=SAMPLES)
    worlds = CpuPhysics(model, num_worlds, num_threads)
    row = np.empty(worlds.state.shape[1])
    mujoco.mj_getState(model, default_data(model), row, mujoco.mjtState.mjSTATE_INTEGRATION)
    worlds.state[:] = torch.from_numpy(row)
    return worlds


def targets(num_steps: int, num_worlds: int = 4, seed: int = 0) -> torch.Tensor:
    """(num_steps, num_worlds, num_joints) joint targets around the nominal pose [rad]."""
    noise = torch.randn(num_steps, num_worlds, SPEC.num_joints, generator=torch.Generator().manual_seed(seed))
    return torch.tensor(SPEC.default_positions) + 0.3 * noise


def run(worlds: CpuPhysics, commanded: torch.Tensor) -> torch.Tensor:
    """(num_steps, num_worlds, num_state) after each control step."""
    rows = []
    for target in commanded:
        worlds.ctrl[:] = target
        worlds.step(SPEC.substeps)
        rows.append(worlds.state.clone())
    return torch.stack(rows)


def test_results_do_not_depend_on_the_number_of_threads():
    commanded = targets(20, 8)
    assert torch.equal(run(physics(8, num_threads=1), commanded), run(physics(8, num_threads=2), commanded))


def test_a_world_is_what_mujoco_itself_computes():
    commanded, worlds = targets(10, 1), physics(1)
    data = default_data(worlds.model)
    for target in commanded:
        data.ctrl[:] = target[0].double().numpy()
        for _ in range(SPEC.substeps):
            mujoco.mj_step(worlds.model, data)
    run(worlds, commanded)
    np.testing.assert_array_equal(worlds.qpos[0].numpy(), data.qpos)
    np.testing.assert_array_equal(worlds.qvel[0].numpy(), data.qvel)


def test_a_hook_runs_before_every_substep_and_may_change_the_controls():
    plain, hooked, calls = physics(2), physics(2), []
    target = targets(1, 2)[0]
    plain.ctrl[:] = target

    def hook() -> None:
        hooked.ctrl[:] = target
        calls.append(hooked.qpos[0, 2].item())

    plain.step(SPEC.substeps)
    hooked.step(SPEC.substeps, hook)
    assert len(set(calls)) == SPEC.substeps
    assert torch.equal(plain.state, hooked.state)


def test_restored_rows_continue_bit_for_bit_and_leave_other_worlds_alone():
    worlds, commanded = physics(), targets(20)
    run(worlds, commanded[:10])
    saved = worlds.state[[1, 3]].clone()
    expected = run(worlds, commanded[10:])
    untouched = worlds.state[[0, 2]].clone()
    worlds.restore(torch.tensor([1, 3]), saved)
    assert torch.equal(worlds.state[[0, 2]], untouched)
    again = run(worlds, commanded[10:])
    assert torch.equal(again[:, [1, 3]], expected[:, [1, 3]])
    assert not torch.equal(again[:, [0, 2]], expected[:, [0, 2]])


def test_positions_derived_from_restored_rows_are_current():
    worlds = physics(2)
    foot_positions, foot = worlds.output("geom_xpos"), int(foot_geom_ids(worlds.model, SPEC)[0])
    nominal, below = worlds.state[:1].clone(), worlds.state[:1].clone()
    below[0, 1 + 2] += 1.0  # a row begins with time, x, y, z
    worlds.restore(torch.tensor([0]), nominal)
    worlds.restore(torch.tensor([1]), below)
    worlds.refresh(torch.tensor([0, 1]))
    assert foot_positions[0, foot, 2].item() == pytest.approx(SPEC.feet[0].radius, abs=1e-6)
    assert foot_positions[1, foot, 2].item() == pytest.approx(1.0 + SPEC.feet[0].radius, abs=1e-6)


@pytest.mark.parametrize("poison", ["qpos", "qvel", "ctrl"])
def test_a_world_that_diverges_is_told_each_time_and_does_not_disturb_the_others(poison):
    healthy, sick, commanded = physics(3), physics(3), targets(6, 3)
    for step, target in enumerate(commanded):
        healthy.ctrl[:], sick.ctrl[:] = target, target
        if step in (1, 4):
            getattr(sick, poison)[2, 3] = float("nan")
        told = sick.step(SPEC.substeps)
        assert not healthy.step(SPEC.substeps).any()
        if poison == "ctrl":  # lives on in the delay buffer for as long as the delay
            assert told.tolist()[:2] == [False, False]
            assert told[2] or step not in (1, 4)
        else:
            assert told.tolist() == [False, False, step in (1, 4)]
        assert torch.equal(sick.state[:2], healthy.state[:2])
    assert sick.qpos[2].isfinite().all()


def test_a_target_reaches_the_motor_after_exactly_its_delay():
    delays = [0, 1, 2, 5]  # [physics steps], one a world
    moved, still = physics(len(delays)), physics(len(delays))
    for worlds in (moved, still):
        worlds.model_field("actuator_delay")[:] = torch.tensor(delays).double()[:, None] * SPEC.physics_dt
        worlds.ctrl[:] = torch.tensor(SPEC.default_positions)
        worlds.step(10)
    moved.ctrl[:, 2] += 0.1
    forces = [(worlds.output("actuator_force"), worlds) for worlds in (moved, still)]
    arrived: list[int | None] = [None] * len(delays)
    for step in range(8):
        for _, worlds in forces:
            worlds.step(1)
        for world in range(len(delays)):
            if arrived[world] is None and forces[0][0][world, 2] != forces[1][0][world, 2]:
                arrived[world] = step
    assert arrived == delays


def test_a_model_field_is_each_worlds_own():
    worlds = physics(2)
    worlds.model_field("body_mass")[1] *= 2.0
    worlds.set_const(torch.tensor([1]))
    light, heavy = worlds.batch.get_model(0), worlds.batch.get_model(1)
    assert heavy.body_subtreemass[0] == pytest.approx(2.0 * light.body_subtreemass[0])
    assert light.body_subtreemass[0] == pytest.approx(SPEC.mass, rel=1e-3)
