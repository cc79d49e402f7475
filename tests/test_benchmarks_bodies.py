"""The transfer benchmark's arithmetic, and the pieces that it is put together from."""

import json
import multiprocessing

import numpy as np
import pytest

import robots
from benchmarks.report import Report
from benchmarks.transfer import __main__ as transfer
from benchmarks.transfer import family, joints, references, specialists
from benchmarks.transfer.bodies import ARMS, SOURCES, UNSEEN
from benchmarks.transfer.effort import EFFORTS
from benchmarks.transfer.references import Known
from benchmarks.transfer.runs import command
from benchmarks.transfer.scores import over_bodies, reference, step_saving, worst
from benchmarks.transfer.work import RESULT, Piece, Work
from policies.starting import joint_mismatch
from policies.training import CurvePoint


def piece(number: int = 1, label: str = "a piece") -> Piece:
    return Piece(kind="counting", what={"number": number}, label=label)


def counted(calls: list):
    """Does a piece, and tells that it did."""

    def doing(piece: Piece, folder, work):
        calls.append(piece.what["number"])
        return {"twice": 2 * piece.what["number"]}

    return doing


def points(*scores: float, episodes: int = 2):
    """A curve at 0, 100, 200, … steps."""
    return [
        {"env_steps": 100 * index, "score": score, "episode_scores": [score] * episodes}
        for index, score in enumerate(scores)
    ]


def test_n_is_0_for_doing_nothing_and_1_for_the_specialists_of_the_better_network():
    # IQM of 0.6, 0.7, 0.8, 0.9: (0.7 + 0.8) / 2 = 0.75; of the other network 0.5
    found = reference(0.25, {"mlp": [0.5], "tokens": [0.9, 0.6, 0.8, 0.7]})
    assert (found.network, found.seeds) == ("tokens", 4)
    assert found.specialist == pytest.approx(0.75)
    assert found.normalized(0.25) == 0.0
    assert found.normalized(0.65) == pytest.approx(0.8)  # (0.65 − 0.25) / (0.75 − 0.25)
    assert found.normalized(0.15) == pytest.approx(-0.2)  # worse than nothing is not hidden


def test_without_a_specialist_that_beats_doing_nothing_there_is_no_n():
    with pytest.raises(ValueError, match="N needs a specialist's score"):
        reference(0.25, {"mlp": []})
    with pytest.raises(ValueError, match=r"specialists score 0\.200, doing nothing 0\.250: N has no meaning"):
        reference(0.25, {"mlp": [0.2]})


def test_the_figure_of_a_family_is_the_interquartile_mean_over_bodies_and_seeds():
    cells = {"a": [0.0, 0.9], "b": [0.8, 1.0], "c": [0.6, 0.7], "d": [0.5, 5.0]}
    # sorted 0 0.5 | 0.6 0.7 0.8 0.9 | 1.0 5.0: (0.6 + 0.7 + 0.8 + 0.9) / 4
    assert over_bodies(cells).value == pytest.approx(0.75)


def test_seeds_are_resampled_within_bodies():
    found = over_bodies({"a": [0.4, 0.4], "b": [0.8, 0.8]})
    assert (found.lo, found.value, found.hi) == pytest.approx((0.6, 0.6, 0.6))  # bodies are not drawn


def test_the_worst_body_is_that_with_the_least_mean_over_seeds():
    label, found = worst({"a": [0.9, 0.1], "b": [0.6, 0.6], "c": [0.2, 0.6]})
    assert label == "c"
    assert found.value == pytest.approx(0.4)  # (0.2 + 0.6) / 2; a has 0.5
    assert found.lo == pytest.approx(0.1)  # a drawn as 0.1 and 0.1
    assert found.hi == pytest.approx(0.6)  # b, where c was drawn as 0.6 and 0.6 and a as 0.9 and 0.9


def test_bodies_with_different_seeds_are_not_pooled():
    with pytest.raises(ValueError, match=r"every body needs N of the same seeds, got \{'a': 2, 'b': 1\}"):
        over_bodies({"a": [0.1, 0.2], "b": [0.3]})


def test_steps_are_saved_until_nine_tenths_of_what_the_better_arm_reaches():
    transfer, scratch = points(0.1, 0.7, 0.9, 1.0, 1.0), points(0.0, 0.2, 0.4, 0.8, 1.0)
    found = step_saving([{"curves": {"transfer": transfer, "scratch": scratch}, "idle": 0.0}])
    # learned is 0.9 · 1.0: at 200 steps, and half-way between 0.8 at 300 and 1.0 at 400: 350 / 200
    assert (found.value, found.bound) == (pytest.approx(1.75), "=")


def test_doing_nothing_counts_as_nothing_learned():
    transfer, scratch = points(0.5, 0.7, 0.9, 1.0, 1.0), points(0.5, 0.5, 0.75, 0.85, 0.95)
    found = step_saving([{"curves": {"transfer": transfer, "scratch": scratch}, "idle": 0.5}])
    # learned is 0.5 + 0.9 · 0.5 = 0.95: at 250 steps, and at 400
    assert found.value == pytest.approx(1.6)


def test_an_arm_that_never_learns_it_counts_with_all_its_steps_and_the_ratio_says_so():
    never, soon = points(0.0, 0.1, 0.1, 0.1, 0.1), points(0.2, 1.0, 1.0, 1.0, 1.0)
    found = step_saving([{"curves": {"transfer": soon, "scratch": never}, "idle": 0.0}])
    # 0.9 is reached at 0.7 / 0.8 of the first 100 steps, which cannot be told from 100: 400 / 100, at least
    assert (found.value, found.bound) == (pytest.approx(4.0), "≥")
    lost = step_saving([{"curves": {"transfer": never, "scratch": soon}, "idle": 0.0}])
    assert lost.value == pytest.approx(0.25)
    assert lost.bound in ("≤", "?")


def test_seeds_of_a_step_saving_share_one_curve():
    quick, slow = points(0.0, 1.0, 1.0, 1.0, 1.0), points(0.0, 0.0, 0.5, 1.0, 1.0)
    results = [{"curves": {"transfer": quick, "scratch": each}, "idle": 0.0} for each in (slow, quick)]
    # mean from scratch 0 0.5 0.75 1 1: 0.9 at 200 + 100 · 0.15 / 0.25 = 260, over 100 at most
    found = step_saving(results)
    assert found.value == pytest.approx(2.6)


def test_what_a_policy_reaches_at_once_is_a_share_of_what_training_reaches():
    result = {"zero_shot": 0.4, "no_op": 0.2, "score": 0.6, "scratch_score": 0.5}
    assert joints.learned(result) == pytest.approx(0.4)  # 0.6 − 0.2
    assert joints.reached(result) == pytest.approx(0.5)  # (0.4 − 0.2) / (0.6 − 0.2)


def test_a_share_of_nothing_learned_is_no_row():
    curves = {"transfer": points(0.3, 0.31), "scratch": points(0.3, 0.3)}
    result = {"zero_shot": 0.32, "no_op": 0.3, "score": 0.31, "scratch_score": 0.3, "curves": curves, "idle": 0.3}
    report = Report()
    joints._add("12 to 8", {0: result}, report)
    assert report.skipped == {"joint_count_zero_shot/12 to 8": "neither arm learned anything there"}
    assert [row.name for row in report.rows] == ["joint_count_step_saving/12 to 8", "joint_count_end/12 to 8"]


def test_a_piece_is_done_once(tmp_path):
    calls: list[int] = []
    work = Work(root=tmp_path)
    assert work.result(piece()) is None
    assert work.do(piece(), counted(calls)) == {"twice": 2}
    assert Work(root=tmp_path).do(piece(label="by another name"), counted(calls)) == {"twice": 2}
    assert work.do(piece(), counted(calls)) == {"twice": 2}
    assert work.do(piece(2), counted(calls)) == {"twice": 4}
    assert calls == [1, 2]


def test_a_piece_that_was_cut_off_is_done_again(tmp_path):
    work, calls = Work(root=tmp_path), []
    assert work.do(piece(), lambda piece, folder, work: None) is None
    assert not list(tmp_path.rglob(RESULT))
    assert work.do(piece(), counted(calls)) == {"twice": 2}


def test_when_time_is_up_nothing_begins_and_what_is_there_still_counts(tmp_path):
    calls: list[int] = []
    Work(root=tmp_path).do(piece(1), counted(calls))
    late = Work(root=tmp_path, minutes=0.0)
    assert late.do(piece(1), counted(calls)) == {"twice": 2}
    assert late.do(piece(2), counted(calls)) is None
    assert calls == [1]


def _hold(root, started, go) -> None:
    def doing(piece, folder, work):
        started.set()
        go.wait(30.0)
        return {"by": "the other"}

    Work(root=root).do(piece(), doing)


def test_two_processes_never_do_the_same_piece(tmp_path):
    context = multiprocessing.get_context("fork")
    started, go, calls = context.Event(), context.Event(), []
    other = context.Process(target=_hold, args=(tmp_path, started, go))
    other.start()
    assert started.wait(30.0)
    assert Work(root=tmp_path).do(piece(), counted(calls)) is None
    go.set()
    other.join(30.0)
    assert Work(root=tmp_path).do(piece(), counted(calls)) == {"by": "the other"}
    assert not calls


def test_the_key_of_a_command_follows_its_arguments_and_the_models_of_its_robots():
    body = UNSEEN[0]
    first = command("train", "a name", body, robot=body.robot, steps=1000)
    assert command("train", "another", body, robot=body.robot, steps=1000).key == first.key
    assert command("train", "a name", body, robot=body.robot, steps=2000).key != first.key
    later = command("fold", "", body, run=first, to=body.robot)
    assert later.what["arguments"]["run"] == f"piece:{first.key}"
    assert first.what["model_hashes"] == {body.robot: robots.get(body.robot).model_hash}


def test_no_unseen_body_has_the_proportions_of_a_source():
    own = ("leg_length", "mass", "joints_per_leg", "thigh_share", "stance", "body_length", "kp")
    parameters = {
        body.robot: tuple(getattr(robots.families.parse(body.robot), name) for name in own)
        for body in (*SOURCES[4], *UNSEEN)
    }
    assert len(set(parameters.values())) == len(SOURCES[4]) + len(UNSEEN)
    masses = [body.spec.mass for body in UNSEEN]
    assert (len(UNSEEN), min(masses), max(masses)) == (6, 2.0, 120.0)
    assert {body.spec.num_joints for body in UNSEEN} == {8, 12}
    assert sum(not joint_mismatch(SOURCES[1][0].spec, body.spec) for body in UNSEEN) == 3


def curve(*scores: float, between: int = 250_000) -> list[CurvePoint]:
    return [
        CurvePoint(env_steps=between * index, seconds=0.0, score=score, episode_scores=(score, score))
        for index, score in enumerate(scores)
    ]


def test_a_specialist_is_done_when_its_curve_is_flat_and_long_enough():
    assert not specialists.is_flat([], 1_250_000)
    assert not specialists.is_flat(curve(0.3, 0.3, 0.3), 1_250_000)  # knows nothing yet
    assert not specialists.is_flat(curve(0.3, 0.4, 0.5, 0.6, 0.7, 0.8), 1_250_000)
    assert specialists.is_flat(curve(0.3, 0.5, 0.7, 0.78, 0.79, 0.8), 1_250_000)  # 0.01 < 0.05 · 0.5


def known_ones(*labels: str) -> dict[str, Known]:
    return {label: Known(model_hash="", no_op=0.2, scores={"mlp": {0: 0.6, 1: 0.6}}) for label in labels}


def test_rows_of_a_family_hold_the_seeds_that_every_body_has():
    report, effort = Report(), EFFORTS["full"]
    scores = {"a": {0: 0.6, 1: 0.5}, "b": {0: 0.4}}
    family._add("family", scores, effort, known_ones("a", "b"), report)
    rows = {row.name: row for row in report.rows}
    assert rows["family"].value == pytest.approx(0.75)  # of 1 and 0.5, both of seed 0
    assert rows["family"].seeds == (0,)
    assert rows["family_worst"].value == pytest.approx(0.5)
    assert rows["family_worst"].unit == "N, b"


def test_rows_that_lack_something_are_named_and_never_made_up():
    report, effort = Report(), EFFORTS["full"]
    family._add("one", {"a": {0: 0.6}, "b": {0: 0.4}}, effort, known_ones("a"), report)
    family._add("two", {"a": {0: 0.6}, "b": {}}, effort, known_ones("a", "b"), report)
    assert not report.rows
    assert report.skipped == {
        "one": "no specialist of b yet",
        "two": "no policy was scored on all bodies yet",
    }


def test_recorded_specialists_come_back_as_they_were_unless_the_robot_has_changed(tmp_path, monkeypatch):
    from sim2real.campaign.files import write_json

    body, effort = UNSEEN[0], EFFORTS["ci"]
    record = Known(
        model_hash=body.spec.model_hash, no_op=0.2, scores={"mlp": {0: 0.6, 3: 0.7}}, unfinished=["mlp 3"]
    ).record()
    monkeypatch.setattr(references, "RECORDED", tmp_path / "recorded.json")
    assert references.known([body], effort, Work(root=tmp_path)) == {}
    write_json(tmp_path / "recorded.json", {"result": {"specialists": {body.member: record}}})
    found = references.known([body], effort, Work(root=tmp_path))[body.label]
    assert (found.scores, found.unfinished, found.source) == ({"mlp": {0: 0.6, 3: 0.7}}, ["mlp 3"], "recorded")
    assert found.reference().specialist == pytest.approx(float(np.mean([0.6, 0.7])))
    write_json(tmp_path / "recorded.json", {"result": {"specialists": {body.member: record | {"model_hash": "old"}}}})
    assert references.known([body], effort, Work(root=tmp_path)) == {}


def test_without_time_the_table_names_all_that_is_missing(tmp_path, capsys):
    file = tmp_path / "found.json"
    transfer.main(["--part", "bodies", "--minutes", "0", "--work", str(tmp_path / "work"), "--json", str(file)])
    result, printed = json.loads(file.read_text())["result"], capsys.readouterr().out
    assert (result["rows"], result["ratios"]) == ([], {})
    for name in (
        "family_zero_shot_4_sources",
        "joint_count/8 to 12",
        "real_tuned_tokens/a1",
        "teaching_N/anymal_c",
        "cost",
    ):
        assert f"skipped: {name}: {result['skipped'][name]}" in printed
    assert "specialists" not in result


def test_every_arm_reaches():
    assert {body.task for body in ARMS} == {"reach"}
    assert [body.spec.num_joints for body in ARMS] == [2, 4, 5, 6, 7]


def test_a_short_run_knows_the_specialists_that_a_full_one_recorded(tmp_path):
    effort = EFFORTS["ci"]
    found = references.known(effort.unseen, effort, Work(root=tmp_path))
    assert set(found) == {body.label for body in effort.unseen}
    assert {own.source for own in found.values()} == {"recorded"}
