"""The Ray executor: the same stages in worker processes, which may be killed."""

import json
import os
import signal
import time

import pytest

from sim2real.campaign.campaign import CampaignError
from sim2real.campaign.executor_ray import RayExecutor, token_file
from sim2real.campaign.graph import plan
from sim2real.campaign.store import Store
from tests.campaign_kinds import command_line, recipe, run, statuses, wait_for
from tests.ray_state import state_home

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Address of a private cluster, started as `sim2real run` starts it; its settings are gone afterwards."""
    environment = dict(os.environ)
    os.environ.pop("RAY_ADDRESS", None)
    os.environ["XDG_STATE_HOME"] = state_home().name
    executor = RayExecutor(Store(tmp_path_factory.mktemp("store")))
    executor.start()
    import ray

    yield ray.get_runtime_context().gcs_address
    executor.close()
    os.environ.clear()
    os.environ.update(environment)


def numbers(store, stage="a"):
    return json.loads((store / "campaign" / stage / "numbers.json").read_text())


def checkpoint(store):
    found = [json.loads(path.read_text()) for path in store.glob("ckpt/*/numbers.json")]
    return found[0] if found else []


def write_recipe(tmp_path, *stages):
    path = tmp_path / "recipe.yaml"
    path.write_text("\n".join(["name: campaign", "stages:", *(f"  {stage}" for stage in stages)]))
    return path


def test_the_cluster_asks_for_a_token_that_only_its_user_can_read(cluster):
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert os.environ["RAY_AUTH_TOKEN_PATH"] == str(token_file())
    assert token_file().stat().st_mode & 0o777 == 0o600
    assert len(token_file().read_text()) == 64


def test_a_failure_blocks_only_descendants_and_a_second_run_answers_from_the_store(cluster, tmp_path):
    stages = {
        "a": {"kind": "count"},
        "b": {"kind": "count", "runs": ["a"]},
        "f": {"kind": "fail", "run": "a"},
        "g": {"kind": "count", "runs": ["f", "b"]},
        "c": {"kind": "count", "seed": 2},
    }
    for expected in ("done", "cached"):
        with pytest.raises(CampaignError, match="f failed: out of luck") as failed:
            run(tmp_path, "ray", **stages)
        ended = statuses(failed.value.result)
        assert ended == {"a": expected, "b": expected, "c": expected, "f": "failed", "g": "blocked"}
    assert os.getpid() not in {pid for _, pid in numbers(tmp_path)}


def test_a_killed_worker_is_replaced_and_goes_on_from_its_checkpoint(cluster, tmp_path):
    result = run(tmp_path, "ray", a={"kind": "count", "to": 6, "die_at": 4})
    assert statuses(result) == {"a": "done"}
    pids = [pid for _, pid in numbers(tmp_path)]
    assert pids == [pids[0]] * 4 + [pids[-1]] * 2
    assert pids[0] != pids[-1]


def test_a_stage_whose_processes_keep_dying_fails(cluster, tmp_path):
    with pytest.raises(CampaignError, match=r"a failed: its process died \(killed, or out of memory\)"):
        run(tmp_path, "ray", a={"kind": "count", "die_at": 0, "retries": 0})


def test_a_stage_that_takes_too_long_is_killed(cluster, tmp_path):
    started = time.monotonic()
    with pytest.raises(CampaignError, match=r"a failed: it took longer than its timeout_s of 2 s"):
        run(tmp_path, "ray", a={"kind": "count", "seconds": 60.0, "timeout_s": 2})
    assert time.monotonic() - started < 10.0


def test_more_than_the_cluster_has_is_refused(cluster, tmp_path):
    with pytest.raises(ValueError, match=r"stage a asks for 999 CPUs of \d+"):
        run(tmp_path, "ray", a={"kind": "count", "resources": {"cpus": 999}})
    joined = RayExecutor(Store(tmp_path), address=cluster)
    job = plan(recipe(a={"kind": "count", "resources": {"memory_gb": 1e6}}), Store(tmp_path))[0]
    assert "1e+06 GB of memory of" in joined.capacity().lacking(job.resources)


def test_a_killed_driver_of_a_running_cluster_goes_on_in_the_next(cluster, tmp_path):
    path = write_recipe(tmp_path, "a: {kind: count, to: 12, seconds: 0.2}")
    store = tmp_path / "store"
    with command_line("run", path, "--address", cluster, "--store", store) as first:
        wait_for(lambda: len(checkpoint(store)) >= 3)
        first.kill()
    counted = len(checkpoint(store))
    with command_line("run", path, "--executor", "inline", "--store", store) as second:
        assert second.wait() == 0, second.stderr.read()
    pids = [pid for _, pid in numbers(store)]
    assert len(pids) == 12, "the orphan and its successor did not both count"
    assert pids[:counted] == [pids[0]] * counted


def test_ctrl_c_stops_workers_at_their_checkpoint_and_exits_130(cluster, tmp_path):
    path = write_recipe(tmp_path, "a: {kind: count, to: 600, seconds: 0.1}", "b: {kind: count, runs: [a]}")
    store = tmp_path / "store"
    with command_line("run", path, "--address", cluster, "--store", store) as driver:
        wait_for(lambda: len(checkpoint(store)) >= 2)
        os.killpg(driver.pid, signal.SIGINT)
        assert driver.wait(timeout=10) == 130
    record = json.loads((store / "campaign" / "run.json").read_text())
    assert statuses(record["result"]) == {"a": "stopped", "b": "stopped"}
    assert not list((store / "out").iterdir())
    assert not list((store / "tmp").iterdir())
