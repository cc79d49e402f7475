import json
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import deploy_bundles
import numpy as np
import pytest

import robots
from policies.bundle import read
from sim2real.campaign.stage import Stage
from sim2real.campaign.store import SCHEMA
from sim2real.commands import Rehearse
from sim2real.deploy.recorder import load
from sim2real.reality import rehearse as reality_rehearse
from sim2real.reality.episodes import COMMAND_HIGH, Episode, commands
from sim2real.reality.referee import Referee
from sim2real.reality.rehearse import Trial, TrialError, run_trial, write_robot
from sim2real.stages import rehearse as stage_rehearse
from sim2real.stages.rehearse import rehearse, worst_quarter

GO1 = robots.get("go1")
CONTRACT = deploy_bundles.contract("go1")
STANDING = (0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """What an export leaves: a folder with a bundle; its policy holds the nominal pose."""
    folder = tmp_path_factory.mktemp("export")
    weights = deploy_bundles.standing_weights(CONTRACT)
    deploy_bundles.write(folder / "policy.s2r", CONTRACT, weights, score=0.5)
    return folder


@pytest.fixture(scope="module")
def robot_folder(run_folder, tmp_path_factory):
    return write_robot(read(run_folder / "policy.s2r"), tmp_path_factory.mktemp("robot"))


def a_trial(run_folder, robot_folder, **changes) -> Trial:
    trial = Trial(
        bundle=run_folder / "policy.s2r",
        robot=robot_folder,
        seed=0,
        clock="lockstep",
        commands=(STANDING, (0.3, 0.0, 0.0)),
        seconds=2.0,
    )
    return replace(trial, **changes)


def a_stage(tmp_path: Path, run_folder: Path, lost=lambda: False) -> Stage:
    for name in ("out", "checkpoint"):
        (tmp_path / name).mkdir(exist_ok=True)
    return Stage(
        out=tmp_path / "out", checkpoint=tmp_path / "checkpoint", inputs={"run": run_folder}, cpus=2, lost=lost
    )


def test_a_rehearsal_scores_sealed_realities_and_times_one_run_by_the_wall_clock(run_folder, tmp_path):
    stage, known = a_stage(tmp_path, run_folder), set(sys.modules)
    result = rehearse(Rehearse(run="export", realities=3, seconds=2.0, realtime_seconds=1.0), stage)
    assert len(result["score_per_reality"]) == 3
    assert result["score"] == pytest.approx(np.mean(result["score_per_reality"]))
    assert result["retained"] == pytest.approx(result["score"] / 0.5)
    assert result["predicted"] == [min(result["score_per_reality"]), max(result["score_per_reality"])]
    assert (result["episodes"], result["falls"], result["trips"]) == (12, 0, 0)
    assert 0 < result["ticks"] <= 50 + 50 + 5  # soft start, run, and what the referee allows for arming
    if not result["real_time_trips"]:  # a core that was taken away for 60 ms looks like a robot that stands still
        assert result["ticks"] == 105
        assert result["rate_hz"] == pytest.approx(50.0, rel=0.2)
        assert result["seconds_real"] == pytest.approx(12 * 3.0 + 2.1, abs=0.1)
    assert 0.0 < result["tick_us"]["p50"] <= result["tick_us"]["p99"] <= result["tick_us"]["p999"]
    written = json.loads((stage.out / "rehearsal.json").read_text())
    assert {0.4 <= trial["hidden"]["friction"] <= 1.2 for trial in written["realities"]} == {True}
    assert len(load(stage.out / "real_time-0")["sequence"]) == result["ticks"]
    assert "sim2real.reality.realities" not in set(sys.modules) - known  # this process never looked


def test_a_policy_that_holds_the_nominal_pose_stands_in_every_reality(run_folder, robot_folder):
    for seed in (0, 1, 2):
        judged = run_trial(a_trial(run_folder, robot_folder, seed=seed, commands=(STANDING,)))
        episode = judged["episodes"][0]
        assert (episode["fell"], judged["runtime"]["trips"]) == (False, [])
        assert episode["score"] > 0.95  # handed over from measured positions, it sinks and rises a little
        assert episode["seconds"] == pytest.approx(3.0)


def test_a_reality_is_the_same_every_time_and_differs_from_the_next(run_folder, robot_folder, tmp_path):
    first, again, other = (
        run_trial(a_trial(run_folder, robot_folder, seed=seed, log=tmp_path / name))
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )
    assert (first["episodes"], first["hidden"]) == (again["episodes"], again["hidden"])
    assert first["hidden"] != other["hidden"]
    logs = [load(tmp_path / name) for name in ("first", "again", "other")]
    for name in ("target", "joint_pos", "observation"):
        np.testing.assert_array_equal(logs[0][name], logs[1][name])
    assert (logs[0]["joint_pos"] != logs[2]["joint_pos"]).any()


DRIVE_AND_LOOK = """
import gc, json, sys
from sim2real.reality import driver
from robots.records import decode
report = driver.drive(decode(driver.Job, json.load(sys.stdin)))
forbidden = ("sim2real.reality.realities", "robots.backends.emulated", "mujoco", "torch")
names = {type(thing).__name__ for thing in gc.get_objects()} & {"Reality", "Imperfections", "SealedRobot", "MjModel"}
print(json.dumps({"modules": [m for m in forbidden if m in sys.modules], "objects": sorted(names), "report": report}))
"""


def test_the_process_that_drives_the_robot_never_holds_what_its_reality_hides(run_folder, robot_folder):
    arguments = [sys.executable, "-m", "sim2real.reality.realities", str(robot_folder), "--seed", "5"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as reality:
        port = int(reality.stdout.readline().removeprefix("port "))
        episode = Episode(vx=0.3, vy=0.0, yaw_rate=0.0, settle=0.2, seconds=1.0)
        job = {"bundle": str(run_folder / "policy.s2r"), "port": port, "clock": "lockstep", "soft_start": 0.2}
        given = json.dumps({**job, "episodes": [asdict(episode)]})
        driver = [sys.executable, "-c", DRIVE_AND_LOOK]
        done = subprocess.run(driver, input=given, capture_output=True, text=True, check=True)
        told = json.loads(reality.stdout.read())
    seen = json.loads(done.stdout)
    assert (seen["modules"], seen["objects"]) == ([], [])
    numbers = [told["hidden"]["friction"], told["hidden"]["lag"], told["hidden"]["imperfections"]["strength"]]
    assert not any(str(number) in done.stdout + done.stderr + given for number in numbers)


def test_a_killed_rehearsal_goes_on_with_the_realities_it_had_not_finished(run_folder, tmp_path):
    command = Rehearse(run="export", realities=2, seconds=0.5, realtime_seconds=0.0)
    stage = a_stage(tmp_path, run_folder)
    expected = rehearse(command, stage)
    kept = stage.checkpoint / "reality-0.json"
    record = json.loads(kept.read_text())
    for episode in record["episodes"]:
        episode["score"] = 0.123
    kept.write_text(json.dumps(record))
    (stage.checkpoint / "reality-1.json").unlink()
    result = rehearse(command, stage)
    assert result["score_per_reality"] == [pytest.approx(0.123), expected["score_per_reality"][1]]


def test_a_killed_walk_by_the_wall_clock_goes_on_with_the_stretches_it_had_not_finished(
    run_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(stage_rehearse, "STRETCH_SECONDS", 0.5)
    command = Rehearse(run="export", realities=1, seconds=0.5, realtime_seconds=1.0)
    stage = a_stage(tmp_path, run_folder)
    rehearse(command, stage)
    kept = stage.checkpoint / "real_time-0.json"
    record = json.loads(kept.read_text())
    record["runtime"] |= {"ticks": 1000, "seconds": 20.0, "late_ticks": 7, "trips": [{"guard": "tilt"}]}
    kept.write_text(json.dumps(record))
    (stage.checkpoint / "real_time-1.json").unlink()
    shutil.rmtree(stage.out)
    again = a_stage(tmp_path, run_folder)
    result = rehearse(command, again)
    second = json.loads((stage.checkpoint / "real_time-1.json").read_text())["runtime"]
    assert result["ticks"] == 1000 + second["ticks"]
    assert result["late_ticks"] == 7 + second["late_ticks"]
    assert result["real_time_trips"] == 1 + len(second["trips"])
    assert result["rate_hz"] == pytest.approx((1000 + second["ticks"]) / (20.0 + second["seconds"]))
    tick_us = np.concatenate([load(again.out / f"real_time-{i}")["tick_us"] for i in range(2)])
    assert result["tick_us"]["p50"] == pytest.approx(np.median(tick_us))


def test_a_rehearsal_that_is_told_to_stop_starts_nothing_more(run_folder, tmp_path):
    stage = a_stage(tmp_path, run_folder, lost=lambda: True)
    rehearse(Rehearse(run="export", realities=2, seconds=5.0), stage)
    assert stage.was_told_to_stop
    assert list(stage.out.iterdir()) == []


@pytest.mark.parametrize(
    ("result", "says"), [({}, "export the run first"), ({"reason": "no student stands"}, "no student stands")]
)
def test_a_run_without_a_bundle_says_what_to_do(result, says, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps({"schema": SCHEMA, "result": result}))
    with pytest.raises(FileNotFoundError, match=rf"holds no policy\.s2r: {says}"):
        rehearse(Rehearse(run="x"), a_stage(tmp_path, tmp_path / "run"))


def test_a_process_that_dies_is_an_error_with_its_last_words(run_folder, robot_folder, tmp_path):
    with pytest.raises(TrialError, match=r"the reality did not start: .*No such file"):
        run_trial(a_trial(run_folder, tmp_path / "nowhere"))
    agreed = deploy_bundles.contract("anymal_c")
    path = deploy_bundles.write(tmp_path / "anymal.s2r", agreed, deploy_bundles.standing_weights(agreed))
    with pytest.raises(TrialError, match="contract field robot disagrees"):
        run_trial(a_trial(run_folder, robot_folder, bundle=path))


def a_stand_in(tmp_path, monkeypatch, code: str) -> None:
    """Let `code` run in place of realities."""
    (tmp_path / "stand_in.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(reality_rehearse, "REALITY", "stand_in")


def test_the_last_words_of_a_reality_that_died_under_its_driver_are_told(
    run_folder, robot_folder, tmp_path, monkeypatch
):
    a_stand_in(tmp_path, monkeypatch, "print('port 9', flush=True)\nraise SystemExit('the ground opened')\n")
    with pytest.raises(TrialError, match=r"(?s)no WELCOME from .*the reality said: the ground opened"):
        run_trial(a_trial(run_folder, robot_folder))


def test_a_reality_that_does_not_appear_is_given_up(run_folder, robot_folder, tmp_path, monkeypatch):
    a_stand_in(tmp_path, monkeypatch, "import time\ntime.sleep(60.0)\n")
    monkeypatch.setattr(reality_rehearse, "START_SECONDS", 0.3)
    with pytest.raises(TrialError, match=r"the reality did not start within 0\.3 s"):
        run_trial(a_trial(run_folder, robot_folder))


RUN_ONE = """
import sys
import time
from pathlib import Path
from sim2real.reality.rehearse import Trial, run_trial
bundle, robot = map(Path, sys.argv[1:])
run_trial(Trial(bundle=bundle, robot=robot, seed=0, clock="real", commands=((0.0, 0.0, 0.0),), seconds=60.0))
"""


def test_nothing_outlives_a_rehearsal_that_was_killed(run_folder, robot_folder):
    arguments = [sys.executable, "-c", RUN_ONE, str(run_folder / "policy.s2r"), str(robot_folder)]
    with subprocess.Popen(arguments) as rehearsal:
        started = Path(f"/proc/{rehearsal.pid}/task/{rehearsal.pid}/children")
        began = time.monotonic()
        while len(started.read_text().split()) < 2 and time.monotonic() < began + 10.0:
            time.sleep(0.05)
        children = started.read_text().split()
        time.sleep(1.0)  # the robot is being driven
        assert all(map(alive, children))
        rehearsal.kill()
        killed = time.monotonic()
    while any(map(alive, children)) and time.monotonic() < killed + 10.0:
        time.sleep(0.05)
    assert not any(map(alive, children))


def alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_commands_cover_the_ranges_evenly_and_one_in_ten_stands_still():
    asked = np.array(commands(40, speed=1.6, time=0.17, seed=0))
    standing = (asked == 0.0).all(axis=1)
    assert standing.sum() == 4
    high = np.array(COMMAND_HIGH) * [1.6, 1.6, 1 / 0.17]
    strata = np.floor((asked[~standing] / high + 1.0) * 20.0)
    for column in strata.T:
        assert len(set(column)) == 36  # no two commands in one fortieth of a range
    assert asked.tolist() == np.array(commands(40, speed=1.6, time=0.17, seed=0)).tolist()
    assert asked.tolist() != np.array(commands(40, speed=1.6, time=0.17, seed=1)).tolist()


@pytest.mark.parametrize("note", [(), (1.0, 2.0), (0.0, 0.0, 0.0, 1.0, 0.0), (np.nan, 0.0, 0.0, 1.0, 1.0)])
def test_a_note_that_announces_no_episode_is_refused(note):
    with pytest.raises(ValueError, match="an episode"):
        Episode.from_note(note)


UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])
LEFT = np.array([np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)])  # heading +90°
LYING = np.array([np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0])  # rolled by 90°


def judge(ticks, seconds=1.0, settle=0.0):
    """The judgement of an episode (0.5 m/s forward) from ticks of 0.1 s: (velocity, orientation, height)."""
    referee = Referee(GO1)
    referee.begin(Episode(vx=0.5, vy=0.0, yaw_rate=0.0, settle=settle, seconds=seconds))
    for velocity, orientation, height in ticks:
        gyro = np.zeros(3)
        referee.watch(0.1, velocity=np.array(velocity), gyro=gyro, orientation=orientation, height=height, broken=False)
    referee.finish()
    return referee.episodes[0]


def test_the_referee_scores_velocity_in_the_frame_of_the_heading():
    good = [((0.0, 0.5, 0.0), LEFT, 0.28)] * 10
    assert judge(good)["score"] == pytest.approx(1.0)
    off = [((0.0, 0.5 + 0.32, 0.0), LEFT, 0.28)] * 10
    # exp(−0.32² / (0.038 · 9.81 · 0.2848)) = exp(−0.1024 / 0.10617)
    assert judge(off)["score"] == pytest.approx(np.exp(-0.1024 / 0.10617), rel=1e-3)


def test_nothing_is_scored_after_a_fall_even_if_the_robot_rises_again():
    walked, fell = ((0.5, 0.0, 0.0), UPRIGHT, 0.28), ((0.5, 0.0, 0.0), LYING, 0.28)
    sunk = ((0.5, 0.0, 0.0), UPRIGHT, 0.14)  # half of 0.2848 is 0.1424
    for fallen in (fell, sunk):
        judged = judge([walked] * 4 + [fallen] + [walked] * 5)
        assert (judged["score"], judged["fell"]) == (pytest.approx(0.4), True)


def test_time_that_was_not_played_counts_as_nothing_and_as_a_fall():
    judged = judge([((0.5, 0.0, 0.0), UPRIGHT, 0.28)] * 5)
    assert (judged["score"], judged["fell"]) == (pytest.approx(0.5), True)


def test_the_soft_start_is_not_scored():
    still, walked = ((0.0, 0.0, 0.0), UPRIGHT, 0.28), ((0.5, 0.0, 0.0), UPRIGHT, 0.28)
    assert judge([still] * 3 + [walked] * 10 + [still] * 5, settle=0.3)["score"] == pytest.approx(1.0)


LOOK_INTO_REALITIES = """
import json, robots
from dataclasses import asdict
from robots.model import build_model
from sim2real.reality.realities import Reality
rows = []
for name in ("go1", "anymal_c"):
    spec = robots.get(name)
    nominal = build_model(spec)
    for seed in range(40):
        reality = Reality.sample(spec, seed)
        model = reality.build(spec)
        row = asdict(reality) | {"ratio": float(model.body_mass.sum() / nominal.body_mass.sum())}
        rows.append(row | {"dt": model.opt.timestep, "cone": int(model.opt.cone)})
print(json.dumps(rows))
"""


def test_realities_stay_within_what_is_realistic_and_have_what_the_trainer_lacks():
    output = subprocess.run([sys.executable, "-c", LOOK_INTO_REALITIES], capture_output=True, text=True, check=True)
    rows = json.loads(output.stdout)
    for row in rows:
        drives = row["imperfections"]
        assert 0.8 <= drives["strength"] <= 1.05
        assert drives["delay"] >= 0.004
        assert drives["delay"] + drives["jitter"] <= 0.024
        assert 0.006 <= row["lag"] <= 0.014
        assert 0.4 <= row["friction"] <= 1.2
        assert row["ratio"] == pytest.approx(row["mass"] + row["payload"], rel=1e-3)
        assert 0.93 <= row["ratio"] <= 1.17
        assert (row["dt"], row["cone"]) == (pytest.approx(0.001), 1)  # elliptic cones
    assert len({row["friction"] for row in rows[:40]}) == 40


def test_the_worst_quarter_of_eight_is_two_and_never_nothing():
    assert worst_quarter([0.9, 0.1, 0.8, 0.3, 0.7, 0.7, 0.7, 0.7]) == pytest.approx(0.2)
    assert worst_quarter([0.6]) == 0.6
