"""`family`: who drives whom, in numbers that are checked one by one, and the pictures made of them."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
import report_runs
import torch
from PIL import Image

import envs.tasks
import robots
from policies import attribution
from policies.evaluation import evaluate, no_op
from policies.skill import Skill, SkillCard, load_skill, terms_of
from robots.similarity import scaled
from sim2real import cli
from sim2real.campaign import summary
from sim2real.campaign.files import plain
from sim2real.campaign.keys import checked, stage_key
from sim2real.campaign.stage import Stage
from sim2real.commands import KINDS, Family
from sim2real.report import attention, family_map, family_page, origin
from sim2real.report.document import document
from sim2real.report.family_film import grid
from sim2real.report.family_names import brief, lines, short
from sim2real.report.family_page import summary as in_words
from sim2real.report.family_video import Cast, shoot
from sim2real.report.results import Result
from sim2real.report.story import Story
from sim2real.report.video import Films
from sim2real.stages.bodies import differences
from sim2real.stages.family import family, robots_of
from sim2real.stages.sources import sources, titles
from tests.test_policies_tokens import a_generalist

EIGHT = "quadruped:joints_per_leg=2"
EPISODES, SECONDS = 2, 0.4
Told = dict[str, Any]


def write_skill(folder: Path, robot: str, seed: int, task: str = "velocity", history: int = 1) -> None:
    """A skill with small random weights: it fidgets."""
    spec, terms = robots.get(robot), terms_of(robot, task)
    card = SkillCard(
        robot=robot,
        model_hash=spec.model_hash,
        task=task,
        privileged=False,
        history=history,
        frame_width=sum(term.width for term in terms if term.measurable),
        hidden=(8,),
        num_joints=spec.num_joints,
    )
    made, generator = Skill.blank(card, terms), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    folder.mkdir(exist_ok=True)
    made.save(folder / "skill.safetensors")


def crossed(tmp: Path, runs: list[Path], *robots: str, video: bool = False, **changes: Any) -> Told:
    """The result of the stage, as machines read it."""
    for name in ("out", "checkpoint"):
        (tmp / name).mkdir()
    stage = Stage(out=tmp / "out", checkpoint=tmp / "checkpoint", inputs={"runs": tuple(runs)}, cpus=1)
    asked: Told = {"episodes": EPISODES, "seconds": SECONDS, **changes}
    named = tuple(run.name for run in runs)
    return plain(family(Family(runs=named, robots=robots, video=video, **asked), stage))


def trained(tmp: Path, robot: str, seed: int, **others: Any) -> Path:
    """The result folder of a training."""
    folder = report_runs.write(tmp, "train", name=f"{robot}-{seed}", key=f"{seed:06d}key")
    write_skill(folder, robot, seed, **others)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _few_draws():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attribution, "DRAWS", 1)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Told]:
    """Two skills of go1, the second of which sees two ticks, on three robots."""
    tmp = tmp_path_factory.mktemp("family")
    runs = [trained(tmp / "runs", "go1", 1), trained(tmp / "runs", "go1", 2, history=2)]
    return tmp, crossed(tmp, runs, "go1", "a1", EIGHT)


def score(robot: str, actor) -> float:
    spec, task = robots.get(robot), envs.tasks.get("velocity")
    return evaluate(spec, task, actor, episodes=EPISODES, seconds=SECONDS, num_threads=1).score


def test_every_skill_is_scored_on_every_robot_as_evaluate_scores_it(made):
    tmp, told = made
    assert [robot["name"] for robot in told["robots"]] == ["go1", "a1", EIGHT]
    for row, name in enumerate(("go1-1", "go1-2")):
        for column, robot in enumerate(("go1", "a1")):
            moved = load_skill(tmp / "runs" / name / "skill.safetensors", terms_of(robot, "velocity"))
            assert told["cells"][row][column]["score"] == score(robot, moved.player())


def test_a_robot_is_compared_with_standing_still_and_with_its_best_own_skill(made):
    _, told = made
    first, second = (row[0] for row in told["cells"])
    column, best = told["robots"][0], max(first["score"], second["score"])
    assert column["no_op"] == score("go1", no_op(robots.get("go1"), envs.tasks.get("velocity")))
    assert column["specialist_score"] == best
    for cell in (first, second):
        wanted = (cell["score"] - column["no_op"]) / (best - column["no_op"]) if best > column["no_op"] else None
        assert cell["normalized"] == pytest.approx(wanted)
    assert told["robots"][1]["specialist"] is None  # nobody learned on a1
    assert told["cells"][0][1]["normalized"] is None


def test_a_pair_that_cannot_be_is_told_with_its_reason(made):
    _, told = made
    refused = told["cells"][0][2]
    assert refused["refused"] is True
    assert re.search(r"go1 has 12 joints \(.*\), quadruped:joints_per_leg=2 has 8 joints", refused["reason"])
    assert "score" not in refused


def test_a_task_that_a_robot_cannot_do_is_a_reason_too(tmp_path):
    told = crossed(tmp_path, [trained(tmp_path / "runs", "go1", 1)], "so101")
    assert told["robots"][0]["no_op"] is None
    assert told["cells"][0][0]["reason"] == "task 'velocity' is for robots that stand on feet; so101 is of kind arm"
    assert told["attention"] == []


def test_the_pictures_are_drawn_and_the_page_needs_nothing_else(made):
    tmp, told = made
    for name in ("family.png", told["attention_pictures"]["go1"]):
        image = np.asarray(Image.open(tmp / "out" / name).convert("L"))
        assert image.shape[1] == 1440  # 9.6 inch at 150 dots
        assert image.std() > 20.0
    page = (tmp / "out" / "family.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4  # map, bodies, attention of go1 and of a1
    assert not re.search(r'(src|href)="(?!data:)[^#]', page)
    assert "refused (1)" in page
    assert "quadruped:joints_per_leg=2 has 8 joints" in page
    assert "What the joints of a1 attend to" in page


def test_attention_adds_up_and_names_joints_and_readings(made):
    _, told = made
    for seen in told["attention"]:
        shares = attention.shares(seen["by_sense"])
        assert shares.sum(1) == pytest.approx(np.ones(12))
        assert np.array(seen["by_joint"]).shape == (12, 12)
        assert seen["incompleteness"] < 0.02
        assert seen["joints"] == list(robots.get(seen["robot"]).joint_names)
        assert len(seen["deletion"]["deleted"]) == 3
        assert [len(limb["joints"]) for limb in seen["skeleton"]["limbs"]] == [3, 3, 3, 3]
        assert seen["skeleton"]["parents"] == [-1, 0, 1, -1, 3, 4, -1, 6, 7, -1, 9, 10]


def test_the_summary_says_how_many_and_who_goes_farthest(made):
    _, told = made
    words = in_words(told)
    assert words.startswith("2 skills on 3 robots: of 6 pairs 2 refused, ")
    assert re.search(r"The best on a robot it never saw: “go1: .*” on a1, 0\.\d\d \(standing still 0\.\d\d\)\.", words)


def test_a_report_shows_the_map_too(made):
    tmp, told = made
    params = {"robots": ["go1", "a1"], "episodes": 2, "seconds": None, "video": True}
    given = {"name": "crossed", "inputs": {"runs": ["a", "b"]}, "params": params}
    story = Story((Result.read(report_runs.write(tmp / "runs", "family", told, **given)),))
    page = document(story, Films())
    assert "Who drives whom" in page
    assert "refused (1)" in page
    again = "sim2real family a b --robots go1 a1 --episodes 2 --video --out crossed"
    assert origin.commands(story) == [again]
    assert vars(cli.parser().parse_args(shlex.split(again)[1:]))["runs"] == ["a", "b"]


def test_the_command_line_prints_the_map(made, capsys):
    _, told = made
    summary.show("family", {**told, "cached": False, "run": "there"})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["score", "[N]", "go1", "a1", EIGHT]
    assert printed[1].startswith("go1: trained ")
    assert printed[1].endswith("refused")
    assert printed[2].startswith("go1: trained, 2 ticks ")
    assert printed[3].split()[:2] == ["standing", "still"]
    assert printed[4].startswith("refused: a plain network drives joints by their place")


def test_all_members_of_a_multitask_policy_are_skills(tmp_path):
    members = {"go1:velocity": {}, "a1:velocity": {}}
    run = report_runs.write(tmp_path, "multitask", {"members": members})
    for robot in ("go1", "a1"):
        write_skill(run / f"{robot}-velocity", robot, 0)
    assert titles(sources(run)) == ["go1: member of several", "a1: member of several"]
    assert not any(source.is_of(robots.get("go1")) for source in sources(run))  # it was not made for go1 alone


def test_one_policy_for_any_body_is_one_skill_that_folds_onto_every_robot(tmp_path):
    run = report_runs.write(tmp_path, "multitask", {"members": {"go1:velocity": {}}})
    policy = a_generalist("go1")
    policy.save(run / "tokens.safetensors")
    (source,) = sources(run)
    assert titles([source]) == ["go1: any body"]
    seen, eight = torch.randn(3, 300), policy.skill_on(EIGHT)
    with torch.no_grad():
        assert torch.equal(source.on(EIGHT).player()(seen), eight.player()(seen))
    with pytest.raises(ValueError, match="so101 is of kind arm"):
        source.on("so101")


def test_skills_of_the_same_making_get_names_of_their_own(tmp_path):
    found = [source for seed in (1, 2) for source in sources(trained(tmp_path, "go1", seed))]
    assert titles(found) == ["go1: trained, 000001", "go1: trained, 000002"]
    assert titles(found[:1]) == ["go1: trained"]
    assert titles([found[0], found[0]]) == ["go1: trained, 000001 1", "go1: trained, 000001 2"]


def test_skills_of_two_tasks_do_not_compare(tmp_path):
    runs = [trained(tmp_path / "runs", "go1", 1), trained(tmp_path / "runs", "so101", 2, task="reach")]
    with pytest.raises(ValueError, match="runs must be skills of one task, whose scores compare, got velocity, reach"):
        crossed(tmp_path, runs)


def test_without_robots_those_that_the_skills_learned_on_are_taken(tmp_path):
    found = [
        source for seed, robot in enumerate(("go1", "a1", "go1")) for source in sources(trained(tmp_path, robot, seed))
    ]
    assert robots_of(Family(runs=("a",)), found) == ("go1", "a1")
    assert robots_of(Family(runs=("a",), robots=("h1", "go1", "h1")), found) == ("h1", "go1")


def test_a_stage_that_is_told_to_stop_stops(tmp_path):
    run = trained(tmp_path, "go1", 1)
    stage = Stage(out=tmp_path, checkpoint=tmp_path, inputs={"runs": (run,)}, lost=lambda: True)
    assert family(Family(runs=("go1-1",)), stage) == {}


def test_robots_count_by_their_models(tmp_path):
    robots.get("go1").save_folder(tmp_path / "mine")
    named, folder = Family(runs=("a",), robots=("go1",)), Family(runs=("a",), robots=(str(tmp_path / "mine"),))
    keys = [stage_key(KINDS["family"], checked(command), {"runs": ("key",)}) for command in (named, folder)]
    assert keys[0] == keys[1]
    with pytest.raises(LookupError, match="no robot named 'go11'"):
        checked(Family(runs=("a",), robots=("go1", "go11")))


def test_bad_arguments_are_refused(capsys):
    with pytest.raises(ValueError, match="runs must name at least one result"):
        Family(runs=())
    with pytest.raises(ValueError, match=r"seconds must be > 0 \[s\], got 0"):
        Family(runs=("a",), seconds=0.0)
    assert cli.main(["family", "nothing", "--robots", "go1"]) == 2
    assert "no result 'nothing'" in capsys.readouterr().err


def test_dynamically_similar_bodies_do_not_differ(tmp_path):
    go1 = robots.get("go1")
    assert differences([go1, scaled(go1, tmp_path, length=4.0, mass=8.0, gravity=1.0)]) == []


def test_the_descriptor_that_differs_most_comes_first():
    told = differences([robots.get("quadruped"), robots.get("quadruped:torque_limit=2.0")])
    assert told[0]["channel"] in ("torque_limit", "stall_torque")
    assert told[0]["values"] == pytest.approx([1.0, 2.0], rel=1e-3)
    # (1 − 1.5) ÷ √((1 + 4) ÷ 2)
    assert told[0]["deviations"] == pytest.approx([-0.3162, 0.3162], abs=1e-3)


def test_robots_without_a_common_role_have_nothing_to_compare():
    assert differences([robots.get("quadruped"), robots.get("so101")]) == []


def test_the_eye_sees_what_is_near_below_and_what_is_left_on_the_right():
    ahead, left, up = attention.seen(np.eye(3))  # from the front left, above
    assert ahead[1] < 0.0  # nearer
    assert left[0] > 0.0 > ahead[0]
    assert up == pytest.approx([0.0, np.cos(attention.ELEVATION)])


def test_reasons_are_numbered_in_the_order_of_the_map():
    cells = [
        [{"refused": True, "reason": "b"}, {"refused": False}],
        [{"refused": True, "reason": reason} for reason in "ab"],
    ]
    assert family_map.numbered({"cells": cells}) == {"b": 1, "a": 2}


def test_names_are_short_in_pictures():
    assert short("menagerie:unitree_go1") == "unitree_go1"
    assert short("/some/where/mine") == "mine"
    assert (brief("go1"), brief("quadruped:joints_per_leg=2")) == ("go1", "…joints_per_leg=2")
    assert lines("quadruped:leg_length=0.2,mass=12") == "quadruped\nleg length=0.2\nmass=12"


def test_films_stand_in_a_picture_that_is_wider_than_high():
    assert [grid(count) for count in (1, 2, 3, 4, 5, 7)] == [(1, 1), (2, 1), (3, 1), (2, 2), (3, 2), (3, 3)]


@pytest.mark.slow
def test_robots_are_filmed_side_by_side(tmp_path):
    told = crossed(tmp_path, [trained(tmp_path / "runs", "go1", 1)], "a1", "go1", EIGHT, video=True)
    if not told["opengl"]:
        pytest.skip(told["note"])
    assert told["videos"] == ["1-go1-trained.mp4"]
    film = tmp_path / "out" / told["videos"][0]
    assert imageio_ffmpeg.count_frames_and_secs(str(film))[0] == 200  # 8 s, 25 a second
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", film, "-frames:v", "1", "-f", "rawvideo"]
    shown = subprocess.run([*command, "-pix_fmt", "rgb24", "-"], capture_output=True, check=True)
    picture = np.frombuffer(shown.stdout, np.uint8).reshape(360, 960, 3).astype(float)
    teacher, other = picture[60:, :480], picture[60:, 480:]
    orange = [float((half[..., 0] - half[..., 2] > 80.0).mean()) for half in (teacher, other)]
    assert orange[0] > 0.01 > orange[1]  # a1 is named first and blue, but its teacher go1 stands first
    page = (tmp_path / "out" / "family.html").read_text(encoding="utf-8")
    assert page.count('<video src="data:video/mp4;base64,') == 1


def test_without_opengl_the_page_says_how_to_get_it(made, tmp_path, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "off")
    (source,) = sources(trained(tmp_path, "go1", 1))
    cast = Cast(title="go1: trained", skills={"go1": source.on("go1")}, task="velocity")
    films = shoot([cast], tmp_path, paints=["go1"])
    assert (films.made, films.opengl) == ((), False)
    assert "apt-get install -y libegl1 libgl1-mesa-dri" in films.note
    page = family_page.page(made[1], films)
    assert "No videos" in page
    assert films.note in page
