"""Progress: what the user sees of a running campaign."""

import io
import json
from pathlib import Path

import pytest

from sim2real.campaign import display
from sim2real.campaign.display import LiveTable, PlainLines
from sim2real.campaign.progress import Board, Row, Tail, duration, rate
from sim2real.campaign.store import Store


def write(path, *events):
    with path.open("a") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


def progress(time, fraction, **metrics):
    return {"time": time, "event": "progress", "fraction": fraction, **metrics}


def test_time_left_follows_the_pace_of_this_attempt(tmp_path):
    path = tmp_path / "events.jsonl"
    write(path, progress(0.0, 0.9, score=0.9))
    tail = Tail(path)  # of a later attempt: what is there is none of its business
    write(path, {"time": 100.0, "event": "start"}, progress(110.0, 0.2), progress(130.0, 0.4, score=0.5))
    tail.poll()
    # 0.2 in 20 s, 0.6 are left: 60 s.
    assert tail.seconds_left == pytest.approx(60.0)
    assert (tail.fraction, tail.metrics["score"]) == (0.4, 0.5)


def test_a_line_that_is_not_complete_yet_is_read_later(tmp_path):
    path = tmp_path / "events.jsonl"
    tail = Tail(path)
    line = json.dumps(progress(1.0, 0.5)) + "\n"
    path.write_text(line[:10])
    tail.poll()
    assert tail.fraction == 0.0
    path.write_text(line + "cut by a kill" + line + line.replace("0.5", "0.75"))
    tail.poll()
    assert tail.fraction == 0.75


def test_events_that_are_gone_between_two_looks_change_nothing(tmp_path, monkeypatch):
    tail = Tail(tmp_path / "events.jsonl")
    monkeypatch.setattr(Path, "exists", lambda path: True)  # as if it vanished right after
    tail.poll()
    assert (tail.attempts, tail.fraction) == (0, 0.0)
    assert Tail(tmp_path / "events.jsonl").attempts == 0


def test_numbers_are_short():
    assert [rate(value) for value in (None, 12.0, 11_234.0)] == ["", "12", "11.2k"]
    assert [duration(value) for value in (None, 5.4, 65.0, 3700.0)] == ["", "0:05", "1:05", "1 h 01 min"]


@pytest.fixture
def board(tmp_path):
    path = tmp_path / "events.jsonl"
    tail = Tail(path)
    write(path, {"time": 0.0, "event": "start"}, progress(1.0, 0.0))
    write(path, progress(3.0, 0.25, score=0.71234, steps_per_s=11200))
    tail.poll()
    board = Board(Store(tmp_path))
    board.rows["teacher"] = Row("teacher", "train", "running", tail)
    board.rows["student"] = Row("student", "distill")
    return board


def test_plain_lines_say_each_change_once_and_the_pace_now_and_then(board, monkeypatch):
    stream = io.StringIO()
    lines = PlainLines(stream)
    lines.show(board)
    lines.show(board)
    monkeypatch.setattr(display, "LINE_PERIOD", 0.0)
    lines._next["teacher"] = 0.0
    lines.show(board)
    board.rows["teacher"] = Row("teacher", "train", "done", seconds=82.06, score=0.85)
    board.note("stopping")
    lines.show(board)
    said = [line.partition("] ")[2] for line in stream.getvalue().splitlines()]
    assert said == [
        "teacher: running",
        "teacher: 25%, 11.2k steps/s, score 0.712, 0:06 left",
        "stopping",
        "teacher: done in 82.1 s, score 0.850",
    ]


def test_the_live_table_shows_every_stage(board):
    board.rows["broken"] = Row("broken", "train", "failed", error="a [bracket] is no markup")
    stream = io.StringIO()
    live = LiveTable(stream)
    live.show(board)
    live.close()
    said = " ".join(stream.getvalue().split())
    assert "teacher running 25% 11.2k 0.712 0:06" in said
    assert "student waiting" in said
    assert "a [bracket] is no markup" in said


def test_a_second_attempt_is_told(board):
    board.rows["teacher"].tail.attempts = 2
    assert board.rows["teacher"].state == "running, attempt 2"
