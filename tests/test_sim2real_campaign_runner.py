"""The runner: what is there is not run again, a failure blocks only its descendants, a kill loses nothing."""

import fcntl
import json
import os
import resource
import signal
import time

import pytest

from sim2real.campaign.campaign import CampaignError, run_command
from sim2real.campaign.execute import run_stage
from sim2real.campaign.executor_inline import InlineExecutor
from sim2real.campaign.graph import plan
from sim2real.campaign.lease import LOST_AFTER, Lease, LeaseView, exclusive
from sim2real.campaign.stage import Stage
from sim2real.campaign.store import Store
from tests.campaign_kinds import KINDS, Count, Fail, command_line, recipe, run, statuses, wait_for

CHAIN = {"a": {"kind": "count"}, "b": {"kind": "count", "runs": ["a"]}, "c": {"kind": "count", "seed": 9}}


def numbers(store, stage="a", name="campaign"):
    return json.loads((store / name / stage / "numbers.json").read_text())


def checkpoints(store):
    return [json.loads(path.read_text()) for path in store.glob("ckpt/*/numbers.json")]


def write_recipe(tmp_path, *stages):
    path = tmp_path / "recipe.yaml"
    path.write_text("\n".join(["name: campaign", "stages:", *(f"  {stage}" for stage in stages)]))
    return path


def test_a_second_run_is_answered_from_the_store(tmp_path):
    first, second = run(tmp_path, **CHAIN), run(tmp_path, **CHAIN)
    assert set(statuses(first).values()) == {"done"}
    assert set(statuses(second).values()) == {"cached"}
    assert [stage["metrics"] for stage in second["stages"]] == [stage["metrics"] for stage in first["stages"]]
    assert second["report"] == str(tmp_path / "campaign" / "report.html")


def test_a_changed_parameter_runs_its_descendants_and_nothing_else(tmp_path):
    run(tmp_path, **CHAIN)
    result = run(tmp_path, **{**CHAIN, "a": {"kind": "count", "to": 4}})
    assert statuses(result) == {"a": "done", "b": "done", "c": "cached"}


def test_a_failure_blocks_only_those_that_need_the_stage(tmp_path):
    stages = {**CHAIN, "f": {"kind": "fail", "run": "a"}, "g": {"kind": "count", "runs": ["f", "b"]}}
    with pytest.raises(
        CampaignError, match=r"f failed: out of luck \(traceback: .*error\.txt\).*not run.*: g"
    ) as failed:
        run(tmp_path, **stages)
    assert statuses(failed.value.result) == {"a": "done", "b": "done", "c": "done", "f": "failed", "g": "blocked"}
    assert "RuntimeError: out of luck" in next(tmp_path.glob("ckpt/*/error.txt")).read_text()
    assert len(list((tmp_path / "out").iterdir())) == 3, "a failed stage has no result, not even half of one"
    assert not list(tmp_path.glob("tmp/*-*.*"))


def test_a_stage_that_diverged_has_no_result(tmp_path):
    with pytest.raises(CampaignError, match=r"its result score is nan: the stage diverged"):
        run(tmp_path, a={"kind": "diverge"})
    assert not list((tmp_path / "out").iterdir())


def test_more_than_there_is_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(ValueError, match=r"stage b asks for 999 CPUs of \d+ and 5 GPUs of \d+: lower its resources"):
        run(tmp_path, a={"kind": "count"}, b={"kind": "count", "resources": {"cpus": 999, "gpus": 5}})
    assert not (tmp_path / "out").exists()


def test_stages_that_found_no_room_are_told_of(tmp_path, monkeypatch):
    monkeypatch.setattr(InlineExecutor, "has_room", lambda self, running, job: job.name == "a")  # as a cluster shrank
    with pytest.raises(CampaignError, match=r"not run, since there was no room left for what they ask for: b$") as left:
        run(tmp_path, a={"kind": "count"}, b={"kind": "count", "runs": ["a"]})
    assert statuses(left.value.result) == {"a": "done", "b": "blocked"}


def test_a_stage_that_takes_too_long_fails(tmp_path):
    with pytest.raises(CampaignError, match=r"a failed: it took longer than its timeout_s of 0\.3 s"):
        run(tmp_path, a={"kind": "count", "seconds": 5.0, "timeout_s": 0.3})


def test_a_changed_input_is_found_before_it_is_used(tmp_path):
    run(tmp_path, a={"kind": "count"})
    next(tmp_path.glob("out/*/numbers.json")).write_text("[]")
    message = r"a failed: .*numbers\.json changed since the result was committed; remove .* to make it again.*: b"
    with pytest.raises(CampaignError, match=message):
        run(tmp_path, a={"kind": "count"}, b={"kind": "count", "runs": ["a"], "seed": 5})
    with pytest.raises(CampaignError, match=r"a failed: .*numbers\.json changed"):
        run(tmp_path, a={"kind": "count"})


def test_what_a_stage_returns_after_it_was_told_to_stop_is_not_committed(tmp_path):
    store = Store(tmp_path)
    job = plan(recipe(a={"kind": "count"}), store)[0]
    with Lease(store.tmp) as lease:
        lease.revoke()
        outcome = run_stage(store, job, lease.path, "inline")
    assert outcome.status == "stopped"
    assert not store.has(job.key)


def test_one_command_is_a_stage_of_its_own_and_can_be_linked(tmp_path):
    link = tmp_path / "here" / "mine"
    result = run_command(KINDS["count"], Count(to=5), Store(tmp_path / "store"), out=link)
    assert result["run"] == str(link)
    assert result["bundle"] == str(tmp_path / "store" / "out" / result["key"] / "numbers.json")
    again = run_command(KINDS["count"], Count(to=5, runs=()), Store(tmp_path / "store"), out=link)
    assert again["cached"]
    follower = run_command(KINDS["count"], Count(runs=(str(link),)), Store(tmp_path / "elsewhere"))
    assert not follower["cached"]
    with pytest.raises(CampaignError, match="fail failed: no"):
        run_command(KINDS["fail"], Fail(message="no"), Store(tmp_path / "store"))
    with pytest.raises(ValueError, match="exists and is no link to a result"):
        run_command(KINDS["count"], Count(), Store(tmp_path / "store"), out=tmp_path)


def test_a_link_that_is_not_to_a_result_is_left_alone(tmp_path):
    for target in (tmp_path, tmp_path / "gone"):
        link = tmp_path / "link"
        link.symlink_to(target)
        with pytest.raises(ValueError, match=r"--out .*link exists and is no link to a result of .*store"):
            run_command(KINDS["count"], Count(), Store(tmp_path / "store"), out=link)
        assert link.readlink() == target
        link.unlink()
    link.symlink_to(tmp_path / "store" / "out" / "removed")
    assert run_command(KINDS["count"], Count(), Store(tmp_path / "store"), out=link)["run"] == str(link)


def test_reports_are_throttled_and_the_last_is_kept(tmp_path):
    stage = Stage(out=tmp_path, checkpoint=tmp_path)
    for step in range(1001):
        stage.report(step / 1000, score=step)
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["fraction"] for event in events] == [0.0, 1.0]


def test_a_lease_that_is_not_renewed_is_lost(tmp_path, monkeypatch):
    with Lease(tmp_path) as lease:
        view = LeaseView(lease.path)
        assert not view.lost()
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + LOST_AFTER + 1.0)
        assert view.lost()
        os.utime(lease.path)
        assert not view.lost()
    assert view.lost()
    assert not list(tmp_path.iterdir())


def test_a_lock_is_waited_for_until_the_stage_should_stop(tmp_path):
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        answers = iter([False, True])
        with exclusive(tmp_path / "lock", lambda: next(answers), period=0.01) as mine:
            assert not mine
    with exclusive(tmp_path / "lock", lambda: True) as mine:
        assert mine


def test_a_killed_driver_goes_on_from_its_checkpoint(tmp_path):
    path = write_recipe(tmp_path, "a: {kind: count, to: 8, seconds: 0.1}", "b: {kind: count, runs: [a]}")
    arguments = ("run", path, "--executor", "inline", "--store", tmp_path / "store")
    with command_line(*arguments) as first:
        wait_for(lambda: any(len(found) >= 3 for found in checkpoints(tmp_path / "store")))
        first.kill()
    counted = len(checkpoints(tmp_path / "store")[0])
    assert not list((tmp_path / "store" / "out").iterdir())
    with command_line(*arguments) as second:
        assert second.wait() == 0, second.stderr.read()
    pids = [pid for _, pid in numbers(tmp_path / "store")]
    assert pids[: counted - 1] == [first.pid] * (counted - 1)
    assert pids[-1] == second.pid
    assert len(pids) == 8
    assert not list((tmp_path / "store").glob("ckpt/*")), "nothing is left of a finished stage but its result"
    assert not list((tmp_path / "store").glob("tmp/*-*.*"))


def test_two_campaigns_at_once_run_a_stage_once(tmp_path):
    path = write_recipe(tmp_path, "a: {kind: count, to: 10, seconds: 0.1}")
    arguments = ("run", path, "--executor", "inline", "--store", tmp_path / "store")
    with command_line(*arguments) as one, command_line(*arguments) as two:
        assert (one.wait(), two.wait()) == (0, 0)
    assert len({pid for _, pid in numbers(tmp_path / "store")}) == 1


@pytest.mark.parametrize(("presses", "number"), [(1, signal.SIGINT), (2, signal.SIGINT), (1, signal.SIGTERM)])
def test_ctrl_c_exits_130_and_leaves_nothing_half_written(presses, number, tmp_path):
    seconds = 0.1 if presses == 1 else 30.0  # a stage that does not look needs the second
    path = write_recipe(tmp_path, f"a: {{kind: count, to: 600, seconds: {seconds}}}", "b: {kind: count}")
    store, output = tmp_path / "store", tmp_path / "out.json"
    with command_line("run", path, "--executor", "inline", "--store", store, "--json", output) as driver:
        wait_for(lambda: list(store.glob("ckpt/*/events.jsonl")))
        for _ in range(presses):
            time.sleep(0.3)
            os.killpg(driver.pid, number)
        assert driver.wait(timeout=10) == 130
        assert "interrupted; run it again to go on from the last checkpoint" in driver.stderr.read()
    envelope = json.loads(output.read_text())
    assert not envelope["ok"]
    assert statuses(envelope["result"]) == {"a": "stopped", "b": "stopped"}
    assert not list((store / "out").iterdir())
    assert not list((store / "tmp").iterdir())


def test_a_full_disk_is_a_clear_error_and_leaves_nothing_half_written(tmp_path):
    path = write_recipe(tmp_path, "a: {kind: fill, megabytes: 4}", "b: {kind: fill, megabytes: 1}")
    limit = 2 * 2**20  # the kernel refuses to let a file grow beyond it, as a full disk does
    arguments = ("run", path, "--executor", "inline", "--store", tmp_path / "store")
    restrict = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # noqa: E731
    with command_line(*arguments, preexec_fn=restrict) as driver:
        assert driver.wait() == 1
        said = driver.stderr.read()
    assert f"a failed: no room left to write in {tmp_path / 'store'} (File too large): free some space, or set" in said
    assert "Traceback" not in said
    results = [json.loads(path.read_text()) for path in (tmp_path / "store").glob("out/*/run.json")]
    assert [record["name"] for record in results] == ["b"]
    assert not list((tmp_path / "store").glob("tmp/*-*.*"))


def test_a_disk_that_is_full_at_the_commit_keeps_no_result_and_the_next_run_makes_it(tmp_path):
    store = Store(tmp_path)
    job = plan(recipe(a={"kind": "fill", "megabytes": 1}), store)[0]
    attempt = store.begin(job.key)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            store.commit(attempt, job.key, {"schema": 1, "text": "x" * 200})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not store.has(job.key)
    assert list(attempt.iterdir()) == []
    with Lease(store.tmp) as lease:
        assert run_stage(store, job, lease.path, "inline").status == "done"
