"""Peers of benchmarks: processes that are told how far to step, and say how long it took."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import returns
from benchmarks.half_cheetah import rivals
from benchmarks.peers import process
from benchmarks.peers.process import HERE, MissingError, Peer, Running
from benchmarks.report import Report
from benchmarks.returns import Effort, Point

ANSWERING = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
from serve import arguments, serve
given = arguments()
print("a library talks")
serve(lambda: given.num_envs)
"""


def running(tmp_path, text, num_envs=4):
    script = tmp_path / "peer.py"
    script.write_text(text)
    return Running(Peer("peer", str(script), (num_envs,)), num_envs, 1)


def test_a_peer_takes_turns_until_it_is_closed(tmp_path):
    peer = running(tmp_path, ANSWERING)
    assert peer.processes == (peer.process.pid,)
    assert peer.take_turn(10) > 0.0
    peer.size_turns(0.01)
    assert peer.turn_steps >= 4
    assert peer.per_s == []
    peer.take_turn()
    assert len(peer.per_s) == len(peer.per_cpu_s) == 1
    peer.close()
    assert peer.process.returncode == 0


def test_a_peer_that_ends_says_why(tmp_path):
    with pytest.raises(MissingError, match=r"peer\.py ended: ModuleNotFoundError: No module named 'nothing_like_it'"):
        running(tmp_path, "import nothing_like_it")


def test_a_peer_that_ends_in_a_turn_says_why(tmp_path):
    peer = running(tmp_path, ANSWERING.replace("given.num_envs)", "1 / 0)"))
    with pytest.raises(MissingError, match=r"peer\.py ended: ZeroDivisionError: division by zero"):
        peer.take_turn(10)


def test_a_peer_that_is_gone_before_a_turn_says_so(tmp_path):
    peer = running(tmp_path, """print('{"ready": true, "processes": []}')""")
    peer.process.wait()
    with pytest.raises(MissingError, match=r"peer\.py ended: silently"):  # nobody is there to write to
        peer.take_turn(10)


def test_a_peer_that_does_not_listen_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "PATIENCE", 0.2)
    deaf = running(tmp_path, """import time; print('{"ready": true, "processes": []}', flush=True); time.sleep(60)""")
    deaf.close()
    assert deaf.process.returncode == -9


def test_an_interrupted_virtual_environment_is_made_again_and_a_whole_one_is_kept(tmp_path, monkeypatch):
    made = []
    monkeypatch.setenv("SIM2REAL_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(process, "_make", lambda folder, requirements: made.append(requirements))
    peer = Peer("peer", "peer.py", (1,), ("package==1.0",))
    python = Path(peer.interpreter())
    assert python.relative_to(tmp_path).parts[0] == "peers"
    python.parent.mkdir(parents=True)
    python.touch()
    peer.interpreter()
    assert made == [("package==1.0",)] * 2  # without the file that is written last
    (python.parents[1] / process.COMPLETE).touch()
    peer.interpreter()
    assert len(made) == 2


def test_packages_that_cannot_be_installed_are_told_of_and_leave_nothing_to_trust(tmp_path, monkeypatch):
    monkeypatch.setenv("SIM2REAL_CACHE_DIR", str(tmp_path))
    peer = Peer("peer", "peer.py", (1,), (str(tmp_path / "no_such_package"),))
    with pytest.raises(MissingError, match=r"pip cannot install .*no_such_package: ERROR: "):
        peer.interpreter()
    assert not list(tmp_path.rglob(process.COMPLETE))


def test_additions_are_installed_once_beside_the_benchmarks_own_packages(tmp_path, monkeypatch):
    folders = []

    def install(python, arguments):
        folders.append(Path(arguments[2]))
        folders[-1].mkdir(parents=True)

    monkeypatch.setenv("SIM2REAL_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setattr(process, "_install", install)
    peer = Peer("peer", "peer.py", (1,), additions=("package==1.0",))
    assert peer.python_path() == peer.python_path() == {"PYTHONPATH": f"{folders[0]}:elsewhere"}
    assert len(folders) == 1
    assert peer.interpreter() == sys.executable


def test_envpool_is_compared_at_the_faster_of_its_modes():
    speeds = {"sim2real": [9.0], "envpool_sync": [3.0, 3.0, 9.0], "envpool_async": [4.0, 4.0, 4.0], "mjbatch": [5.0]}
    peers = {name: SimpleNamespace(per_s=per_s) for name, per_s in speeds.items()}
    found = rivals(peers)
    assert found == {"envpool": peers["envpool_async"], "mjbatch": peers["mjbatch"]}  # medians 3 and 4
    assert "envpool" not in rivals({"sim2real": peers["sim2real"]})


def returns_compared(ours: tuple[float, float], theirs: tuple[float, float]) -> Report:
    """The returns of each after 10 s and after 60 s, the budget."""
    report, effort = Report(), Effort(seconds=60.0, seeds=(0,))
    ends = {"sim2real": ours, "sb3_zoo": theirs}
    curves = {name: [[Point(10.0, 100, at[0]), Point(60.0, 600, at[1])]] for name, at in ends.items()}
    returns.compare(curves, effort, report)
    return report


def test_a_peer_that_never_reached_the_return_counts_with_its_budget():
    report = returns_compared((2000.0, 3000.0), (100.0, 1500.0))
    assert report.ratios == {"halfcheetah_return_ratio": 2.0, "halfcheetah_time_to_2000_ratio": 6.0}  # 60 s / 10 s
    reached = {row.name: row.value for row in report.rows if "reached" in row.name}
    assert reached == {"halfcheetah_reached_2000_sim2real": 1.0, "halfcheetah_reached_2000_sb3_zoo": 0.0}


def test_no_time_is_compared_where_ours_never_reached_the_return():
    report = returns_compared((100.0, 1000.0), (100.0, 2500.0))
    assert report.ratios == {"halfcheetah_return_ratio": 0.4}
    assert report.skipped == {"halfcheetah_time_to_2000_ratio": "ours was not at 2000 within 60 s"}
