"""Evaluations end to end: what the command returns, writes, prints and draws, with few and short episodes."""

import json
import re
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pyarrow.parquet as pq
import pytest
import report_runs

import policies.evaluation
from policies.robustness import robustness_map
from policies.robustness.axes import CATALOGUE
from policies.threads import one_torch_thread
from sim2real import api
from sim2real.campaign import scoreboard, summary
from sim2real.campaign.campaign import CampaignError
from sim2real.campaign.stage import Stage
from sim2real.campaign.store import read_record
from sim2real.commands import Evaluate
from sim2real.report import evaluation
from sim2real.report.results import Result
from sim2real.report.story import Story
from sim2real.stages.evaluate import EPISODES, PICTURE, evaluate

one_torch_thread()
FEW = {"friction": (0.3, 1.0), "payload": (0.0, 0.5, 1.0), "noise": (0.0, 1.0)}
"""Values on each axis: 2 + 3 + 2, of which 3 are the nominal robot; the map has 6, of which 2 are new."""


@pytest.fixture(scope="module", autouse=True)
def _small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(policies.evaluation.evaluate.__kwdefaults__, "seconds", 0.3)
        patch.setitem(robustness_map.measure.__kwdefaults__, "episodes", 3)
        patch.setitem(robustness_map.measure.__kwdefaults__, "seconds", 0.3)
        few = tuple(replace(axis, values=FEW[axis.name]) for axis in CATALOGUE if axis.name in FEW)
        patch.setattr("policies.robustness.axes.CATALOGUE", few)
        yield


@pytest.fixture(scope="module")
def skill(tmp_path_factory) -> Path:
    """A result that holds a skill which stands."""
    folder = report_runs.write(tmp_path_factory.mktemp("skill"), "train")
    report_runs.write_skill(folder, "go1")
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def result(skill, store):
    return api.evaluate(run=str(skill), episodes=8, robustness=True, store=store)


def test_an_evaluation_breaks_its_episodes_down(result):
    groups = result["breakdown"]
    assert {"motion", "vx", "vy", "yaw_rate"} == set(groups)
    assert sum(group["episodes"] for group in groups["motion"].values()) == 8
    assert result["action_rate"] == pytest.approx(0.0)  # the same action all the time


def test_a_robustness_map_is_in_the_result_and_beside_it(result):
    found = result["robustness"]
    assert {name: len(sweep["points"]) for name, sweep in found["axes"].items()} == {
        "friction": 2,
        "payload": 3,
        "noise": 2,
    }
    assert set(found["axes"]["payload"]["points"][0]) == {"value", "relative", "score", "lo", "hi", "falls"}
    assert found["axes"]["payload"]["points"][1]["value"] == pytest.approx(0.5 * 12.743, abs=0.01)  # kg
    assert found["pair"]["axes"] == ["friction", "payload"]
    assert [len(row) for row in found["pair"]["points"]] == [2, 2, 2]
    assert json.loads((Path(result["run"]) / "run.json").read_text())["result"]["robustness"] == found


def test_every_episode_under_every_condition_is_kept(result):
    table = pq.read_table(Path(result["run"]) / EPISODES).to_pydict()
    assert set(table) == {"friction", "payload", "noise", "episode", "score", "fell"}
    assert len(table["score"]) == (1 + 1 + 2 + 1 + 2) * 3  # nominal, friction, payloads, noise, pairs; 3 episodes each
    assert {load for load, grip in zip(table["payload"], table["friction"], strict=True) if grip != 1.0} == {
        0,
        0.5,
        1,
    }
    assert table["friction"].count(0.3) == 3 * 3  # alone and with two payloads; everywhere else it is nominal
    assert table["noise"].count(0.0) == 3
    chosen = [score for score, load in zip(table["score"], table["payload"], strict=True) if load == 1.0]
    points = result["robustness"]["pair"]["points"][2]
    assert np.mean(chosen) == pytest.approx(np.mean([point["score"] for point in points]))


def test_the_picture_is_a_picture(result):
    assert result["picture"] == str(Path(result["run"]) / PICTURE)
    pixels = matplotlib.image.imread(result["picture"])
    assert pixels.shape[1] == 1440
    assert len({tuple(pixel) for row in pixels[::9, ::9].tolist() for pixel in row}) > 20
    assert pixels[0, 0, :3].tolist() == [1.0, 1.0, 1.0]  # on white paper


def test_a_plain_evaluation_draws_no_map(skill, store):
    plain = api.evaluate(run=str(skill), episodes=2, store=store)
    assert "robustness" not in plain
    assert {path.name for path in Path(plain["run"]).iterdir()} == {"run.json", "events.jsonl"}


def test_other_axes_make_another_map(skill, store):
    result = api.evaluate(run=str(skill), episodes=2, robustness=True, axes=("noise", "payload"), store=store)
    assert result["robustness"]["pair"]["titles"] == ["sensor noise and bias", "payload"]


def test_axes_that_make_no_map_are_refused(skill, store):
    with pytest.raises(ValueError, match="axes must be two properties, such as friction payload, got friction"):
        Evaluate(run="x", robustness=True, axes=("friction",))
    with pytest.raises(ValueError, match=r"add --robustness"):
        Evaluate(run="x", axes=("friction", "payload"))
    with pytest.raises(CampaignError, match=r"no axis 'glue'; this robot has friction, payload, noise"):
        api.evaluate(run=str(skill), robustness=True, axes=("glue", "payload"), store=store)


def test_an_evaluation_that_should_stop_stops_between_batches(skill, tmp_path):
    stage = Stage(out=tmp_path, checkpoint=tmp_path, inputs={"run": skill}, lost=lambda: True)
    assert evaluate(Evaluate(run="x", robustness=True), stage) == {}
    assert not (tmp_path / PICTURE).exists()


def test_the_command_prints_tables(result, capsys):
    summary.show("evaluate", result)
    out = capsys.readouterr().out
    assert "by        " in out
    assert "where it breaks: the score falls below " in out
    assert "payload [kg]" in out
    assert "score over payload [kg] and, to the right, friction of the feet [1]" in out
    assert out.splitlines()[-1] == f"result: {result['run']}"
    assert "robustness  " not in out  # no line that says how many entries


GROUP = {"episodes": 8, "score": 0.5, "score_ci": (0.4, 0.6), "yaw_score": 0.25, "falls": 1}


def test_a_breakdown_is_a_line_for_each_group():
    groups = {"standing": GROUP, "moving": GROUP | {"score": 0.75, "yaw_score": None}}
    assert scoreboard.breakdown({"motion": groups}) == [
        "by                score  95 %       yaw   falls",
        "motion  standing  0.50   0.40…0.60  0.25  1 of 8",
        "        moving    0.75   0.40…0.60        1 of 8",
        "",
    ]
    assert scoreboard.breakdown({}) == []


def test_a_row_of_breaks_names_the_last_value_that_was_tried_on_either_side():
    unbroken = {"value": None, "lo": None, "hi": None}
    sweep = {"title": "slope", "unit": "%", "nominal": 0.0, "trained": (-5.0, 5.0), "points": [{"value": -40.0}]}
    sweep |= {"breaks_below": unbroken, "breaks_above": unbroken}
    sweep["points"].append({"value": 25.0})
    assert scoreboard.break_row(sweep) == ("slope [%]", "0", "−5…5", "not up to −40", "not up to 25")
    assert scoreboard.break_row(sweep | {"trained": (0.0, 0.0)})[2] == "0"


def test_a_map_of_pairs_has_its_greatest_values_at_the_top_and_at_the_right():
    pair = {"titles": ("push", "payload"), "units": ("m/s", "kg"), "x": (0.0, 1.0), "y": (0.0, 5.0)}
    pair["points"] = [[{"score": 0.9}, {"score": 0.8}], [{"score": 0.7}, {"score": 0.6}]]
    assert scoreboard.pairs(pair) == [
        "score over payload [kg] and, to the right, push [m/s]",
        "5  0.70  0.60",
        "0  0.90  0.80",
        "   0     1",
    ]


def test_a_table_says_where_it_breaks_and_how_sure_that_is():
    assert scoreboard.place({"value": 9.0056, "lo": 6.9, "hi": 11.4}, 12.7) == "9 (6.9…11)"
    assert scoreboard.place({"value": 0.0687, "lo": None, "hi": 0.139}, 0.05) == "0.069 (beyond…0.14)"
    assert scoreboard.place({"value": None, "lo": None, "hi": None}, 64.0) == "not up to 64"
    assert scoreboard.place({"value": None, "lo": 59.2, "hi": None}, 64.0) == "not up to 64, perhaps at 59"
    assert scoreboard.place({"value": None, "lo": None, "hi": 0.08}, 0.05) == "not up to 0.05, perhaps at 0.08"
    assert scoreboard.place(None, 0.0) == "–"
    assert (scoreboard.rough(112.4), scoreboard.rough(-20.4), scoreboard.plain(12.743)) == ("110", "−20", "12.7")


def test_a_report_shows_the_tables_and_draws_the_map_in_the_colours_of_the_page(result, tmp_path):
    record = read_record(Path(result["run"]))["result"]
    shown = Result.read(report_runs.write(tmp_path, "evaluate", record))
    section = evaluation.section(shown, Story((shown,)))
    assert section.count('<svg viewBox="') == 1
    assert "var(--orange)" in section  # the trained ranges
    assert "#0a0a0" not in section
    for words in ("asked to walk: ", "Where it breaks", "payload [kg]", "Action rate", "score over both"):
        assert words in section


def test_a_report_says_the_yaw_score_of_each_group(tmp_path):
    record = {"breakdown": {"motion": {"standing": GROUP, "moving": GROUP | {"yaw_score": None}}}}
    shown = Result.read(report_runs.write(tmp_path, "evaluate", record))
    text = re.sub(r"<[^>]+>", "|", evaluation.breakdown(shown))
    assert re.search(r"asked to: standing\|+0\.50\|+0\.40 … 0\.60\|+0\.25\|+1 of 8", text)
    assert re.search(r"asked to: moving\|+0\.50\|+0\.40 … 0\.60\|+–\|+1 of 8", text)


def test_a_report_of_an_evaluation_without_a_map_has_none(tmp_path):
    shown = Result.read(report_runs.write(tmp_path, "evaluate"))
    section = evaluation.section(shown, Story((shown,)))
    assert "Where it breaks" not in section
    assert "By what was asked for" not in section
