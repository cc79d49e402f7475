"""Every guard against its fault, through the real protocol and real physics: fault in, reaction out, in ticks."""

import time
from contextlib import closing
from dataclasses import replace

import deploy_bundles
import numpy as np
import pytest
from emulators import emulated

import robots
from policies.bundle import read
from robots.backends.faults import Fault
from robots.backends.udp import UdpRobot
from robots.backends.udp_emulator import PUBLISHED
from robots.state import RobotState
from sim2real.deploy.clock import LockstepClock, RealClock
from sim2real.deploy.guards import GUARDS, POSITION_MARGIN, STALE_TICKS, Limits, Tick, check
from sim2real.deploy.inference import load_policy
from sim2real.deploy.recorder import load
from sim2real.deploy.runtime import Mode, Runtime

GO1 = robots.get("go1")
CONTRACT = deploy_bundles.contract("go1")
DEFAULT = np.array(CONTRACT.default_position)
WALK = (0.5, 0.0, 0.0)


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "policy.s2r"
    return read(deploy_bundles.write(path, CONTRACT, deploy_bundles.standing_weights(CONTRACT)))


def bundle_of(tmp_path, weights):
    return read(deploy_bundles.write(tmp_path / "policy.s2r", CONTRACT, weights))


def run_lockstep(bundle, faults=(), seconds=1.0, log=None, policy=None):
    """Run `bundle`, or `policy` in its place, on a robot that breaks; returns trip, runtime and robot."""
    with emulated(faults=faults) as (emulator, machine), closing(UdpRobot(emulator.address)) as robot:
        policy = policy or load_policy(bundle)
        runtime = Runtime(bundle, policy, robot, LockstepClock(2.0), log=log, soft_start=0.2)
        trip = runtime.run(WALK, seconds)
        runtime.close()
        return trip, runtime, machine


FAULT_TICK = 30
REACTIONS = {  # fault -> guard that sees it, states after the spoilt one until damping is commanded
    "nan": ("non_finite", 0),
    "tilt": ("tilt", 0),
    "range": ("position", 0),
    "speed": ("speed", 0),
    "zero_imu": ("imu", 0),
    "freeze": ("stale_state", STALE_TICKS),  # the fourth state that did not move on
}


@pytest.mark.parametrize("fault", REACTIONS)
def test_a_broken_state_leads_to_damping_within_a_tick_and_a_frozen_one_after_three(fault, standing):
    guard, ticks = REACTIONS[fault]
    trip, _, machine = run_lockstep(standing, [Fault(kind=fault, start=FAULT_TICK)])
    assert trip.guard == guard
    number, damping = machine.first_damping()
    assert number - FAULT_TICK == ticks
    assert np.isfinite(damping.joint_pos).all()
    assert (damping.kd > 0.0).all()


@pytest.mark.parametrize("fault", ["drop", "crc"])
def test_missing_and_damaged_states_lead_to_damping_after_three_ticks_of_real_time(fault, standing):
    for _ in range(5):  # a busy machine that stands still for 60 ms looks like a robot that does: try again
        trip, runtime, ticks, dropped = run_in_real_time(standing, fault)
        if runtime.figures.late_ticks == 0 and ticks > STALE_TICKS - 1:
            break
    assert (trip.guard, trip.reason) == ("stale_state", f"no new state for {STALE_TICKS + 1} ticks")
    assert ticks <= STALE_TICKS + 2
    assert (dropped["crc"] > 0) == (fault == "crc")


def run_in_real_time(bundle, fault):
    """Spoil states from the 30th tick on; returns trip, runtime, ticks until damping came, and what was dropped."""
    with emulated(clock="real") as (emulator, machine), closing(UdpRobot(emulator.address)) as robot:
        runtime = Runtime(bundle, load_policy(bundle), robot, RealClock(CONTRACT.control_period), soft_start=0.2)
        spoilt = emulator.sequence + 30 * PUBLISHED
        emulator.faults.append(Fault(kind=fault, start=spoilt))
        trip = runtime.run(WALK, 2.0)
        runtime.close()
        return trip, runtime, (machine.first_damping()[0] - spoilt) / PUBLISHED, robot.dropped


def test_after_a_trip_nothing_but_damping_is_commanded(standing):
    _, _, machine = run_lockstep(standing, [Fault(kind="tilt", start=FAULT_TICK)])
    after = [command for number, command in machine.commands if number >= FAULT_TICK]
    assert len(after) > 10
    assert not any(command.kp.any() for command in after)


def test_a_policy_that_says_nothing_finite_is_damped_at_its_first_tick(standing):
    trip, runtime, machine = run_lockstep(standing, policy=lambda observation, state: (np.full((1, 12), np.nan), state))
    assert (trip.guard, trip.reason) == ("non_finite", "the target is not finite")
    assert machine.first_damping()[1].sequence == trip.sequence
    assert runtime.figures.ticks == runtime.soft_start_ticks + 1


def test_a_memory_that_is_not_finite_is_damped_at_that_tick_and_forgotten_by_the_next_run(tmp_path):
    agreed = deploy_bundles.contract("go1", architecture="gru", memory=4)
    path = deploy_bundles.write(tmp_path / "policy.s2r", agreed, deploy_bundles.encoder_weights(agreed))
    states = []

    def spoils_its_fifth(observation, state):
        states.append(state)
        return DEFAULT[None], np.full((1, 4), np.nan if len(states) == 5 else 0.5, dtype=np.float32)

    with emulated() as (emulator, machine), closing(UdpRobot(emulator.address)) as robot:
        runtime = Runtime(read(path), spoils_its_fifth, robot, LockstepClock(2.0), soft_start=0.2)
        trip = runtime.run(WALK, 1.0)
        assert (trip.guard, trip.reason) == ("non_finite", "the memory is not finite")
        assert machine.first_damping()[1].sequence == trip.sequence
        assert runtime.figures.ticks == runtime.soft_start_ticks + 5
        robot.reset()
        assert runtime.run(WALK, 0.1) is None
    assert [state.tolist() for state in states[5:7]] == [[[0.0] * 4], [[0.5] * 4]]


def test_a_wild_policy_never_commands_beyond_position_step_and_torque_limits(tmp_path):
    weights = deploy_bundles.standing_weights(CONTRACT)
    weights["actor.2.weight"] = np.random.default_rng(0).normal(0.0, 30.0, (12, 128)).astype(np.float32)
    _, runtime, machine = run_lockstep(bundle_of(tmp_path, weights), log=tmp_path / "log")
    limits, log = Limits.of(CONTRACT), load(tmp_path / "log")
    ran = log["mode"] == Mode.RUN
    assert {"position_limit", "step_limit", "torque_limit"} == set(runtime.figures.bounded)
    target = log["target"][log["mode"] < Mode.DAMP]
    low, high = limits.low + POSITION_MARGIN, limits.high - POSITION_MARGIN
    assert ((target >= low) & (target <= high)).all()
    steps = np.abs(np.diff(target, axis=0))
    assert (steps <= limits.step + 1e-12).all()
    torque = np.abs(log["kp"] * (log["target"] - log["joint_pos"]) - log["kd"] * log["joint_vel"])[: len(target)][1:]
    last_word = (steps >= limits.step - 1e-12) | (target[1:] == low) | (target[1:] == high)  # of a later bound
    assert ((torque <= limits.torque + 1e-9) | last_word).all()
    assert (np.abs(log["wanted"][ran] - log["target"][ran]) > 0.1).any()
    sent = np.array([command.joint_pos for _, command in machine.commands if command.kp.any()])
    np.testing.assert_array_equal(sent, log["target"][log["mode"] < Mode.DAMP])


def test_after_a_trip_by_broken_numbers_the_next_run_starts_afresh(standing):
    with emulated(faults=[Fault(kind="nan", start=FAULT_TICK, ticks=1)]) as (emulator, _):
        with closing(UdpRobot(emulator.address)) as robot:
            runtime = Runtime(standing, load_policy(standing), robot, LockstepClock(2.0), soft_start=0.2)
            assert runtime.run(WALK, 1.0).guard == "non_finite"
            robot.reset()
            assert runtime.run(WALK, 1.0) is None


def test_an_emergency_stop_damps_at_the_next_tick_and_stays(standing):
    with emulated() as (emulator, machine), closing(UdpRobot(emulator.address)) as robot:
        runtime = Runtime(standing, load_policy(standing), robot, LockstepClock(), soft_start=0.2)
        runtime.stop.press("the test")
        trip = runtime.run(WALK, 1.0)
        assert (trip.guard, trip.reason, runtime.figures.ticks) == ("emergency_stop", "the test asked for it", 1)
        robot.reset()
        assert runtime.run(WALK, 1.0).guard == "emergency_stop"
    assert not any(command.kp.any() for _, command in machine.commands)


def test_targets_that_break_no_bound_reach_the_drives_bit_for_bit(tmp_path):
    bundle = bundle_of(tmp_path, deploy_bundles.busy_weights(CONTRACT))
    trip, runtime, machine = run_lockstep(bundle, log=tmp_path / "log")
    log = load(tmp_path / "log")
    wanted = log["wanted"][log["mode"] == Mode.RUN]
    sent = np.array([command.joint_pos for _, command in machine.commands if command.kp.any()])[-len(wanted) :]
    assert (trip, runtime.figures.bounded) == (None, {})
    assert wanted.std(axis=0).min() > 0.0
    np.testing.assert_array_equal(sent, wanted)


def test_a_trip_leaves_a_file_with_the_two_seconds_before_it(standing, tmp_path):
    run_lockstep(standing, [Fault(kind="tilt", start=130)], seconds=5.0, log=tmp_path)
    rows = np.load(tmp_path / "trip-0.npz")
    assert len(rows["sequence"]) == 100  # 2 s at 50 Hz
    assert rows["sequence"][-1] == 130
    assert rows["mode"][-1] == Mode.DAMP


# The arithmetic of the bounds, by hand.

STATE = RobotState(
    sequence=1,
    time=0.0,
    joint_pos=np.array(GO1.default_positions),
    joint_vel=np.zeros(12),
    joint_torque=np.zeros(12),
    orientation=np.array([1.0, 0.0, 0.0, 0.0]),
    gyro=np.zeros(3),
)


def bounded_target(wanted, last, **changes):
    state = replace(STATE, **changes)
    seen = {"observation": np.zeros(3, dtype=np.float32), "memory": np.zeros((1, 0), dtype=np.float32)}
    tick = Tick(state=state, stale_ticks=0, target=wanted, last_target=last, **seen)
    return check(tick, Limits.of(CONTRACT))


def test_the_torque_bound_is_solved_for_the_target():
    wanted = STATE.joint_pos.copy()
    wanted[0] = 0.8
    verdict = bounded_target(wanted, wanted, joint_vel=np.full(12, -5.0))
    # 35·(q* − 0) + 1·5 = 23.7  ⇒  q* = 18.7/35; the other joints: 35·0 + 5 ≤ 23.7
    assert verdict.target[0] == pytest.approx(18.7 / 35.0)
    assert verdict.bounded == ("torque_limit",)
    np.testing.assert_array_equal(verdict.target[1:], wanted[1:])


def test_a_target_moves_at_most_a_ticks_worth_of_the_joints_speed():
    wanted = STATE.joint_pos.copy()
    wanted[2] -= 0.5
    verdict = bounded_target(wanted, STATE.joint_pos)
    assert verdict.target[2] == pytest.approx(-1.8 - 20.06 * 0.02)  # calf: 20.06 rad/s, 50 Hz
    assert verdict.bounded == ("step_limit",)


def test_a_target_keeps_off_the_mechanical_limits():
    wanted = STATE.joint_pos.copy()
    wanted[0] = 0.863
    verdict = bounded_target(wanted, wanted, joint_pos=wanted)
    assert verdict.target[0] == 0.863 - POSITION_MARGIN
    assert verdict.bounded == ("position_limit",)


def test_a_fast_joint_near_its_limit_is_never_sent_beyond_it_for_the_sake_of_its_torque():
    high = np.array(CONTRACT.position_high)
    state, wanted = STATE.joint_pos.copy(), STATE.joint_pos.copy()
    state[0] = wanted[0] = high[0] - 0.03
    speed = np.zeros(12)
    speed[0] = 29.0
    # torque alone would ask for at least q + (29 − 23.7)/35 = q + 0.15, which is 0.12 rad beyond the limit
    verdict = bounded_target(wanted, wanted, joint_pos=state, joint_vel=speed)
    assert verdict.target[0] == high[0] - POSITION_MARGIN
    assert verdict.bounded == ("torque_limit", "position_limit")


@pytest.mark.parametrize("norm", [0.0, 0.98, 1.02])
def test_an_orientation_that_is_no_rotation_is_a_broken_imu(norm):
    verdict = bounded_target(STATE.joint_pos, STATE.joint_pos, orientation=norm * STATE.orientation)
    assert verdict.tripped == "imu"
    assert verdict.reason == f"the orientation is no rotation: its quaternion has norm {norm:.2f}"


def test_nothing_finite_is_needed_to_trip_and_nothing_is_clamped():
    wanted = STATE.joint_pos.copy()
    wanted[3] = np.inf
    assert bounded_target(wanted, wanted).tripped == "non_finite"


def test_the_list_has_every_guard_once_and_trips_before_it_bounds():
    assert len({guard.name for guard in GUARDS}) == len(GUARDS)
    kinds = [guard.trips is not None for guard in GUARDS]
    assert kinds == sorted(kinds, reverse=True)


def test_all_guards_together_take_far_less_than_a_tick():
    began = time.perf_counter()
    for _ in range(200):
        bounded_target(STATE.joint_pos, STATE.joint_pos)
    assert (time.perf_counter() - began) / 200 < 0.05 * CONTRACT.control_period
