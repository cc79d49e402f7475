"""The dynamic map: derivatives, order and coefficients from noisy seconds, the inverse, tick by tick, and refusals."""

import math
from dataclasses import replace

import numpy as np
import pytest

from sim2real.dynamic_map.filters import derivatives, held
from sim2real.dynamic_map.identify import identify, identify_both
from sim2real.dynamic_map.logs import Log, load_log, make_log
from sim2real.dynamic_map.loop import Loop
from sim2real.dynamic_map.mapping import DynamicMap
from sim2real.dynamic_map.terms import Terms

DT = 0.02


def sines(seconds: float = 5.0, joints: int = 1) -> np.ndarray:
    """(T, joints) sines of 0.4, 0.9 and 1.7 Hz, in another phase for each joint [rad]."""
    time = np.arange(round(seconds / DT))[:, None] * DT
    phase = np.arange(joints) * 1.3
    tones = ((0.4, 0.4, 0.0), (0.9, 0.3, 1.0), (1.7, 0.2, 2.0))
    return sum(size * np.sin(2 * np.pi * hertz * time + (shift + phase) * (1 + hertz)) for hertz, size, shift in tones)


def second_order(commands: np.ndarray, frequency: float, ratio: float, delay: float = 0.0) -> np.ndarray:
    """(T, 1) of ÿ = ω² (r − y) − 2 ζ ω ẏ, by small steps of its own [rad]."""
    steps, y, dy, positions = 40, 0.0, 0.0, []
    late = np.concatenate([np.zeros(round(delay / DT * steps)), np.repeat(commands[:, 0], steps)])
    for tick in range(len(commands)):
        positions.append(y)
        for command in late[tick * steps : (tick + 1) * steps]:
            dy += DT / steps * (frequency**2 * (command - y) - 2 * ratio * frequency * dy)
            y += DT / steps * dy
    return np.array(positions)[:, None]


def log(frequency: float, ratio: float, *, delay: float = 0.0, noise: float = 0.005, seed: int = 0) -> Log:
    commands = sines()
    positions = second_order(commands, frequency, ratio, delay)
    return Log(dt=DT, command=commands, position=positions + np.random.default_rng(seed).normal(0, noise, (250, 1)))


def loop(frequency: float, ratio: float, *, delay: float = 0.0) -> Loop:
    """r(t − delay) = ÿ/ω² + 2 ζ/ω ẏ + y."""
    terms = Terms(kind="own", num_joints=1, order=2, speeds=(1.0,))
    assert terms.names == ["y1''", "y1", "y1'", "1"]
    coefficients = ((1.0 / frequency**2,), (1.0,), (2.0 * ratio / frequency,), (0.0,))
    return Loop(terms=terms, coefficients=coefficients, errors=((0.0,),) * 4, delay=delay)


def test_derivatives_of_a_noisy_sine_are_those_of_the_sine():
    time = np.arange(500)[:, None] * 0.01
    noisy = np.sin(5.0 * time) + np.random.default_rng(0).normal(0.0, 0.005, time.shape)
    _, first, second = (one[100:-100] for one in derivatives(noisy, 0.01, 15.0, 2))
    assert np.abs(first - 5.0 * np.cos(5.0 * time[100:-100])).max() < 0.1  # 2 % of 5
    assert np.abs(second + 25.0 * np.sin(5.0 * time[100:-100])).max() < 1.25  # 5 % of 25
    naive = np.diff(noisy, 2, axis=0) / 0.01**2
    assert naive.std() > 100.0  # √6 · 0.005 / 0.01² = 122: a finite difference shows nothing but noise


def test_held_commands_arrive_half_a_sample_late_and_by_the_delay():
    time = np.arange(500)[:, None] * 0.01
    late = held(np.sin(5.0 * time), 0.01, 50.0, 0, 0.03)[0]
    assert np.abs(late - np.sin(5.0 * (time - 0.035)))[100:-100].max() < 2e-3  # 0.03 + 0.01 / 2


@pytest.mark.parametrize(("frequency", "ratio", "delay"), [(20.0, 0.7, 0.0), (8.0, 0.5, 0.03), (6.0, 1.5, 0.05)])
def test_order_delay_and_coefficients_come_out_of_five_noisy_seconds(frequency, ratio, delay):
    found = identify([log(frequency, ratio, delay=delay)])
    assert (found.loop.terms.kind, found.loop.terms.order, found.loop.relative_degree) == ("own", 2, 2)
    inertia, stiffness, damping, offset = (row[0] for row in found.loop.coefficients)
    assert inertia == pytest.approx(1.0 / frequency**2, rel=0.1)
    assert damping == pytest.approx(2.0 * ratio / frequency, rel=0.03)
    assert stiffness == pytest.approx(1.0, abs=0.02)
    assert offset == pytest.approx(0.0, abs=0.003)
    assert found.loop.delay == pytest.approx(delay, abs=0.002)


def test_true_coefficients_lie_within_the_intervals_about_as_often_as_said():
    inside = []
    for seed in range(6):
        found = identify([log(8.0, 0.5, seed=seed)], kinds=("own",), order=2).loop
        for (value,), (error,), true in zip(found.coefficients, found.errors, (1 / 64, 1.0, 0.125, 0.0), strict=True):
            inside.append(abs(value - true) < 1.96 * error)
    assert 0.7 <= np.mean(inside) <= 1.0  # 0.95 if noise were all that is wrong; 24 intervals


def test_a_first_order_loop_is_found_to_be_one():
    commands = sines()
    positions = np.zeros_like(commands)
    for tick in range(1, len(commands)):  # ẏ = 10 (r − y), exactly under held commands
        positions[tick] = commands[tick - 1] + math.exp(-10.0 * DT) * (positions[tick - 1] - commands[tick - 1])
    noisy = positions + np.random.default_rng(0).normal(0.0, 0.003, positions.shape)
    found = identify([Log(dt=DT, command=commands, position=noisy)]).loop
    assert found.relative_degree == 1
    assert found.coefficients[0][0] == pytest.approx(0.1, rel=0.05)  # r = ẏ/10 + y


def test_joints_that_push_each_other_are_found_to_be_coupled():
    commands, mass = sines(joints=2), np.array([[0.02, 0.01], [0.01, 0.015]])
    y, dy, positions = np.zeros(2), np.zeros(2), []
    for command in commands:
        positions.append(y)
        for _ in range(40):  # M ÿ = r − y − 0.2 ẏ
            dy = dy + DT / 40 * np.linalg.solve(mass, command - y - 0.2 * dy)
            y = y + DT / 40 * dy
    noisy = np.array(positions) + np.random.default_rng(0).normal(0.0, 0.003, commands.shape)
    found = identify([Log(dt=DT, command=commands, position=noisy)]).loop
    assert (found.terms.kind, found.terms.order) == ("coupled", 2)
    np.testing.assert_allclose(found.mass(np.zeros(2)), mass, atol=1.5e-3)


def test_a_pendulum_under_a_soft_servo_is_told_from_a_linear_loop():
    commands, y, dy, positions = 2.5 * sines(), 0.0, 0.0, []
    for (command,) in commands:  # 0.02 ÿ = r − y − 0.25 ẏ − 0.8 sin y
        positions.append([y])
        for _ in range(40):
            dy += DT / 40 * (command - y - 0.25 * dy - 0.8 * math.sin(y)) / 0.02
            y += DT / 40 * dy
    noisy = np.array(positions) + np.random.default_rng(0).normal(0.0, 0.003, commands.shape)
    found = identify([Log(dt=DT, command=commands, position=noisy)]).loop
    values = dict(zip(found.terms.names, (row[0] for row in found.coefficients), strict=True))
    assert found.terms.kind == "planar"
    assert values["y1"] == 1.0  # known: a servo without load stops at its target
    assert values["sin(s1)"] == pytest.approx(0.8, abs=0.03)
    assert values["y1''"] == pytest.approx(0.02, rel=0.05)


def test_a_loop_under_a_step_moves_as_its_formula_says():
    positions = loop(10.0, 1.0).simulate(np.ones((50, 1)), DT, np.zeros((2, 1)))[0]
    assert positions[25, 0] == pytest.approx(1.0 - math.exp(-5.0) * 6.0, abs=1e-4)  # 1 − (1 + ωt) e^(−ωt), ωt = 5


def test_the_inverse_gives_back_the_commands_of_a_motion():
    commands = sines()
    motion = loop(8.0, 0.5, delay=0.03).simulate(commands, DT, np.zeros((2, 1)))[0]
    again = loop(8.0, 0.5, delay=0.03).inverse(motion, DT)
    assert np.abs(again - commands)[25:-25].max() < 0.02  # of 0.9 rad


def test_between_equal_robots_the_map_is_the_identity():
    mapped = DynamicMap(source=loop(10.0, 0.7), target=loop(10.0, 0.7), dt=DT)
    assert (mapped.lead, mapped.preview) == (0.0, 0)
    commands = sines()
    np.testing.assert_allclose(mapped.commands(commands, np.zeros(1)), commands, atol=2e-3)


def test_a_slower_target_is_driven_harder_as_the_source_sets_out():
    source, target = loop(10.0, 1.0), loop(5.0, 1.0)
    running = DynamicMap(source=source, target=target, dt=1e-3).online(np.zeros(1))
    assert running.tick(np.ones(1))[0] == pytest.approx(4.0, rel=1e-2)  # ÿ = 10² from rest, over 5²
    for _ in range(2000):
        last = running.tick(np.ones(1))
    assert last[0] == pytest.approx(1.0, abs=1e-6)  # at rest there is nothing to make up for


def test_the_target_follows_the_source_whichever_reacts_later():
    commands = sines(8.0)
    for source_delay, target_delay in ((0.0, 0.05), (0.05, 0.0), (0.03, 0.03)):
        source, target = loop(12.0, 0.7, delay=source_delay), loop(6.0, 0.6, delay=target_delay)
        wanted = source.simulate(commands, DT, np.zeros((2, 1)))[0]
        sent = DynamicMap(source=source, target=target, dt=DT).commands(commands, np.zeros(1))
        followed = target.simulate(sent, DT, np.zeros((2, 1)))[0]
        direct = target.simulate(commands, DT, np.zeros((2, 1)))[0]
        error, without = (np.sqrt(np.mean((one - wanted)[25:-25] ** 2)) for one in (followed, direct))
        assert error < 0.06 * without


def test_a_target_whose_commands_rush_ahead_follows_in_time():
    target = replace(loop(6.0, 0.6), zeros=(0.05,), zero_errors=(0.0,))
    commands = sines(8.0)
    commands = commands - commands[0]

    def made(sent: np.ndarray) -> np.ndarray:  # y = x + 0.05 ẋ, ẍ = 6² (r − x) − 2 · 0.6 · 6 ẋ
        x, dx, positions = 0.0, 0.0, []
        for (command,) in sent:
            positions.append([x + 0.05 * dx])
            for _ in range(40):
                dx += DT / 40 * (36.0 * (command - x) - 7.2 * dx)
                x += DT / 40 * dx
        return np.array(positions)

    wanted = second_order(commands, 12.0, 0.7)
    sent = DynamicMap(source=loop(12.0, 0.7), target=target, dt=DT).commands(commands, np.zeros(1))
    error, without = (np.sqrt(np.mean((made(one) - wanted)[25:-25] ** 2)) for one in (sent, commands))
    assert error < 0.06 * without


def test_ticks_without_a_look_ahead_give_what_a_known_trajectory_gives_where_the_target_reacts_first():
    mapped = DynamicMap(source=loop(12.0, 0.7, delay=0.04), target=loop(6.0, 0.6), dt=DT)
    commands = sines()
    running = mapped.online(np.zeros(1))
    ticked = np.stack([running.tick(command) for command in commands])
    np.testing.assert_array_equal(ticked, mapped.commands(commands, np.zeros(1)))


@pytest.mark.parametrize("frequency", [60.0, 120.0, 200.0])
def test_a_source_that_jumps_within_a_tick_is_followed_without_its_jumps(frequency):
    source, target, commands = loop(frequency, 1.0), loop(7.0, 0.6), sines(8.0)
    commands = commands - commands[0]
    mapped = DynamicMap(source=source, target=target, dt=DT)
    assert (mapped.ramps, mapped.lead, mapped.preview) == (True, DT / 2, 1)
    followed = second_order(mapped.commands(commands, np.zeros(1)), 7.0, 0.6)
    wanted, direct = second_order(commands, frequency, 1.0), second_order(commands, 7.0, 0.6)
    error, without = (np.sqrt(np.mean((one - wanted)[25:-25] ** 2)) for one in (followed, direct))
    assert error < 0.03 * without


def test_a_command_or_a_position_too_few_is_refused():
    running = DynamicMap(source=loop(12.0, 0.7), target=loop(6.0, 0.6), dt=DT).online(np.zeros(1))
    with pytest.raises(ValueError, match=r"command must have shape \(1,\) \[rad\], got \(2,\)"):
        running.tick(np.zeros(2))
    with pytest.raises(ValueError, match=r"positions must be finite and have shape \(1,\) \[rad\], got \[nan\]"):
        DynamicMap(source=loop(12.0, 0.7), target=loop(6.0, 0.6), dt=DT).online(np.array([np.nan]))


def test_a_map_survives_its_file(tmp_path):
    mapped = DynamicMap(source=identify([log(20.0, 0.7)]).loop, target=identify([log(7.0, 0.6)]).loop, dt=DT)
    mapped.save(tmp_path / "map.json")
    assert DynamicMap.load(tmp_path / "map.json") == mapped
    (tmp_path / "other.json").write_text('{"schema": 1, "kind": "map"}')
    with pytest.raises(ValueError, match="missing source, target, dt"):
        DynamicMap.load(tmp_path / "other.json")
    (tmp_path / "other.json").write_text('{"schema": 2}')
    with pytest.raises(ValueError, match="schema must be 1, got 2"):
        DynamicMap.load(tmp_path / "other.json")


def test_an_order_too_low_for_the_target_is_refused_before_anything_moves():
    first = Loop(
        terms=Terms(kind="own", num_joints=1, order=1, speeds=(1.0,)),
        coefficients=((0.1,), (1.0,), (0.0,)),
        errors=((0.0,),) * 3,
        delay=0.0,
    )
    with pytest.raises(ValueError, match="the source must have the target's order 2 or more, got 1"):
        DynamicMap(source=first, target=loop(5.0, 1.0), dt=DT).online(np.zeros(1))


def test_a_source_that_rubs_gets_the_order_of_its_target():
    commands, y, dy, rubbed, y3, third = sines(), 0.0, 0.0, [], np.zeros(3), []
    for (command,) in commands:  # ÿ = 400 (r − y − 0.15 sign ẏ) − 28 ẏ, and (s/6 + 1)³ y = r
        rubbed.append([y])
        third.append([y3[0]])
        for _ in range(40):
            dy += DT / 40 * (400 * (command - y - 0.15 * math.tanh(dy / 0.02)) - 28 * dy)
            y += DT / 40 * dy
            y3 = y3 + DT / 40 * np.array([y3[1], y3[2], 216 * (command - y3[0]) - 108 * y3[1] - 18 * y3[2]])
    noise = np.random.default_rng(0).normal(0.0, 0.003, (2, *commands.shape))
    source, target = (
        Log(dt=DT, command=commands, position=np.array(positions) + one)
        for positions, one in zip((rubbed, third), noise, strict=True)
    )
    assert (identify([source]).chosen.kind, identify([target]).chosen.order) == ("friction", 3)
    assert [one.chosen.order for one in identify_both([source], [target])] == [3, 3]


def test_a_joint_that_sets_out_the_wrong_way_has_no_inverse():
    commands, y, dy, positions = sines(), 0.0, 0.0, []
    for tick, (command,) in enumerate(commands):  # 0.01 ÿ + 0.2 ẏ + y = r − 0.12 ṙ
        rate = (command - commands[max(0, tick - 1), 0]) / DT
        positions.append([y])
        for _ in range(40):
            dy += DT / 40 * (command - 0.12 * rate - y - 0.2 * dy) / 0.01
            y += DT / 40 * dy
    with pytest.raises(ValueError, match=r"unstable inverse: joint 0 .* first moves the wrong way"):
        identify([Log(dt=DT, command=commands, position=np.array(positions))])


def test_commands_and_positions_that_have_nothing_to_do_with_each_other_are_refused():
    noise = np.random.default_rng(0).normal(0.0, 0.1, (250, 1))
    with pytest.raises(ValueError, match=r"nothing identified: .* unexplained"):
        identify([Log(dt=DT, command=sines(), position=noise)])


def test_one_frequency_for_two_joints_is_no_excitation():
    wave = np.sin(3.0 * np.arange(250) * DT)[:, None]
    with pytest.raises(ValueError, match="no excitation: the log does not tell"):
        identify([Log(dt=DT, command=wave @ [[1.0, 1.0]], position=wave @ [[0.9, 0.9]])], kinds=("coupled",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"command": None}, "no command; it has time, position"),
        (
            {"time": np.arange(40) * DT, "command": np.ones((40, 1)), "position": np.ones((40, 1))},
            "too short: 40 samples",
        ),
        ({"position": np.full((250, 1), np.nan)}, "some numbers are not finite"),
        ({"position": np.zeros((249, 1))}, r"shapes are time \(250,\), command \(250, 1\), position \(249, 1\)"),
        ({"command": np.ones((250, 1))}, "no excitation: command of joint 0 .* never changes"),
        (
            {"position": np.degrees(3.0 * sines())},
            "angles must be in rad, within ±100, got .*; divide degrees",
        ),
        ({"time": np.arange(250) * -DT}, "time must rise from sample to sample"),
        ({"time": np.arange(250) * DT + (np.arange(250) > 100)}, "a hole of 1.020 s at 2.00 s"),
    ],
)
def test_a_file_that_is_no_log_is_refused_with_what_is_wrong(change, message, tmp_path):
    arrays = {"time": np.arange(250) * DT, "command": sines(), "position": 0.9 * sines()} | change
    np.savez(tmp_path / "log.npz", **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(ValueError, match=message):
        load_log(tmp_path / "log.npz")


def test_samples_at_uneven_times_are_brought_onto_a_grid_and_dense_ones_averaged():
    time = np.arange(1000) * 0.002
    time[1::2] += 0.0004
    dense = make_log(time, np.repeat(np.arange(200.0), 5) / 100.0, time)
    assert dense.dt == pytest.approx(0.012, abs=2e-3)  # five or six of about 2 ms are the first to span 10 ms
    assert np.diff(dense.position[:, 0]) == pytest.approx(dense.dt, abs=1e-3)  # the position is the time itself
    ramp = make_log(np.arange(2000) * 0.001, np.arange(2000) / 20.0, np.arange(2000) / 20.0)  # ten make one
    assert 20.0 * ramp.position[0, 0] == pytest.approx(4.5)  # of samples 0 to 9: where joints were at about sample 5
    assert 20.0 * ramp.command[0, 0] == pytest.approx(9.5)  # of samples 5 to 14, held from there
    assert make_log(np.arange(100) * DT, np.arange(100.0), np.arange(100.0)).command[:, 0].tolist() == list(range(100))
