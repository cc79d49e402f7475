"""What is wrong with a robot is said with its file, its element and what to do, through every door."""

import json
import subprocess
import sys

import pytest

import robots
from robots.convert import convert
from robots.model import build_model

NAN, INFINITE = float("nan"), float("inf")
ARM = """
<mujoco model="arm">
  {asset}
  <worldbody>
    <body name="base">
      <geom name="foundation" size="0.05"/>
      <body name="link" pos="0 0 0.1">
        <joint name="shoulder" axis="0 1 0" {joint}/>
        <geom name="beam" {geom}/>
        {body}
      </body>
    </body>
  </worldbody>
  <actuator>{actuator}</actuator>
  {key}
</mujoco>
"""
GOOD = {
    "asset": "",
    "joint": 'range="-90 90"',
    "geom": 'type="capsule" fromto="0 0 0 0 0 0.3" size="0.03" mass="1"',
    "body": "",
    "actuator": '<position name="motor" joint="shoulder" kp="50" kv="5" forcerange="-20 20"/>',
    "key": '<keyframe><key name="home" qpos="0.1"/></keyframe>',
}
MESH = {"asset": '<asset><mesh name="hull" file="hull.stl"/></asset>', "geom": 'type="mesh" mesh="hull" mass="1"'}


@pytest.fixture
def source(tmp_path):
    """Writes the MJCF of a one-jointed arm with something changed."""

    def write(**changes):
        path = tmp_path / "arm.xml"
        path.write_text(ARM.format(**GOOD | changes))
        return path

    return write


@pytest.fixture
def folder(tmp_path):
    """Writes a robot folder with go1 in it, with something changed in `robot.json` or in the MJCF."""

    def write(change=lambda record: None, mjcf=lambda text: text):
        robots.get("go1").save_folder(tmp_path / "robot")
        record = json.loads((tmp_path / "robot" / "robot.json").read_text())
        change(record)
        (tmp_path / "robot" / "robot.json").write_text(json.dumps(record))
        file = tmp_path / "robot" / "go1.xml"
        file.write_text(mjcf(file.read_text()))
        return tmp_path / "robot"

    return write


def changed(key, value, **inner):
    """A change of `robot.json`: `key` to `value`, or within the first joint or foot."""

    def change(record):
        place = record
        for step in inner.get("within", ()):
            place = place[step]
        place[key] = value

    return change


ACTUATOR = ("joints", 0, "actuator")


def test_the_arm_that_the_others_are_made_of_is_good(source, tmp_path):
    spec = convert(source(), tmp_path / "out", name="arm")
    assert (spec.kind, spec.joint_names, spec.end_effector) == ("arm", ("shoulder",), "tool")
    assert build_model(spec).nu == 1


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"actuator": ""}, ValueError, r"arm.xml: no actuator, .*; add a <motor joint="),
        (MESH, FileNotFoundError, r"arm.xml: the file 'hull.stl' of mesh 'hull' is missing; put it beside the MJCF"),
        (
            {"actuator": '<motor name="motor" joint="sholder"/>'},
            ValueError,
            r"arm.xml: unknown transmission target 'sholder' .*'motor'.*; correct this element",
        ),
        (
            {"joint": 'range="90 -90"'},
            ValueError,
            r"arm.xml: range of joint 'shoulder' must be \(min, max\) with min <= max, got \(90.0, -90.0\)",
        ),
        (
            {"actuator": '<motor name="motor" joint="shoulder" ctrlrange="1 -1"/>'},
            ValueError,
            r"arm.xml: ctrlrange of actuator 'motor' must be \(min, max\)",
        ),
        (
            {"key": '<keyframe><key name="home" qpos="nan"/></keyframe>'},
            ValueError,
            r"""arm.xml: qpos="nan" of key 'home' must be finite; write numbers, or delete it""",
        ),
        (
            {"geom": 'type="sphere" size="0.03" mass="nan"'},
            ValueError,
            r"""arm.xml: mass="nan" of geom 'beam' must be finite""",
        ),
        (
            {"geom": 'type="sphere" size="0.03" mass="0"'},
            ValueError,
            r"arm.xml: mass and inertia of moving bodies must be larger .*'link'.*; correct this element",
        ),
        (
            {"body": '<body name="tip"><joint name="shoulder"/><geom size="0.01"/></body>'},
            ValueError,
            r"arm.xml: .*repeated name 'shoulder' in joint.*; correct the file",
        ),
        ({"body": "<body>"}, ValueError, r"arm.xml: mismatched tag: line \d+, .*; correct the file"),
        (
            {"joint": 'rnage="-90 90"'},
            ValueError,
            r"arm.xml: .*unrecognized attribute: 'rnage'.*; correct the file",
        ),
    ],
)
def test_an_mjcf_that_is_wrong_is_not_converted(source, tmp_path, changes, error, message):
    path = source(**changes)
    with pytest.raises(error, match=message):
        convert(path, tmp_path / "out", name="arm")
    assert not (tmp_path / "out").exists()


def test_an_mjcf_that_is_not_there_is_not_converted(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no MJCF .*/nothing.xml"):
        convert(tmp_path / "nothing.xml", tmp_path / "out", name="nothing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("kp", NAN, within=ACTUATOR), r"robot.json.joints\[0\].actuator: kp must be a finite number, got nan"),
        (
            changed("velocity_limit", INFINITE, within=ACTUATOR),
            r"joints\[0\].actuator: velocity_limit must be a finite",
        ),
        (changed("torque_limit", 0.0, within=ACTUATOR), r"joints\[0\].actuator: torque_limit must be > 0, got 0.0"),
        (
            changed("default_position", NAN, within=("joints", 0)),
            r"joint FL_hip_joint.default_position must be a finite",
        ),
        (changed("position_limits", [1.0, -1.0], within=("joints", 0)), r"position_limits must be \(min, max\) with"),
        (changed("gyro_noise", NAN, within=("imu",)), r"robot go1.imu.gyro_noise must be a finite number, got nan"),
        (
            changed("physics_dt", 0.003),
            r"physics_dt must divide the control period 0.02 s, got 0.003 s \(6.667 substeps",
        ),
        (changed("mass", 0.0), r"robot.json: robot go1: mass must be > 0, got 0.0"),
        (changed("name", "RL_hip_joint", within=("joints", 0)), r"joint names must differ"),
        (
            changed("name", "FL_hipp_joint", within=("joints", 0)),
            r"no joint 'FL_hipp_joint' in .*go1.xml, did you mean",
        ),
        (changed("base_body", "trank"), r"no body 'trank' in .*go1.xml, did you mean 'trunk'\?; it has .*Correct the"),
        (
            changed("name", "FX", within=("feet", 0)),
            r"no geom 'FX' for a foot in .*go1.xml.*; it has .*FL.*Correct the",
        ),
        (changed("end_effector", "hand"), r"no site 'hand' for its end_effector in .*go1.xml"),
        (changed("kpp", 1.0, within=ACTUATOR), r"joints\[0\].actuator: unknown key 'kpp', did you mean 'kp'\?"),
        (changed("schema", 7), r"robot.json: schema must be 1, got 7; update sim2real"),
    ],
)
def test_a_folder_that_is_wrong_is_not_a_robot(folder, change, message):
    with pytest.raises(ValueError, match=message):
        robots.get(str(folder(change)))


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("<worldbody>", "<worldbody><body>", ValueError, r"go1.xml: mismatched tag: line \d+, .*; correct the file"),
        (
            "</mujoco>",
            '<keyframe><key name="home" qpos="0 0 inf"/></keyframe></mujoco>',
            ValueError,
            r"""go1.xml: qpos="0 0 inf" of key 'home' must be finite""",
        ),
        (
            "<worldbody>",
            '<asset><mesh name="hull" file="hull.stl"/></asset><worldbody><geom type="mesh" mesh="hull"/>',
            FileNotFoundError,
            r"go1.xml: the file 'hull.stl' of mesh 'hull' is missing",
        ),
        (
            "<worldbody>",
            '<worldbody><body name="post" pos="nan 0 0"/>',
            ValueError,
            r"""go1.xml: pos="nan 0 0" of body 'post' must be finite""",
        ),
    ],
)
def test_an_mjcf_that_is_wrong_is_refused_with_its_folder(folder, old, new, error, message):
    place = folder(mjcf=lambda text: text.replace(old, new, 1))
    with pytest.raises(error, match=message):
        robots.get(str(place))


def test_what_is_missing_from_a_folder_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no robot.json, .*RobotSpec.save_folder.*robots.convert"):
        robots.get(str(tmp_path))
    place = folder()
    (place / "go1.xml").unlink()
    with pytest.raises(FileNotFoundError, match=r"no MJCF .*go1.xml; correct .* `mjcf` in robot.json"):
        robots.get(str(place))
    (place / "robot.json").write_text('{"schema": 1,')
    with pytest.raises(ValueError, match=r"robot.json: not JSON: "):
        robots.get(str(place))


def test_zero_worlds_are_refused():
    import gymnasium
    import torch

    import envs.registration  # noqa: F401
    from envs.make import make_worlds
    from envs.randomization import preset
    from envs.tasks import get
    from envs.vector_env import VectorEnv
    from sim2real.commands import Train

    torch.set_num_threads(1)
    with pytest.raises(ValueError, match=r"num_(worlds|envs) must be >= 1, got 0"):
        VectorEnv(robots.get("go1"), get("velocity"), num_envs=0, randomization=preset("none"))
    with pytest.raises(ValueError, match=r"num_(worlds|envs) must be >= 1, got 0"):
        gymnasium.make_vec("Sim2Real/Velocity-Go1-v0", num_envs=0)
    with pytest.raises(ValueError, match=r"num_envs must be >= 1, got 0"):
        make_worlds(robots.get("gymnasium:Reacher-v5"), get("gymnasium"), num_envs=0, randomization=preset("none"))
    with pytest.raises(ValueError, match=r"num_envs must be >= 1, got 0"):
        Train(robot="go1", num_envs=0)


@pytest.mark.parametrize(
    ("change", "mjcf", "message"),
    [
        (changed("kp", NAN, within=ACTUATOR), lambda text: text, "kp must be a finite number, got nan"),
        (lambda record: None, lambda text: text.replace("FL_hip_joint", "FL_joint"), "no joint 'FL_hip_joint' in"),
    ],
)
def test_training_a_robot_that_is_wrong_ends_at_once_with_one_sentence(folder, tmp_path, change, mjcf, message):
    store = tmp_path / "store"
    command = [
        sys.executable,
        "-m",
        "sim2real.cli",
        "train",
        "--robot",
        str(folder(change, mjcf)),
        "--store",
        str(store),
    ]
    done = subprocess.run([*command, "--steps", "1000"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not [path for path in store.rglob("*") if path.is_file()]
