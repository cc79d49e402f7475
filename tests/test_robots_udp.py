import socket
import struct
import subprocess
import sys
import time
import zlib
from contextlib import closing

import numpy as np
import pytest
from emulators import emulated

import robots
from robots.actuation import KD, KP
from robots.backends import udp_packets as udp
from robots.backends.emulated import EmulatedRobot, Imperfections
from robots.backends.faults import Fault
from robots.backends.udp import UdpRobot
from robots.backends.udp_emulator import UdpEmulator
from robots.backends.udp_packets import PacketError
from robots.model import build_model
from robots.state import RobotCommand, RobotState

GO1 = robots.get("go1")
DEFAULT = np.array(GO1.default_positions)
PERIOD = 0.02


def a_command(sequence: int = 7, joint_pos: np.ndarray = DEFAULT) -> RobotCommand:
    return RobotCommand(sequence=sequence, joint_pos=joint_pos, kp=np.full(12, 35.0), kd=np.full(12, 1.0))


def a_state() -> RobotState:
    rng = np.random.default_rng(0)
    return RobotState(
        sequence=2**40 + 1,
        time=1.25,
        joint_pos=rng.normal(size=12),
        joint_vel=rng.normal(size=12),
        joint_torque=rng.normal(size=12),
        orientation=rng.normal(size=4),
        gyro=rng.normal(size=3),
    )


def test_a_command_is_24_bytes_of_header_three_arrays_and_a_crc_little_endian():
    data = udp.pack_command(a_command(sequence=258))
    assert len(data) == 24 + 3 * 12 * 8 + 4
    assert data[:8] == b"S2RP" + bytes([1, 5]) + bytes([12, 0])  # version 1, COMMAND, 12 joints
    assert data[8:16] == bytes([2, 1, 0, 0, 0, 0, 0, 0])  # 258 = 1·256 + 2
    assert struct.unpack_from("<d", data, 24 + 12 * 8) == (35.0,)  # kp of the first joint
    assert struct.unpack_from("<I", data, len(data) - 4) == (zlib.crc32(data[:-4]),)


def test_states_and_commands_survive_the_wire_bit_for_bit():
    state, command = a_state(), a_command()
    for before, after in (
        (state, udp.unpack_state(udp.unpack(udp.pack_state(state)), 12)),
        (command, udp.unpack_command(udp.unpack(udp.pack_command(command)), 12)),
    ):
        for name, value in vars(before).items():
            np.testing.assert_array_equal(getattr(after, name), value)


def with_crc(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


BODY = udp.pack_state(a_state())[:-4]
BAD = {
    "size": BODY[:20],
    "magic": with_crc(b"XXXX" + BODY[4:]),
    "version": with_crc(BODY[:4] + bytes([2]) + BODY[5:]),
    "kind": with_crc(BODY[:5] + bytes([99]) + BODY[6:]),
    "crc": udp.pack_state(a_state())[:100] + b"\xff" + udp.pack_state(a_state())[101:],
    "count": with_crc(BODY[:6] + bytes([11]) + BODY[7:]),
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_packet_is_named_by_what_is_wrong_with_it(reason):
    with pytest.raises(PacketError, match=f"^{reason}$"):
        udp.unpack_state(udp.unpack(BAD[reason]), 12)


def test_bad_packets_are_dropped_and_counted_and_the_robot_goes_on():
    with emulated() as (emulator, _), closing(UdpRobot(emulator.address)) as robot:
        robot.receive(1.0)
        for data in BAD.values():
            robot._socket.send(data)
        robot.send(a_command(sequence=emulator.sequence))
        assert robot.receive(1.0) is not None
        # a damaged count is a state, which a robot does not take: it never gets to counting
        assert emulator.dropped == {"size": 1, "magic": 1, "version": 1, "crc": 1, "kind": 2}


def test_damaged_states_are_dropped_and_counted_by_the_client():
    with emulated(faults=[Fault.parse("crc@1")]) as (emulator, _), closing(UdpRobot(emulator.address)) as robot:
        assert robot.receive(0.1) is None
        assert robot.dropped == {"crc": 1}


def test_the_robot_introduces_itself():
    with emulated() as (emulator, _), closing(UdpRobot(emulator.address)) as robot:
        assert (robot.info.robot, robot.info.clock) == ("go1", "lockstep")
        assert robot.info.model_hash == GO1.model_hash
        assert robot.info.control_period == pytest.approx(PERIOD)
        assert sorted(robot.info.joint_names) == sorted(GO1.joint_names)
        assert robot.info.joint_names != GO1.joint_names  # the bus has an order of its own


def test_joints_are_mapped_by_name_in_both_directions():
    target = DEFAULT + np.arange(12) * 0.01
    with emulated() as (emulator, machine), closing(UdpRobot(emulator.address)) as robot:
        robot.use_order(GO1.joint_names)
        np.testing.assert_array_equal(robot.receive(1.0).joint_pos, machine.data.qpos[7:19])
        robot.send(a_command(sequence=1, joint_pos=target))
        robot.receive(1.0)
        np.testing.assert_array_equal(machine.commands[0][1].joint_pos, target)


def test_another_robots_joints_cannot_be_mapped():
    with emulated() as (emulator, _), closing(UdpRobot(emulator.address)) as robot:
        with pytest.raises(ValueError, match="joints must be those of the robot's bus"):
            robot.use_order(robots.get("anymal_c").joint_names)


def test_in_lockstep_the_robot_waits_for_the_command_that_answers_its_state():
    with emulated() as (emulator, machine), closing(UdpRobot(emulator.address)) as robot:
        state = robot.receive(1.0)
        time.sleep(0.1)
        assert (state.sequence, machine.time) == (1, 0.0)
        robot.send(a_command(sequence=99))
        assert robot.receive(0.1) is None
        robot.send(a_command(sequence=1))
        state = robot.receive(1.0)
        assert (state.sequence, state.time) == (2, pytest.approx(PERIOD))
        assert emulator.dropped == {"sequence": 1}


def test_commands_that_are_not_finite_never_reach_the_drives():
    with emulated() as (emulator, machine), closing(UdpRobot(emulator.address)) as robot:
        robot.receive(1.0)
        robot.send(a_command(sequence=1, joint_pos=np.full(12, np.nan)))
        assert robot.receive(0.1) is None
        assert (emulator.dropped, machine.commands) == ({"non-finite": 1}, [])


def test_a_second_writer_is_refused_while_the_first_is_alive_and_welcome_after_its_goodbye():
    with emulated() as (emulator, _):
        with closing(UdpRobot(emulator.address)) as first:
            first.receive(1.0)
            with pytest.raises(ConnectionError, match="two writers would fight"):
                UdpRobot(emulator.address)
            with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as stranger:
                stranger.sendto(udp.pack_command(a_command(sequence=1)), emulator.address)
                assert first.receive(0.1) is None
            assert emulator.dropped == {"stranger": 2}
        with closing(UdpRobot(emulator.address)) as second:
            assert second.receive(1.0) is not None


def test_a_robot_that_is_not_there_is_an_error_that_says_so():
    with pytest.raises(ConnectionError, match=r"no WELCOME from 127.0.0.1:9 within 0.3 s; is the robot running\?"):
        UdpRobot(("127.0.0.1", 9), timeout=0.3)


def test_in_real_time_the_robot_damps_itself_after_five_control_periods_of_silence():
    with emulated(clock="real") as (emulator, machine), closing(UdpRobot(emulator.address)) as robot:
        robot.use_order(GO1.joint_names)
        for _ in range(10):
            state = robot.receive(1.0)
            robot.send(a_command(sequence=state.sequence))
            time.sleep(PERIOD)
        assert emulator.damped_at is None
        last = time.monotonic()
        while emulator.damped_at is None and time.monotonic() < last + 2.0:
            time.sleep(0.001)
        assert 4.5 * PERIOD < time.monotonic() - last + PERIOD < 10 * PERIOD  # the last command came a period earlier
        assert not machine.model.actuator_gainprm[:, KP].any()
        assert (machine.model.actuator_gainprm[:, KD] > 0.0).all()


def test_in_real_time_states_come_at_four_times_the_control_rate_and_time_is_the_wall_clocks():
    with emulated(clock="real") as (emulator, _), closing(UdpRobot(emulator.address)) as robot:
        began, first = time.monotonic(), robot.receive(1.0)
        time.sleep(0.5)
        last, elapsed = robot.receive(1.0), time.monotonic() - began
        assert last.time - first.time == pytest.approx(elapsed, abs=0.1)
        published = last.sequence - first.sequence
        assert 0.5 * elapsed * 4 / PERIOD < published < 1.1 * elapsed * 4 / PERIOD  # a late emulator skips states


def test_a_reset_puts_the_robot_on_its_feet_and_is_done_once_however_often_it_is_asked():
    with emulated() as (emulator, machine), closing(UdpRobot(emulator.address)) as robot:
        robot.receive(1.0)
        machine.tip_over(2.0)
        robot.reset()
        standing = machine.height
        assert standing > 0.8 * GO1.default_height
        state = robot.receive(1.0)
        robot.send(a_command(sequence=state.sequence, joint_pos=DEFAULT + 0.1))
        robot.receive(1.0)
        robot._send(udp.pack_reset((), 1))
        time.sleep(0.1)
        assert machine.height != standing


def test_a_repeated_greeting_or_reset_brings_the_same_state_again():
    with emulated() as (emulator, machine), closing(UdpRobot(emulator.address)) as robot:
        assert robot.receive(1.0).sequence == 1
        robot._send(udp.pack(udp.Kind.HELLO))
        assert robot.receive(1.0).sequence == 1
        robot.reset()
        assert robot.receive(1.0).sequence == 2
        robot._send(udp.pack_reset((), 1))
        assert robot.receive(1.0).sequence == 2
        robot.send(a_command(sequence=2))
        assert robot.receive(1.0).sequence == 3
        assert (len(machine.commands), emulator.dropped) == (1, {})


def test_in_real_time_a_command_that_was_overtaken_by_a_newer_one_is_dropped_and_counted():
    with emulated(clock="real") as (emulator, machine), closing(UdpRobot(emulator.address)) as robot:
        state = robot.receive(1.0)
        while state.sequence < 3:
            state = robot.receive(1.0)
        for sequence in (3, 2, 3):
            robot.send(a_command(sequence=sequence))
        began = time.monotonic()
        while len(machine.commands) < 2 and time.monotonic() < began + 1.0:
            time.sleep(0.001)
        assert [command.sequence for _, command in machine.commands] == [3, 3]
        assert emulator.dropped == {"outdated": 1}


def test_a_reset_whose_note_the_robot_cannot_read_is_a_bad_packet_and_the_robot_goes_on(monkeypatch):
    def reset(note):
        raise ValueError("an episode's note has 5 numbers, got 2")

    with emulated() as (emulator, machine), closing(UdpRobot(emulator.address, timeout=0.3)) as robot:
        monkeypatch.setattr(machine, "reset", reset)
        with pytest.raises(ConnectionError, match="no RESET"):
            robot.reset((1.0, 2.0))
        assert emulator.dropped["note"] >= 1
        monkeypatch.undo()
        robot.reset()
        assert robot.receive(1.0).sequence == 2


def test_a_command_takes_effect_after_the_drives_delay():
    machine = EmulatedRobot(GO1, build_model(GO1), Imperfections(delay=0.008), np.random.default_rng(0))
    machine.command(a_command(joint_pos=DEFAULT + 0.1), at=0.0)
    machine.advance(0.008)  # two steps of 4 ms
    np.testing.assert_array_equal(machine.data.ctrl, DEFAULT)
    machine.advance(0.004)
    np.testing.assert_array_equal(machine.data.ctrl, DEFAULT + 0.1)


def test_jittered_commands_keep_their_order():
    machine = EmulatedRobot(GO1, build_model(GO1), Imperfections(jitter=0.05), np.random.default_rng(0))
    for number in range(20):
        machine.command(a_command(sequence=number), at=0.004 * number)
    steps = [step for step, _ in machine._pending]
    assert steps == sorted(steps)


def test_sensors_lie_as_told():
    bias = tuple(0.01 * i for i in range(12))
    imperfections = Imperfections(encoder_bias=bias, gyro_bias=(0.1, 0.0, 0.0), mounting=(0.02, 0.0, 0.0))
    machine = EmulatedRobot(GO1, build_model(GO1), imperfections, np.random.default_rng(0))
    state = machine.sense(1)
    np.testing.assert_allclose(state.joint_pos, machine.data.qpos[7:19] + bias)
    cosine = abs(state.orientation @ machine.orientation)
    assert 2.0 * np.arccos(cosine) == pytest.approx(0.02, rel=1e-3)


def test_a_tilted_imu_turns_the_angular_rate_as_it_turns_gravity():
    machine = EmulatedRobot(GO1, build_model(GO1), Imperfections(mounting=(0.1, 0.0, 0.0)), np.random.default_rng(0))
    machine.data.qvel[3:6] = [0.5, 2.0, 0.0]
    # rolled by 0.1 rad about x, the sensor finds 2 rad/s about the base's y at y cos 0.1 and z −sin 0.1
    np.testing.assert_allclose(machine.sense(1).gyro, [0.5, 2.0 * np.cos(0.1), -2.0 * np.sin(0.1)], atol=1e-12)
    machine.imperfections = Imperfections(gyro_bias=(0.1, 0.0, 0.0))
    np.testing.assert_allclose(machine.sense(2).gyro, [0.6, 2.0, 0.0], atol=1e-12)


def test_a_simulation_whose_velocities_are_no_numbers_has_broken_down():
    machine = EmulatedRobot(GO1, build_model(GO1), Imperfections(), np.random.default_rng(0))
    machine.advance(PERIOD)
    assert not machine.diverged
    machine.data.qvel[0] = np.nan
    machine.advance(PERIOD)
    assert machine.diverged


def test_faults_are_written_kind_at_tick_plus_ticks():
    fault = Fault.parse("drop@500+25")
    assert [fault.acts_on(tick) for tick in (499, 500, 524, 525)] == [False, True, True, False]
    with pytest.raises(ValueError, match="KIND one of nan, freeze"):
        Fault.parse("melt@3")


def test_a_robot_that_nobody_writes_to_gives_up_if_told_so():
    machine = EmulatedRobot(GO1, build_model(GO1), Imperfections(), np.random.default_rng(0))
    with pytest.raises(TimeoutError, match=r"nobody wrote to the robot on port \d+ for 0\.2 s"):
        UdpEmulator(machine).serve(once=True, idle_seconds=0.2)


def test_a_robot_can_be_put_on_a_port_from_the_command_line():
    arguments = [sys.executable, "-m", "robots.backends.udp_emulator", "go1", "--clock", "lockstep"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        port = int(process.stdout.readline().removeprefix("port "))
        with closing(UdpRobot(("127.0.0.1", port))) as robot:
            assert robot.receive(1.0).sequence == 1
        process.terminate()
