"""The viewer: shapes where MuJoCo has them, simulations with knobs, films of the right length, pages that move."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections import Counter

import imageio_ffmpeg
import mujoco
import numpy as np
import pytest
import report_runs
from PIL import Image

import envs.tasks
import robots
from envs.randomization import preset
from policies.skill import load_skill
from robots.model import build_model, default_data
from sim2real import api, cli
from sim2real.report.encoder import encode
from sim2real.report.framing import Frame, offsets
from sim2real.stages import results
from sim2real.view import target
from sim2real.view.acting import VELOCITY, ActingRobots
from sim2real.view.bare import HANG, BareRobot
from sim2real.view.contacts import contacts
from sim2real.view.meshes import kind, mesh
from sim2real.view.pace import Pace
from sim2real.view.record import natural_seconds
from sim2real.view.session import Session
from sim2real.view.shapes import merged, shapes
from sim2real.view.simulation import initial
from sim2real.view.tour import sweep, tour
from tests.campaign_kinds import ROOT

BLUE = (0.0, 0.0, 1.0)
SOLIDS = """<mujoco><asset><mesh name="m" vertex="0 0 0  1 0 0  0 1 0  0 0 1"/></asset><worldbody>
<geom type="sphere" size="0.2"/><geom type="capsule" size="0.1 0.3"/><geom type="cylinder" size="0.1 0.3"/>
<geom type="box" size="0.1 0.2 0.3"/><geom type="ellipsoid" size="0.1 0.2 0.3"/><geom type="mesh" mesh="m"/>
</worldbody></mujoco>"""
VOLUMES = {
    "sphere": 4 / 3 * np.pi * 0.2**3,
    "capsule": 4 / 3 * np.pi * 0.1**3 + np.pi * 0.1**2 * 0.6,
    "cylinder": np.pi * 0.1**2 * 0.6,
    "box": 8 * 0.1 * 0.2 * 0.3,
    "ellipsoid": 4 / 3 * np.pi * 0.1 * 0.2 * 0.3,
    "mesh": 1 / 6,
}
GROUND = """<mujoco><asset><hfield name="h" nrow="2" ncol="3" size="1 2 0.5 0.1" elevation="0 0 0 0 0 4"/></asset>
<worldbody><geom type="hfield" hfield="h"/><geom type="plane" size="3 0 1"/></worldbody></mujoco>"""


@pytest.fixture(scope="module")
def go1():
    return BareRobot(robots.get("go1"))


@pytest.fixture
def session(go1):
    go1.reset()
    opened = Session(go1, port=0)
    yield opened
    opened.close()


def test_solids_have_their_volumes_and_look_outward():
    model = mujoco.MjModel.from_xml_string(SOLIDS)
    for geom in range(model.ngeom):
        vertices, faces = mesh(model, geom)
        a, b, c = vertices[faces].transpose(1, 0, 2)
        volume = (a * np.cross(b, c)).sum() / 6.0  # of tetrahedra from the origin: negative if faces look inward
        assert volume == pytest.approx(VOLUMES[kind(model, geom)], rel=0.04), kind(model, geom)


def test_ground_is_a_surface_of_the_stored_heights():
    model = mujoco.MjModel.from_xml_string(GROUND)
    vertices, faces = mesh(model, 0)
    assert vertices.tolist()[0] == [-1.0, -2.0, 0.0]
    assert vertices.tolist()[2] == [1.0, -2.0, 0.5]  # the highest of 0..4, scaled to 0..0.5 m; a file begins at +y
    assert len(faces) == 4  # two cells of two triangles
    normals = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    assert (normals[:, 2] > 0.0).all()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    for centre in vertices[faces].mean(1):
        down = mujoco.mj_ray(
            model, data, [*centre[:2], 5.0], np.array([0.0, 0.0, -1.0]), None, 1, -1, np.zeros(1, np.int32)
        )
        assert 5.0 - down == pytest.approx(centre[2])
    assert np.abs(mesh(model, 1)[0]).max(0).tolist() == [3.0, 200.0, 0.0]  # a side of 0 has no end


def test_go1_is_drawn_by_its_geoms_where_mujoco_has_them():
    spec = robots.get("go1")
    model = build_model(spec)
    found = shapes(model, spec, BLUE)
    assert Counter(kind for shape in found for kind in shape.kinds) == Counter(
        mujoco.mjtGeom(number).name.removeprefix("mjGEOM_").lower() for number in model.geom_type
    )
    data = default_data(model)
    data.qpos[7:] += np.linspace(-0.3, 0.3, spec.num_joints)
    mujoco.mj_kinematics(model, data)
    for geom, shape in enumerate(found):
        drawn = shape.vertices @ data.xmat[shape.body].reshape(3, 3).T + data.xpos[shape.body]
        there = mesh(model, geom)[0] @ data.geom_xmat[geom].reshape(3, 3).T + data.geom_xpos[geom]
        assert np.abs(drawn - there).max() < 1e-9


def test_the_base_is_painted_and_feet_are_rubber():
    spec = robots.get("go1")
    model = build_model(spec)
    found = shapes(model, spec, BLUE)
    assert found[model.geom(spec.feet[0].name).id].colour == (0.09, 0.09, 0.1)
    assert BLUE in {shape.colour for shape in found if shape.body == model.body(spec.base_body).id}


def test_shapes_of_one_body_and_colour_are_drawn_at_once():
    spec = robots.get("anymal_c")
    found = shapes(build_model(spec), spec, BLUE)
    fewer = merged(found)
    assert len(fewer) == len({(shape.body, shape.colour, shape.opacity) for shape in found}) < len(found)
    assert sum(len(shape.faces) for shape in fewer) == sum(len(shape.faces) for shape in found)
    for shape in fewer:
        assert shape.faces.max() == len(shape.vertices) - 1


def test_contacts_of_a_standing_robot_carry_its_weight(go1):
    go1.reset()
    for _ in range(100):
        go1.step(initial(go1.knobs))
    data = mujoco.MjData(go1.model)
    data.qpos[:], data.qvel[:], data.ctrl[:] = go1.state().qpos[0], go1.state().qvel[0], go1.state().ctrl[0]
    mujoco.mj_forward(go1.model, data)
    points, forces = contacts(go1.model, data)
    assert np.abs(points[:, 2]).max() < 0.01
    assert forces[:, 2].sum() == pytest.approx(go1.spec.mass * 9.81, rel=0.02)


def test_joints_follow_their_knobs_and_a_hanging_base_stays(go1):
    go1.reset()
    values = initial(go1.knobs) | {HANG: 1.0, "FL_calf_joint [rad]": -1.2}
    for _ in range(50):
        assert not go1.step(values).any()
    qpos = go1.state().qpos[0]
    assert qpos[2] == pytest.approx(go1.spec.default_height + 0.5 * go1.spec.length)
    assert qpos[go1.model.joint("FL_calf_joint").qposadr[0]] == pytest.approx(-1.2, abs=0.1)


def test_a_torque_controlled_machine_has_knobs_for_torques():
    pendulum = BareRobot(robots.get("pendulum"))
    limit = pendulum.spec.joints[0].actuator.torque_limit
    assert [(knob.label, knob.low, knob.high, knob.value) for knob in pendulum.knobs] == [
        (f"{pendulum.spec.joint_names[0]} [N·m]", -limit, limit, 0.0)
    ]


def acting(folder, action: float, num_worlds: int) -> ActingRobots:
    report_runs.write_skill(folder, "go1", action)
    skill = load_skill(folder / "skill.safetensors")
    return ActingRobots(robots.get("go1"), envs.tasks.get("velocity"), skill, num_worlds, preset("none"))


def test_a_skill_moves_robots_that_are_commanded_by_knobs(tmp_path):
    shown = acting(tmp_path, 0.0, 2)
    assert [knob.label for knob in shown.knobs] == list(VELOCITY)
    speed = np.sqrt(9.81 * shown.spec.length)  # √(gL)
    assert shown.knobs[0].high == pytest.approx(shown.worlds.task.command_high[0] * speed, rel=1e-3)
    values = dict.fromkeys(VELOCITY, 0.0) | {VELOCITY[1]: 0.2}
    for _ in range(3):
        assert not shown.step(values).any()
    assert shown.worlds.episode.command.tolist() == [[0.0, pytest.approx(0.2), 0.0]] * 2
    assert shown.state().qpos.shape == (2, 19)


def test_worlds_that_fall_start_anew_and_are_counted(tmp_path):
    shown = acting(tmp_path, 4.0, 1)
    falls = sum(int(shown.step(initial(shown.knobs)).sum()) for _ in range(100))
    assert falls >= 1
    shown.reset()
    assert shown.state().qpos[0, 2] > 0.7 * shown.spec.default_height


def test_goals_of_an_arm_are_shown_where_its_tool_must_go():
    spec = robots.get("so101")
    shown = ActingRobots(spec, envs.tasks.get("reach"), None, 2, preset("none"))
    model = shown.model
    data = default_data(model)
    command = shown.worlds.episode.command.double().numpy()
    base = data.body(spec.base_body)
    assert shown.state().goals == pytest.approx(command @ base.xmat.reshape(3, 3).T + base.xpos)
    assert shown.knobs == ()


def test_pace_follows_the_speed_and_does_not_make_up_for_long_pauses():
    pace = Pace(0.02, now=0.0)
    assert pace.due(0.05, speed=1.0) == 2  # 0.05 s / 0.02 s, 0.01 s is still owed
    assert pace.due(0.06, speed=1.0) == 1
    assert pace.due(0.10, speed=2.0) == 4
    assert pace.due(9.0, speed=1.0) == 5  # at most 0.1 s
    pace.wait(20.0)
    assert pace.due(20.0, speed=1.0) == 0


def test_the_real_time_factor_is_simulated_over_real_time():
    pace = Pace(0.02, now=0.0)
    for tick in range(1, 31):
        pace.took(1, now=0.1 * tick)
    assert pace.simulated == pytest.approx(0.6)
    assert pace.factor == pytest.approx(0.2)


def test_robots_side_by_side_stand_in_a_square(go1):
    moved = offsets(go1.model, Frame(np.zeros(3), 0.5), 4)
    assert moved[:, :2].tolist() == [[-0.55, -0.55], [-0.55, 0.55], [0.55, -0.55], [0.55, 0.55]]  # 2.2 · 0.5 m apart
    assert offsets(go1.model, Frame(np.zeros(3), 0.5), 1).tolist() == [[0.0, 0.0, 0.0]]


def test_a_sweep_reaches_both_limits():
    assert sweep(np.array([0.0, 0.25, 0.5, 0.75, 1.0]), -1.0, 0.5, 3.0) == pytest.approx([0.5, -1.0, 1.0, 3.0, 0.5])


def test_a_tour_moves_every_joint_through_its_range(go1):
    footage = tour(go1, 12.0)
    assert footage.qpos.shape == (600, 1, 19)
    positions = footage.qpos[footage.starts[0] :, 0, 7:]
    limits = np.array([joint.position_limits for joint in go1.spec.joints])
    assert np.abs(positions.min(0) - limits[:, 0]).max() < 0.02
    assert np.abs(positions.max(0) - limits[:, 1]).max() < 0.02
    assert [caption.label for caption in footage.captions].count("holds its pose") == 120


@pytest.mark.parametrize("suffix", [".mp4", ".webp", ".gif"])
def test_films_hold_every_image(suffix, tmp_path):
    images = [Image.new("RGB", (64, 48), (20 * index, 0, 0)) for index in range(10)]
    path = tmp_path / f"film{suffix}"
    assert encode(path, images, (64, 48), 25) == 10
    if suffix == ".mp4":
        assert imageio_ffmpeg.count_frames_and_secs(str(path)) == (10, pytest.approx(0.4))
    else:
        assert Image.open(path).n_frames == 10


def test_a_robot_is_filmed_without_a_screen(tmp_path):
    path = tmp_path / "go1.mp4"
    try:
        result = api.view(target="go1", video=str(path), seconds=0.4)
    except RuntimeError as error:
        if "needs OpenGL" not in str(error):
            raise
        pytest.skip(str(error))
    assert (result["frames"], result["seconds"]) == (10, pytest.approx(0.4))  # 25 a second
    assert imageio_ffmpeg.count_frames_and_secs(str(path))[0] == 10
    assert path.stat().st_size > 3000


def test_without_opengl_a_film_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "off")
    with pytest.raises(RuntimeError, match=r"a film needs OpenGL, .* apt-get install -y libegl1 libgl1-mesa-dri"):
        api.view(target="go1", video=str(tmp_path / "go1.mp4"), seconds=0.4)
    assert not (tmp_path / "go1.mp4").exists()


def test_a_film_that_fails_leaves_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / "go1.mp4"
    path.write_bytes(b"the one before")
    ended = subprocess.CompletedProcess([], 1, "", "ValueError: no picture")
    monkeypatch.setattr("sim2real.view.video.in_process", lambda *given, **more: ended)
    with pytest.raises(RuntimeError, match="filming failed: ValueError: no picture"):
        api.view(target="go1", video=str(path), seconds=0.4)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"the one before"]


def test_an_episode_of_a_gymnasium_id_is_filmed_whole():
    shown = ActingRobots(robots.get("gymnasium:Hopper-v5"), envs.tasks.get("gymnasium"), None, 1, preset("none"))
    assert natural_seconds(shown) == pytest.approx(8.0)  # 1000 steps of 8 ms


def test_the_page_is_served_and_its_robot_moves(session, go1):
    page = urllib.request.urlopen(session.url, timeout=10).read()
    assert b"<html" in page
    calf = go1.model.body("FL_calf").id
    handle = next(handle for shape, handle in session.scene.parts if shape.body == calf)
    before = handle.batched_positions.copy()
    session.panel._knobs["FL_thigh_joint [rad]"].value = 2.0
    for _ in range(19):
        session.tick(session.pace._last + 0.05)
    data = mujoco.MjData(go1.model)
    data.qpos[:] = go1.state().qpos[0]
    mujoco.mj_kinematics(go1.model, data)
    assert handle.batched_positions[0] == pytest.approx(data.xpos[calf], abs=1e-6)
    assert np.abs(handle.batched_positions - before).max() > 0.02
    assert session.pace.simulated == pytest.approx(19 * 0.05, abs=0.02)


def test_pause_step_and_reset_do_what_they_say(session, go1):
    session.panel._paused.value = True
    session.tick(session.pace._last + 0.05)
    assert session.pace.simulated == 0.0
    session.panel._step.set()
    session.tick(session.pace._last + 0.05)
    assert session.pace.simulated == pytest.approx(0.02)
    start = default_data(go1.model).qpos
    assert np.abs(go1.state().qpos[0] - start).max() > 0.0
    session.panel._reset.set()
    session.tick(session.pace._last + 0.05)
    assert (go1.state().qpos[0] == start).all()


def test_contacts_are_lines_while_they_are_asked_for(session):
    session.tick(session.pace._last + 0.1)
    assert not session.scene._contacts.visible
    session.panel._contacts.value = True
    for _ in range(5):
        session.tick(session.pace._last + 0.1)
    assert session.scene._contacts.visible
    assert len(session.scene._contacts.points) == 1 + 4  # a foot each, and the one that nobody sees


def test_the_picture_follows_the_robot_unless_told_otherwise(session, go1):
    go1._data.qpos[:2] = (3.0, -1.0)
    session.scene.show(go1.state())
    assert session.scene._root.position.tolist()[:2] == [-3.0, 1.0]
    session.scene.follow = False
    session.scene.show(go1.state())
    assert session.scene._root.position.tolist() == [0.0, 0.0, 0.0]


def test_without_viser_the_viewer_says_what_to_install(go1, monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs the package viser: pip install 'viser>=1\.1'"):
        Session(go1, port=0)


def test_ctrl_c_is_how_the_viewer_ends(tmp_path):
    command = [sys.executable, "-m", "sim2real.cli", "view", "go1", "--port", "0", "--json", tmp_path / "out.json"]
    running = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE)
    assert running.stdout
    url = re.search(r"http://127\.0\.0\.1:\d+", running.stdout.readline().decode())
    assert url
    assert urllib.request.urlopen(url[0], timeout=10).status == 200
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=30)
    assert (running.returncode, out.decode().startswith("closed after ")) == (0, True)
    result = json.loads((tmp_path / "out.json").read_text())["result"]
    assert result["url"] == url[0]
    assert result["restarts"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nobody",), r"'nobody' is neither a robot nor a result: no robot named 'nobody'.*no result 'nobody'"),
        (("go1", "--video", "film.avi"), r"a film is one of \.mp4, \.webp, \.gif by its suffix, got '.*film\.avi'"),
        (("go1", "--video", "no/film.mp4"), r"--video no/film\.mp4: there is no folder .*/no"),
        (("go1", "--worlds", "3"), r"several or randomized robots are worlds of a task: name one by --task"),
        (("go1", "--worlds", "0"), r"worlds must be >= 1, got 0"),
        (("go1", "--seconds", "-1"), r"seconds must be > 0 \[s\], got -1"),
        (("go1", "--task", "wlak"), r"no task named 'wlak'"),
    ],
)
def test_bad_input_is_told_in_a_sentence(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["view", *arguments]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_skill_is_looked_for_under_the_name_that_stages_give_it():
    assert target.SKILL == results.SKILL


def test_a_result_without_a_skill_is_told_of(tmp_path):
    folder = report_runs.write(tmp_path, "evaluate")
    with pytest.raises(FileNotFoundError, match=r"holds no skill\.safetensors; name a result of train"):
        api.view(target=str(folder))
