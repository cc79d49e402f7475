"""Sensors and disturbances: what is measured and what happens, by hand where it can be counted."""

from dataclasses import replace

import pytest
import torch

import robots
from envs.physics.cpu import CpuPhysics
from envs.randomization import Disturbances, Randomization, Randomizer, Sensing, delay_samples, preset
from robots.joint_space import joint_space
from robots.model import build_model

SPEC = robots.get("go1")
PERFECT = replace(preset("none"), noise=0.0)
DT = 0.02


def sensing(num_worlds: int = 2, **changes: object) -> tuple[Sensing, torch.Generator]:
    generator = torch.Generator().manual_seed(0)
    made = Sensing(replace(PERFECT, **changes), SPEC, num_worlds, DT, "cpu")
    made.restart(torch.arange(num_worlds), generator)
    return made, generator


def truth(value: float, num_worlds: int = 2) -> dict[str, torch.Tensor]:
    """Everything has one value, but for gravity, which points down."""
    full = {name: torch.full((num_worlds, width), value) for name, width in (("gyro", 3), ("joint_pos", 12))}
    full |= {"joint_vel": torch.full((num_worlds, 12), value)}
    return full | {"gravity": torch.tensor([0.0, 0.0, -1.0]).expand(num_worlds, 3)}


def test_perfect_sensors_tell_the_truth():
    made, generator = sensing()
    for name, value in made.corrupt(truth(0.3), generator).items():
        assert torch.equal(value, truth(0.3)[name])


def test_the_default_draws_noise_and_bias_as_it_always_did():
    """Noise of gravity, gyro, angles and rates in turn; biases of gyro and encoders at a restart."""
    made = Sensing(preset("default"), SPEC, 2, DT, "cpu")
    generator, twin = torch.Generator().manual_seed(4), torch.Generator().manual_seed(4)
    made.restart(torch.arange(2), generator)
    gyro_bias = (2.0 * torch.rand(2, 3, generator=twin) - 1.0) * SPEC.imu.gyro_bias
    encoder_bias = (2.0 * torch.rand(2, 12, generator=twin) - 1.0) * SPEC.encoders.position_bias
    seen = made.corrupt({name: truth(0.0)[name] for name in ("gravity", "gyro", "joint_pos", "joint_vel")}, generator)
    noise = {name: torch.randn(seen[name].shape, generator=twin) for name in seen}
    torch.testing.assert_close(seen["gyro"], gyro_bias + noise["gyro"] * SPEC.imu.gyro_noise)
    torch.testing.assert_close(seen["joint_pos"], encoder_bias + noise["joint_pos"] * SPEC.encoders.position_noise)
    torch.testing.assert_close(seen["gravity"], truth(0.0)["gravity"] + noise["gravity"] * SPEC.imu.gravity_noise)


@pytest.mark.parametrize(
    ("delay", "expected"),
    [(0.0, [1, 2, 3, 4, 5]), (0.02, [1, 1, 2, 3, 4]), (0.03, [1, 1, 1.5, 2.5, 3.5]), (0.04, [1, 1, 1, 2, 3])],
)
def test_a_late_sample_is_the_truth_of_then(delay, expected):
    """Ticks of 20 ms: 30 ms ago lies half way between two of them."""
    made, generator = sensing(sensor_delay=(delay, delay))
    seen = [float(made.corrupt(truth(float(tick)), generator)["joint_pos"][0, 0]) for tick in range(1, 6)]
    assert seen == pytest.approx(expected)


def test_a_restart_forgets_late_samples_in_that_world_alone():
    made, generator = sensing(sensor_delay=(0.04, 0.04))
    for tick in range(1, 5):
        made.corrupt(truth(float(tick)), generator)
    made.restart(torch.tensor([1]), generator)
    again = truth(9.0)
    again["joint_pos"][0] = 4.0  # only world 1 has moved
    seen = made.corrupt_restarted(again, generator)["joint_pos"][:, 0]
    assert seen.tolist() == [2.0, 9.0]  # what world 0 saw at this tick already, and the new truth
    seen = made.corrupt(truth(10.0), generator)["joint_pos"][:, 0]
    assert seen.tolist() == [3.0, 9.0]  # no tick was counted twice


def test_encoders_round():
    made, generator = sensing(quantization=0.25)
    seen = made.corrupt(truth(0.6), generator)
    assert seen["joint_pos"].unique().tolist() == [0.5]
    assert seen["joint_vel"].unique().tolist() == pytest.approx([0.6])


def test_a_lost_sample_leaves_the_one_before_it_of_the_whole_sensor():
    made, generator = sensing(64, dropout=0.5)
    for tick in range(1, 20):
        seen = made.corrupt(truth(float(tick), 64), generator)
        together = (seen["joint_pos"] == seen["joint_vel"]).all()
        assert together and (seen["joint_pos"] <= tick).all()  # noqa: PT018
    assert made.corrupt(truth(20.0, 64), generator)["gyro"].unique().numel() > 2
    assert (sensing(64, dropout=1.0)[0].corrupt(truth(1.0, 64), generator)["gyro"] == 1.0).all()  # the first arrives


def test_a_tilted_imu_keeps_lengths_and_leaves_encoders_alone():
    made, generator = sensing(64, imu_tilt=0.1)
    seen = made.corrupt(truth(0.5, 64), generator)
    angle = torch.acos(-seen["gravity"][:, 2])
    assert 0.02 < angle.max() < 0.1
    torch.testing.assert_close(seen["gyro"].norm(dim=-1), truth(0.5, 64)["gyro"].norm(dim=-1))
    assert torch.equal(seen["joint_pos"], truth(0.5, 64)["joint_pos"])


def test_a_robot_without_imu_measures_its_joints_and_refuses_a_tilt():
    arm = robots.get("so101")
    made = Sensing(preset("full"), arm, 1, DT, "cpu")
    raw = {name: torch.zeros(1, 6) for name in ("joint_pos", "joint_vel")}
    assert set(made.corrupt(raw, torch.Generator().manual_seed(0))) == {"joint_pos", "joint_vel"}
    with pytest.raises(ValueError, match=r"imu_tilt=0\.3: it turns the IMU, and there is none on robot so101"):
        Sensing(replace(PERFECT, imu_tilt=0.3), arm, 1, DT, "cpu")


def test_sensing_continues_from_its_state():
    made, generator = sensing(3, noise=1.0, sensor_delay=(0.01, 0.05), dropout=0.3, imu_tilt=0.1, sensor_jitter=0.01)
    for tick in range(5):
        made.corrupt(truth(float(tick), 3), generator)
    resumed, _ = sensing(3, noise=1.0, sensor_delay=(0.01, 0.05), dropout=0.3, imu_tilt=0.1, sensor_jitter=0.01)
    resumed.load_state_dict(made.state_dict())
    twin = torch.Generator().manual_seed(0)
    twin.set_state(generator.get_state())
    for tick in range(5, 9):
        expected = made.corrupt(truth(float(tick), 3), generator)
        found = resumed.corrupt(truth(float(tick), 3), twin)
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def disturbed(randomization: Randomization, robot: str = "go1", num_worlds: int = 64) -> Disturbances:
    spec = robots.get(robot)
    model = build_model(spec, delay_samples=delay_samples(randomization, spec))
    physics = CpuPhysics(model, num_worlds, 1)
    return Disturbances(
        randomization, Randomizer(randomization, physics, spec, joint_space(spec)), joint_space(spec), DT
    )


def test_pushes_come_as_often_and_as_hard_as_they_should():
    made, generator = disturbed(replace(PERFECT, push_speed=0.2, push_seconds=0.1)), torch.Generator().manual_seed(0)
    pushed, largest = 0, 0.0
    for _ in range(100):
        made.physics.qvel[:] = 0.0
        made.act(generator)
        pushed += int((made.physics.qvel[:, :2] != 0.0).any(-1).sum())
        largest = max(largest, float(made.physics.qvel.abs().max()))
    assert pushed / 6400 == pytest.approx(0.2, abs=0.02)  # 20 ms of every 100 ms
    assert 0.19 < largest / joint_space(SPEC).speed <= 0.2


def test_forces_act_on_the_base_until_the_next_draw_and_end_with_the_episode():
    made, generator = disturbed(replace(PERFECT, force=0.1, force_seconds=0.1)), torch.Generator().manual_seed(0)
    for _ in range(50):
        made.act(generator)
    base, force = made.physics.model.body("trunk").id, made.physics.xfrc_applied
    others = [body for body in range(made.physics.model.nbody) if body != base]
    space = joint_space(SPEC)
    assert 0.09 < float(force[:, base, :3].abs().max()) / (space.mass * space.gravity) <= 0.1
    assert not force[:, others].any() and not force[:, base, 3:].any()  # noqa: PT018
    made.restart(torch.arange(64))
    assert not made.forces.any()


def test_jittered_delays_stay_between_the_drawn_and_the_longest():
    asked = replace(PERFECT, delay=(1.0, 1.0), delay_jitter=0.5)
    made, generator = disturbed(asked), torch.Generator().manual_seed(0)
    for _ in range(5):  # jitter is added to what was drawn, also after restarts that draw no delay
        made.act(generator)
        made.randomizer.resample(torch.arange(64), generator)
        made.restart(torch.arange(64))
    made.act(generator)
    delays = made.physics.model_field("actuator_delay")
    assert 0.008 <= float(delays.min()) < 0.0085 and 0.0115 < float(delays.max()) <= 0.012  # noqa: PT018
    assert (delays.std(1) < 1e-12).all()  # one for the whole robot
    assert delay_samples(asked, SPEC) == 4  # 12 ms / 4 ms, and one


def test_what_cannot_happen_to_a_robot_is_refused_if_asked_for():
    assert disturbed(preset("default"), "so101").push_speed == 0.0
    with pytest.raises(ValueError, match=r"push_speed=0\.5: it pushes a free base, and there is none on robot so101"):
        disturbed(replace(PERFECT, push_speed=0.5), "so101")
    with pytest.raises(ValueError, match=r"delay_jitter=0\.3: it adds to the actuators' nominal delay, which is 0"):
        disturbed(replace(PERFECT, delay_jitter=0.3), "cartpole")


def test_disturbances_continue_from_their_state():
    asked = replace(PERFECT, force=0.1, force_seconds=0.2, delay_jitter=0.5)
    made, resumed = disturbed(asked, num_worlds=4), disturbed(asked, num_worlds=4)
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        made.act(generator)
    resumed.load_state_dict(made.state_dict())
    twin = torch.Generator().set_state(generator.get_state())
    made.act(generator)
    resumed.act(twin)
    assert torch.equal(made.physics.xfrc_applied, resumed.physics.xfrc_applied)
    assert torch.equal(made.physics.model_field("actuator_delay"), resumed.physics.model_field("actuator_delay"))
