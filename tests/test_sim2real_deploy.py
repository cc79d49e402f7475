import json
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace

import deploy_bundles
import numpy as np
import pytest
from emulators import emulated

from envs.observations import Term
from policies.bundle import read
from policies.contract import ContractError
from policies.export.numpy_policy import NumpyPolicy, initial_state
from policies.export.onnx import to_onnx
from robots.backends.emulated import Imperfections
from robots.backends.faults import Fault
from robots.backends.udp import UdpRobot
from robots.records import encode
from robots.state import RobotState
from sim2real.deploy.clock import LockstepClock, RealClock, real_time_priority
from sim2real.deploy.inference import load_policy
from sim2real.deploy.observer import Observer
from sim2real.deploy.recorder import Recorder, load
from sim2real.deploy.runtime import Mode, Runtime, check_robot
from sim2real.reality import driver
from sim2real.reality.episodes import Episode

CONTRACT = deploy_bundles.contract("go1")
DEFAULT = np.array(CONTRACT.default_position)
NOISY = Imperfections(delay=0.006, jitter=0.006, noise=1.0)


@pytest.fixture(scope="module")
def busy_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "policy.s2r"
    agreed = deploy_bundles.contract("go1", history=3)
    return deploy_bundles.write(path, agreed, deploy_bundles.busy_weights(agreed))


def run(bundle, log, command=(0.4, 0.1, 0.0), seconds=2.0):
    with emulated(imperfections=NOISY) as (emulator, machine), closing(UdpRobot(emulator.address)) as robot:
        runtime = Runtime(bundle, load_policy(bundle), robot, LockstepClock(), log=log, soft_start=0.2)
        runtime.run(command, seconds)
        return runtime.close(), machine


def test_what_runs_on_the_robot_imports_neither_torch_nor_ray_nor_gymnasium_nor_mujoco():
    code = (
        "import sys, sim2real.deploy.runtime, sim2real.reality.driver, onnxruntime\n"
        "print([name for name in ('torch', 'ray', 'gymnasium', 'mujoco', 'stable_baselines3') if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"


def test_two_runs_in_lockstep_are_equal_bit_for_bit(busy_path, tmp_path):
    bundle = read(busy_path)
    for name in ("first", "second"):
        run(bundle, tmp_path / name)
    first, second = load(tmp_path / "first"), load(tmp_path / "second")
    assert len(first["target"]) == 10 + 100  # 0.2 s of soft start and 2 s at 50 Hz
    for name in first:
        if name != "tick_us":
            np.testing.assert_array_equal(first[name], second[name])


def test_the_log_holds_what_the_policy_saw_and_said(busy_path, tmp_path):
    bundle = read(busy_path)
    report, _ = run(bundle, tmp_path)
    log, facts = load(tmp_path), json.loads((tmp_path / "log.json").read_text())
    ran = np.flatnonzero(log["mode"] == Mode.RUN)
    frames = log["observation"][ran]
    stacked = np.concatenate([frames[:-2], frames[1:-1], frames[2:]], axis=1)  # history of 3, oldest first
    np.testing.assert_allclose(NumpyPolicy(bundle.contract, bundle.weights)(stacked), log["wanted"][ran[2:]], atol=1e-5)
    first = np.tile(frames[:1], 3)  # at the start the first frame fills the history
    np.testing.assert_allclose(NumpyPolicy(bundle.contract, bundle.weights)(first), log["wanted"][ran[:1]], atol=1e-5)
    assert facts["joint_names"] == list(CONTRACT.joint_names)
    assert (report["ticks"], report["late_ticks"], report["trips"]) == (110, 0, [])


def test_the_soft_start_goes_from_where_the_joints_are_to_the_nominal_pose(busy_path, tmp_path):
    bundle = read(busy_path)
    with emulated() as (emulator, machine), closing(UdpRobot(emulator.address)) as robot:
        runtime = Runtime(bundle, load_policy(bundle), robot, LockstepClock(), log=tmp_path, soft_start=1.0)
        measured = DEFAULT.copy()
        measured[0] += 0.3
        robot.reset()
        machine.data.qpos[7:19] = measured
        hold = replace(machine._hold(), sequence=robot.receive(1.0).sequence)
        robot.send(hold)  # brings a state that shows the joints where they are now
        runtime.run((0.0, 0.0, 0.0), 0.1)
        runtime.close()
    log = load(tmp_path)
    soft = log["target"][log["mode"] == Mode.SOFT_START]
    assert len(soft) == 50
    assert np.abs(soft[0] - log["joint_pos"][0]).max() < 0.01
    np.testing.assert_allclose(soft[-1], DEFAULT, atol=1e-12)


def test_the_first_frame_fills_the_history_and_the_gait_clock_stands_still_with_the_robot():
    agreed = deploy_bundles.contract("go1", history=2)
    observer, state = Observer(agreed), a_state()
    stacked = observer.observe(state, np.zeros(3), DEFAULT).copy()
    np.testing.assert_array_equal(stacked[0, : agreed.frame_width], stacked[0, agreed.frame_width :])
    np.testing.assert_array_equal(observer.newest[:3], [0.0, 0.0, -1.0])  # gravity in an upright base
    np.testing.assert_array_equal(observer.newest[-2:], [0.0, 0.0])
    observer.observe(state, np.array([0.5, 0.0, 0.0]), DEFAULT)
    phase = 2.0 * np.pi * agreed.gait_frequency * 0.02  # one tick later
    np.testing.assert_allclose(observer.newest[-2:], [np.sin(phase), np.cos(phase)], rtol=1e-6)


def a_state() -> RobotState:
    return RobotState(
        sequence=1,
        time=0.0,
        joint_pos=DEFAULT,
        joint_vel=np.zeros(12),
        joint_torque=np.zeros(12),
        orientation=np.array([1.0, 0.0, 0.0, 0.0]),
        gyro=np.zeros(3),
    )


def test_onnx_runtime_and_numpy_agree(busy_path):
    bundle = read(busy_path)
    observation = np.random.default_rng(0).normal(0.0, 2.0, (1, bundle.contract.input_width)).astype(np.float32)
    expected = NumpyPolicy(bundle.contract, bundle.weights)(observation)
    nothing = np.zeros((1, 0), dtype=np.float32)
    targets, remembered = load_policy(bundle)(observation, nothing)
    np.testing.assert_allclose(targets, expected, atol=1e-5)
    assert remembered is nothing


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "gru.s2r"
    agreed = deploy_bundles.contract("go1", architecture="gru", memory=16)
    return read(deploy_bundles.write(path, agreed, deploy_bundles.encoder_weights(agreed)))


def unrolled(bundle, observations, state=None):
    """What the weights make of a run's observations, (num_ticks, frame_width): targets, and the last state."""
    policy, targets = NumpyPolicy(bundle.contract, bundle.weights), []
    state = initial_state(bundle.contract, 1) if state is None else state
    for observation in observations:
        target, state = policy.step(observation[None], state)
        targets.append(target[0])
    return np.array(targets), state


def test_a_policy_with_memory_walks_and_forgets_between_runs(recurrent, tmp_path):
    with emulated(imperfections=NOISY) as (emulator, _), closing(UdpRobot(emulator.address)) as robot:
        policy = load_policy(recurrent)
        runtime = Runtime(recurrent, policy, robot, LockstepClock(), log=tmp_path, soft_start=0.2)
        for _ in range(2):
            assert runtime.run((0.4, 0.1, 0.0), 5.0) is None
            robot.reset()
        runtime.close()
    log = load(tmp_path)
    ran = np.flatnonzero(log["mode"] == Mode.RUN)
    first, second = np.split(ran, 2)
    assert len(first) == 250  # 5 s at 50 Hz
    targets, memory = unrolled(recurrent, log["observation"][first])
    np.testing.assert_allclose(log["wanted"][first], targets, atol=1e-5)
    targets, _ = unrolled(recurrent, log["observation"][second])
    np.testing.assert_allclose(log["wanted"][second], targets, atol=1e-5)
    remembering, _ = unrolled(recurrent, log["observation"][second], memory)
    assert np.abs(remembering[0] - targets[0]).max() > 1e-3  # which is how it would show if it did not forget
    blank = [unrolled(recurrent, row[None])[0][0] for row in log["observation"][first[50:60]]]
    assert np.abs(log["wanted"][first[50:60]] - blank).max() > 1e-2  # and so if it never remembered


def test_a_policy_with_memory_is_driven_through_the_episodes_of_a_rehearsal(recurrent, tmp_path):
    path, agreed = tmp_path / "gru.s2r", recurrent.contract
    deploy_bundles.write(path, agreed, deploy_bundles.encoder_weights(agreed))
    episodes = tuple(Episode(vx=vx, vy=0.0, yaw_rate=0.0, settle=0.2, seconds=4.0) for vx in (0.3, 0.0))
    with emulated(imperfections=NOISY) as (emulator, _):
        job = driver.Job(
            bundle=path, port=emulator.address[1], clock="lockstep", soft_start=0.2, episodes=episodes, log=tmp_path
        )
        report = driver.drive(job)
    assert (report["trips"], report["ticks"]) == ([], 2 * (10 + 200))  # 0.2 s of soft start and 4 s at 50 Hz
    log = load(tmp_path)
    for ran in np.split(np.flatnonzero(log["mode"] == Mode.RUN), 2):
        np.testing.assert_allclose(log["wanted"][ran], unrolled(recurrent, log["observation"][ran])[0], atol=1e-5)


@pytest.mark.parametrize("architecture", ["conv", "gru"])
def test_without_onnx_runtime_the_weights_are_run_in_numpy(architecture, tmp_path, monkeypatch, caplog):
    network = {"memory": 16} if architecture == "gru" else {"history": 10}
    agreed = deploy_bundles.contract("go1", architecture=architecture, **network)
    weights = deploy_bundles.encoder_weights(agreed)
    bundle = read(deploy_bundles.write(tmp_path / "policy.s2r", agreed, weights))
    by_graph = load_policy(bundle)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # importing it fails
    by_weights = load_policy(bundle)
    assert "onnxruntime is not installed" in caplog.text
    rng = np.random.default_rng(0)
    given = [rng.normal(0.0, 1.0, (1, width)).astype(np.float32) for width in (agreed.input_width, agreed.memory)]
    for one, other in zip(by_graph(*given), by_weights(*given), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def swap_gates(weights):
    """Gates z, r, n in place of r, z, n."""
    names = [name for name in weights if name.startswith("encoder.gru.")]
    return weights | {name: np.concatenate([np.split(weights[name], 3)[i] for i in (1, 0, 2)]) for name in names}


def forget_the_state(weights):
    """A unit that does not listen to its state, which shows from its second step on."""
    return weights | {"encoder.gru.weight_hh": 0.0 * weights["encoder.gru.weight_hh"]}


@pytest.mark.parametrize("change", [swap_gates, forget_the_state])
def test_a_graph_that_is_not_that_of_the_weights_is_noticed_before_the_robot_is_armed(recurrent, change):
    other = replace(recurrent, onnx=to_onnx(recurrent.contract, change(recurrent.weights)))
    with pytest.raises(ValueError, match=r"graph and its weights disagree by more than 0\.0001 rad; export it again"):
        load_policy(other)


def test_a_graph_without_the_contracts_state_is_named_before_the_robot_is_armed(recurrent):
    plain = deploy_bundles.contract("go1")
    without_state = replace(recurrent, onnx=to_onnx(plain, deploy_bundles.standing_weights(plain)))
    with pytest.raises(ValueError, match=r"graph takes \{'observation': 47\}, its contract says .*'state': 16"):
        load_policy(without_state)


def test_a_bundle_for_another_robot_is_refused_with_the_fields_name(tmp_path):
    agreed = deploy_bundles.contract("anymal_c")
    bundle = read(deploy_bundles.write(tmp_path / "policy.s2r", agreed, deploy_bundles.standing_weights(agreed)))
    with emulated("go1") as (emulator, machine), closing(UdpRobot(emulator.address)) as robot:
        with pytest.raises(ContractError, match=r"contract field robot disagrees: .*'anymal_c', the robot says 'go1'"):
            Runtime(bundle, load_policy(bundle), robot, LockstepClock())
        assert machine.commands == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_hash", "0" * 64),
        ("control_period", 0.01),
        ("joint_names", CONTRACT.joint_names[:-1]),
    ],
)
def test_a_robot_that_differs_in_one_field_is_refused_with_its_name(field, value):
    with emulated("go1") as (emulator, _), closing(UdpRobot(emulator.address)) as robot:
        with pytest.raises(ContractError, match=f"contract field {field} disagrees"):
            check_robot(CONTRACT, replace(robot.info, **{field: value}))


def test_a_policy_that_sees_what_no_hardware_measures_is_refused():
    hidden = Term(name="base_velocity", unit="m/s", frame="base", offset=(0.0,), scale=(1.0,), measurable=False)
    with pytest.raises(ContractError, match=r"no hardware measures \('base_velocity',\): distill"):
        Observer(replace(CONTRACT, observations=(*CONTRACT.observations, hidden)))


def test_a_robot_that_falls_silent_in_lockstep_is_an_error_within_the_clocks_patience(busy_path):
    bundle = read(busy_path)
    with emulated() as (emulator, _), closing(UdpRobot(emulator.address)) as robot:
        runtime = Runtime(bundle, load_policy(bundle), robot, LockstepClock(patience=0.3), soft_start=0.2)
        emulator.inject("drop")
        began = time.monotonic()
        with pytest.raises(ConnectionError, match=r"the robot reported no state within 0\.3 s"):
            runtime.run((0.0, 0.0, 0.0), 1.0)
        assert time.monotonic() - began < 2.0


def test_the_log_of_a_run_that_broke_off_is_kept(busy_path, tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "LockstepClock", lambda: LockstepClock(patience=0.3))
    with emulated(faults=[Fault(kind="drop", start=20)]) as (emulator, _):
        episode = Episode(vx=0.0, vy=0.0, yaw_rate=0.0, settle=0.2, seconds=2.0)
        job = driver.Job(
            bundle=busy_path,
            port=emulator.address[1],
            clock="lockstep",
            soft_start=0.2,
            episodes=(episode,),
            log=tmp_path,
        )
        with pytest.raises(ConnectionError, match="the robot reported no state"):
            driver.drive(job)
    assert json.loads((tmp_path / "log.json").read_text())["ticks"] == len(load(tmp_path)["sequence"]) > 0


def test_the_robot_is_damped_when_the_policy_raises(busy_path):
    bundle = read(busy_path)

    def broken(observation, state):
        raise RuntimeError("the accelerator is gone")

    with emulated() as (emulator, machine), closing(UdpRobot(emulator.address)) as robot:
        runtime = Runtime(bundle, broken, robot, LockstepClock(), soft_start=0.2)
        with pytest.raises(RuntimeError, match="the accelerator is gone"):
            runtime.run((0.0, 0.0, 0.0), 1.0)
    assert not machine.commands[-1][1].kp.any()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_an_emergency_stop(busy_path, number):
    with emulated(clock="real") as (emulator, machine):
        episode = Episode(vx=0.0, vy=0.0, yaw_rate=0.0, settle=0.3, seconds=30.0)
        job = {"bundle": str(busy_path), "port": emulator.address[1], "clock": "real", "soft_start": 0.2}
        arguments = [sys.executable, "-m", "sim2real.reality.driver"]
        with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
            driver.stdin.write(json.dumps({**job, "episodes": [encode(episode)]}))
            driver.stdin.close()
            while len(machine.commands) < 30:
                time.sleep(0.01)
            pressed = len(machine.commands)
            driver.send_signal(number)
            report = json.loads(driver.stdout.read())
        assert driver.returncode == 130
        assert (report["trips"][0]["guard"], report["stopped_by"]) == ("emergency_stop", number.name)
        first = next(i for i, (_, command) in enumerate(machine.commands) if not command.kp.any())
        assert first - pressed <= 3
        assert not any(command.kp.any() for _, command in machine.commands[first:])


def test_late_ticks_are_counted_and_skipped_never_caught_up():
    clock = RealClock(0.02)
    clock.start()
    clock.wait()
    time.sleep(0.09)  # the deadlines at 0.02, 0.04 and 0.06 s are over when the one at 0.08 s is begun, late
    began = time.monotonic()
    clock.wait()
    clock.wait()
    assert clock.late_ticks >= 4  # three skipped and one late
    assert time.monotonic() - began > 0.003  # the third tick waits for its own deadline at 0.10 s


def test_deadlines_are_absolute_so_errors_do_not_add_up():
    clock = RealClock(0.01)
    clock.start()
    began = time.monotonic()
    for _ in range(31):
        clock.wait()
    assert 0.29 < time.monotonic() - began < 0.30 + 0.01 * clock.late_ticks + 0.02


def test_late_ticks_are_not_counted_while_the_robot_is_damped(busy_path):
    bundle = read(busy_path)
    with emulated(clock="real") as (emulator, _), closing(UdpRobot(emulator.address)) as robot:
        clock = RealClock(CONTRACT.control_period)
        runtime = Runtime(bundle, load_policy(bundle), robot, clock, soft_start=0.2)
        damp = runtime._damp

        def damp_late():
            counted.append(clock.late_ticks)
            time.sleep(0.1)
            damp()

        counted: list[int] = []
        runtime._damp = damp_late
        runtime.run((0.0, 0.0, 0.0), 0.1)
        assert clock.late_ticks >= counted[0] + 3
        assert runtime.report()["late_ticks"] == counted[0]


def test_a_clock_other_than_the_robots_is_refused(busy_path):
    bundle = read(busy_path)
    with emulated() as (emulator, machine), closing(UdpRobot(emulator.address)) as robot:
        with pytest.raises(ValueError, match=r"the loop's clock is 'real', the robot's is 'lockstep'"):
            Runtime(bundle, load_policy(bundle), robot, RealClock(0.02))
        assert machine.commands == []


def test_a_command_that_was_not_trained_is_refused_before_the_robot_moves(busy_path):
    bundle = read(busy_path)
    vx = CONTRACT.command_high[0]
    with emulated() as (emulator, machine), closing(UdpRobot(emulator.address)) as robot:
        runtime = Runtime(bundle, load_policy(bundle), robot, LockstepClock(), soft_start=0.1)
        for command in ((vx + 0.01, 0.0, 0.0), (float("nan"), 0.0, 0.0)):
            with pytest.raises(ValueError, match=r"vx \[m/s\] must lie between -0\.\d+ and 0\.\d+, as in training"):
                runtime.run(command, 0.1)
        assert machine.commands == []
        assert runtime.run((vx + 1e-9, 0.0, 0.0), 0.1) is None


def test_the_priority_that_was_granted_is_said_and_given_back():
    import os

    before = os.sched_getscheduler(0)
    with real_time_priority() as granted:
        assert granted == "SCHED_FIFO 50" or granted.startswith("SCHED_OTHER (SCHED_FIFO: ")
    assert os.sched_getscheduler(0) == before


def test_a_log_is_written_in_blocks_and_read_back_in_one_piece(tmp_path):
    recorder = Recorder(tmp_path, num_joints=2, frame_width=3, control_period=1.0)  # blocks of 60 ticks
    for tick in range(130):
        recorder.add(sequence=tick, time=0.5 * tick, target=np.full(2, tick))
    recorder.close(robot="two joints")
    assert len(list(tmp_path.glob("ticks-*.npz"))) == 3
    log = load(tmp_path)
    np.testing.assert_array_equal(log["sequence"], np.arange(130))
    np.testing.assert_array_equal(log["target"][:, 1], np.arange(130))
    with pytest.raises(FileNotFoundError, match=r"holds no ticks-\*\.npz"):
        load(tmp_path / "nowhere")
