import re
import shlex
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import report_runs

import envs.tasks
import robots
from policies.skill import load_skill
from sim2real import cli
from sim2real.campaign.stage import Stage
from sim2real.commands import Report
from sim2real.report import canvas, formats, plots
from sim2real.report.html import Html, table, tag, text
from sim2real.report.origin import commands
from sim2real.report.results import Result
from sim2real.report.story import Story
from sim2real.report.video import choose
from sim2real.report.walk import PROGRAMME, walk
from sim2real.stages.report import report
from sim2real.statistics import Curve
from sim2real.verdict import RULE

KINDS = tuple(report_runs.RESULTS)


def make(tmp_path: Path, folders: list[Path], title: str = "", video: bool = False) -> tuple[dict, str]:
    """The result of the stage, and its page."""
    for name in ("out", "checkpoint"):
        (tmp_path / name).mkdir()
    stage = Stage(out=tmp_path / "out", checkpoint=tmp_path / "checkpoint", inputs={"runs": tuple(folders)}, cpus=2)
    result = report(Report(runs=tuple(folder.name for folder in folders), title=title, video=video), stage)
    return result, (stage.out / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def folders(tmp_path) -> list[Path]:
    made = [report_runs.write(tmp_path / "runs", kind) for kind in KINDS]
    report_runs.write_seals(made[KINDS.index("rehearse")])
    return made


def words(page: str) -> str:
    """What a reader sees of a page, without markup."""
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL).split())


def test_a_stranger_reads_first_what_was_learned_and_what_survived(folders, tmp_path):
    result, page = make(tmp_path, folders)
    assert result == {"report": "report.html", "videos": 0, "opengl": None, "note": "videos were turned off"}
    seen = words(page)
    assert "A walking skill of go1, carried into sealed realities, handed to anymal_c" in seen
    assert "go1 learned to walk in 2 min 08 s of training: velocity score 0.85 of 1 (standing still: 0.36)." in seen
    assert "With the sensors of a real robot alone, a student keeps 96 % of that." in seen
    assert "85 % of its simulated score survives 4 sealed realities it was never shown." in seen
    assert "anymal_c then takes the skill over, which pays: it beats learning from scratch." in seen


def test_every_section_holds_its_numbers(folders, tmp_path):
    seen = words(make(tmp_path, folders)[1])
    assert "0.85 (0.83 … 0.87)" in seen  # of the teacher
    assert "from the last 10 readings of sensors that go1 really has (DAgger)" in seen  # of the student
    assert "both on randomized robots 96 %" in seen
    assert "5 s after a sudden payload on 91 %" in seen
    assert "3.1·10⁻⁷ rad" in seen  # of the export
    assert "210 / 480 / 900" in seen  # a tick of the rehearsal [µs]
    assert "3 of 1 500 ticks" in seen
    assert "Verdict POSITIVE lower CI of jumpstart" in seen
    assert RULE.replace(">", "&gt;").replace("<", "&lt;") in seen
    assert "mujoco 4.0.0" in seen


def test_a_recurrent_student_is_said_to_remember(tmp_path):
    recurrent = {**report_runs.RESULTS["distill"], "history": 1, "memory": 128}
    seen = words(make(tmp_path, [report_runs.write(tmp_path / "runs", "distill", recurrent)])[1])
    assert "from sensors that go1 really has and its memory of what they said before" in seen


def test_the_opened_seals_are_shown_in_units_people_know(folders, tmp_path):
    seen = words(make(tmp_path, folders)[1])
    # 8 ms of lag; the tilt is hypot(3, 4) mrad = 0.286°
    assert "reality score falls mass ground friction motor lag IMU tilt 1 0.70 1 0.97 × 0.5 8 ms 0.286 °" in seen


def test_the_page_needs_nothing_but_itself(folders, tmp_path):
    page = make(tmp_path, folders)[1]
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page) == []
    assert "@import" not in page
    assert "<script" not in page
    assert page.count('<svg viewBox="') == 6  # all scores, teacher, student, its loss, realities, transfer
    assert not any(colour in page for colour in canvas.VARIABLES)  # all turned into variables of the page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_without_any_key_still_makes_a_page(kind, tmp_path):
    folder = report_runs.write(tmp_path / "runs", kind, {}, params={}, inputs={}, provenance={}, seconds=None)
    result, page = make(tmp_path, [folder])
    assert result["report"] == "report.html"
    assert "Where this comes from" in page


def test_any_order_of_results_makes_a_page(folders, tmp_path):
    seen = words(make(tmp_path, folders[::-1], title="Backwards")[1])
    assert seen.index("Transfer: go1 → anymal_c") < seen.index("Teacher: go1")


def test_names_cannot_smuggle_markup_in(tmp_path):
    nasty = "<img src=x onerror=alert(1)>$x$"
    folder = report_runs.write(tmp_path / "runs", "train", {**report_runs.RESULTS["train"], "robot": nasty}, params={})
    page = make(tmp_path, [folder], title=nasty)[1]
    assert "<img" not in page
    assert text("a < b ", tag("b", "&")) == "a &lt; b <b>&amp;</b>"
    assert table(("a",), [("<",)]).count("&lt;") == 1
    assert isinstance(tag("p", "x", class_='"'), Html)


def test_a_training_that_got_nowhere_is_told_so(tmp_path):
    failed = {**report_runs.RESULTS["train"], "score": 0.37, "score_ci": [0.33, 0.41]}  # standing still: 0.36
    seen = words(make(tmp_path, [report_runs.write(tmp_path / "runs", "train", failed)])[1])
    assert "go1 did not learn to walk" in seen


def test_a_refused_transfer_says_why(tmp_path):
    refused = {"source_robot": "go1", "robot": "h1", "refused": True, "verdict": None, "reason": "19 joints, not 12"}
    folder = report_runs.write(tmp_path / "runs", "transfer", refused, params={"to": "h1"})
    seen = words(make(tmp_path, [folder])[1])
    assert "the gate refused it" in seen
    assert "Verdict REFUSED 19 joints, not 12" in seen
    assert "POSITIVE if" not in seen


def test_a_refused_export_says_why(tmp_path):
    refused = {"robot": "go1", "bundle": None, "refused": True, "reason": "it reads what no hardware measures"}
    page = make(tmp_path, [report_runs.write(tmp_path / "runs", "export", refused)])[1]
    seen = words(page)
    assert "The policy of go1 may not leave the simulator: a gate refused it." in seen
    assert "Export: go1 REFUSED The gate let no file out: it reads what no hardware measures." in seen
    assert "runtimes agree" not in seen


def test_the_measures_are_those_of_the_result(tmp_path):
    told = {"jumpstart": 0.123, "jumpstart_ci": [0.1, 0.2], "step_saving_ratio": 3.21, "step_saving_ratio_bound": "≥"}
    changed = {**report_runs.RESULTS["transfer"], **told}
    seen = words(make(tmp_path, [report_runs.write(tmp_path / "runs", "transfer", changed)])[1])
    assert "Jumpstart +0.12 0.10 … 0.20" in seen
    assert "Step-saving ratio ≥ 3.2×" in seen
    assert "≥ 3.2× fewer steps" in seen


def test_measures_that_a_result_lacks_are_left_out(tmp_path):
    lacking = {name: value for name, value in report_runs.RESULTS["transfer"].items() if name != "verdict"}
    lacking = {name: value for name, value in lacking.items() if not name.endswith("_ci")}
    seen = words(make(tmp_path, [report_runs.write(tmp_path / "runs", "transfer", lacking)])[1])
    assert "Equal budgets" in seen
    assert "Verdict" not in seen
    assert "Taylor" not in seen


def test_a_report_that_should_stop_begins_no_further_film(folders, tmp_path, monkeypatch):
    for index in (KINDS.index("distill"), KINDS.index("transfer")):
        (folders[index] / "skill.safetensors").touch()
    begun = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: begun.append(command))
    stage = Stage(out=tmp_path / "out", checkpoint=tmp_path, inputs={"runs": tuple(folders)}, lost=lambda: True)
    assert report(Report(runs=("all",)), stage) == {}
    assert begun == []


def test_the_verdict_of_the_result_is_not_argued_with(tmp_path):
    judged = {**report_runs.RESULTS["transfer"], "verdict": "INCONCLUSIVE", "reason": "as the stage found"}
    seen = words(make(tmp_path, [report_runs.write(tmp_path / "runs", "transfer", judged)])[1])
    assert "Verdict INCONCLUSIVE as the stage found" in seen


def test_the_commands_that_make_it_again_are_commands(folders):
    lines = commands(Story(tuple(Result.read(folder) for folder in folders)))
    assert lines[0] == "sim2real train --robot go1 --task velocity --seed 3 --steps 1400000 --privileged --out train"
    assert lines[KINDS.index("rehearse")].startswith("sim2real rehearse export --realities 4 ")
    for line in lines:
        parsed = cli.parser().parse_args(shlex.split(line)[1:])
        assert parsed.out in KINDS


def test_without_opengl_the_report_says_how_to_get_it(folders, tmp_path, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "off")
    report_runs.write_skill(folders[0], "go1")
    result, page = make(tmp_path, folders, video=True)
    assert (result["videos"], result["opengl"]) == (0, False)
    assert "apt-get install -y libegl1 libgl1-mesa-dri" in result["note"]
    assert "No videos" in words(page)
    assert "apt-get install -y libegl1 libgl1-mesa-dri" in words(page)
    assert "remove this report from the store (out/checkpoint)" in result["note"]


def test_each_robot_is_filmed_with_the_skill_that_hardware_could_run(tmp_path):
    story = [report_runs.write(tmp_path, kind) for kind in ("train", "distill", "transfer")]
    story += [report_runs.write(tmp_path, "train", name="later", params={"robot": "anymal_c"}, key="later-key")]
    for folder in story:
        (folder / "skill.safetensors").touch()
    chosen = choose(Story(tuple(Result.read(folder) for folder in story)))
    assert [result.name for result in chosen] == ["distill", "transfer"]


def test_a_robot_that_stands_is_filmed_and_a_broken_skill_is_told_of(folders, tmp_path):
    distilled, transferred = folders[KINDS.index("distill")], folders[KINDS.index("transfer")]
    report_runs.write_skill(distilled, "go1")
    (transferred / "skill.safetensors").write_bytes(b"no skill")
    result, page = make(tmp_path, folders, video=True)
    if not result["opengl"]:
        pytest.skip(result["note"])
    assert result["videos"] == 1
    assert re.match(r"anymal_c could not be filmed: [\w.]*DamagedError: checkpoint", result["note"])
    film = tmp_path / "out" / "go1.mp4"
    assert 20_000 < film.stat().st_size < 500_000
    assert page.count('<video src="data:video/mp4;base64,') == 1
    assert "go1 : student, real sensors only, velocity score 0.82" in words(page)
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(film))
    assert (frames, seconds) == (200, pytest.approx(8.0, abs=0.1))  # 25 a second
    assert picture(film).std() > 20.0  # something is to be seen


def picture(film: Path) -> np.ndarray:
    """(height, width, 3) first image of a film."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", film, "-frames:v", "1", "-f", "rawvideo"]
    done = subprocess.run([*command, "-pix_fmt", "rgb24", "-"], capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(360, 480, 3)


def player(folder: Path, action: float):
    report_runs.write_skill(folder, "go1", action)
    return load_skill(folder / "skill.safetensors").player()


def test_a_walk_follows_the_programme_in_the_robots_own_units(tmp_path):
    walked = walk(robots.get("go1"), envs.tasks.get("velocity"), player(tmp_path, 0.0))
    ticks = round(50 * sum(act.seconds for act in PROGRAMME))
    assert (walked.qpos.shape, walked.command.shape, walked.falls) == ((ticks, 19), (ticks, 3), 0)
    assert not walked.fell.any()
    # 0.45·√(gL) = 0.45 · √(9.81 · 0.2848)
    assert walked.command[0] == pytest.approx([0.752, 0.0, 0.0], abs=1e-3)
    assert walked.command[-1].tolist() == [0.0, 0.0, 0.0]


def test_a_robot_that_falls_is_looked_at_before_it_stands_again(tmp_path):
    walked = walk(robots.get("go1"), envs.tasks.get("velocity"), player(tmp_path, 4.0), PROGRAMME[:1])
    assert walked.falls >= 1
    first = int(walked.fell.argmax())
    assert walked.fell[first : first + 40].all()  # 0.8 s at 50 Hz
    assert (walked.qpos[first : first + 40] == walked.qpos[first]).all()


def test_labels_at_the_ends_of_curves_do_not_touch():
    heights = plots._spread(np.array([0.8, 0.79, 0.3]))
    assert heights == pytest.approx([0.825, 0.765, 0.3])  # 0.06 apart around 0.795


def test_curves_are_drawn_in_the_colours_and_the_font_of_the_page():
    curve = Curve.of(report_runs.points(0.2, 0.8))
    drawn = plots.learning_curves([plots.Line(label="a & b", curve=curve, colour=canvas.BLUE)])
    assert "var(--blue)" in drawn
    assert "var(--font)" in drawn
    assert "a &amp; b 0.79" in drawn  # 0.8 − 0.6·e⁻⁴


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (formats.steps(1_400_832), "1.4 M"),
        (formats.steps(18_432), "18.4 k"),
        (formats.duration(128.4), "2 min 08 s"),
        (formats.duration(59.7), "1 min 00 s"),
        (formats.duration(7300), "2 h 01 min"),
        (formats.radians(2.4e-7), "2.4·10⁻⁷ rad"),
        (formats.ratio(3.24, "≥"), "≥ 3.2×"),
        (formats.ratio(1.0, "?"), "unknown"),
        (formats.score(-0.001), "0.00"),
        (formats.signed(-0.25), "−0.25"),
        (formats.percent(0.854), "85 %"),
        (formats.interval((-0.1, 0.2)), "−0.10 … 0.20"),
        (formats.plural(1, "fall"), "1 fall"),
        (formats.score(None), formats.MISSING),
    ],
)
def test_numbers_are_written_as_people_read_them(shown, expected):
    assert shown == expected
