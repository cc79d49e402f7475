"""Several ranks learn as one: they agree to the bit, share the budget, and survive the death of any of them."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import policies.training
from envs.state_dicts import without_prefix
from policies.collective import Alone, DriftedError, refuse_drift, told
from policies.files import checkpoint
from policies.normalizer import Normalizer
from policies.training import StoppedError
from sim2real import train_ddp
from sim2real.campaign.campaign import run_recipe
from sim2real.campaign.recipe import parse
from sim2real.campaign.resources import Resources
from sim2real.campaign.stage import Stage
from sim2real.campaign.store import Store
from sim2real.collective import PeerLostError
from sim2real.commands import Train
from sim2real.train_ddp import Ended
from tests import ranks
from tests.campaign_kinds import ROOT, wait_for
from tests.ranks import CHECKPOINT, ITERATION, KIND, a_training, in_processes
from tests.ray_state import state_home

STEPS = 4 * ITERATION
ROWS = torch.randn(40, 2, generator=torch.Generator().manual_seed(0)) * 3.0 + 1.0


@pytest.fixture(scope="module", autouse=True)
def _training_as_it_was():
    """`a_training` shortens the evaluations of its whole process, which here is that of all other tests too."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CURVE_EPISODES", "CURVE_SECONDS", "CHECKPOINT_SECONDS"):
            patch.setattr(policies.training, name, getattr(policies.training, name))
        yield


def tensors(file: Path) -> dict[str, torch.Tensor]:
    """What a checkpoint holds but for the global generators: they differ in fresh processes, and nobody draws there."""
    return {name: tensor for name, tensor in checkpoint.load(file)[0].items() if "globals." not in name}


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


# What a rank does, in processes of their own.


def averages(collective) -> dict:
    own = [torch.tensor([1.0, 2.0]) + 2 * collective.rank, torch.tensor([[4.0]]) * collective.rank]
    collective.average(own, "actor")
    scalar = torch.tensor(3.0 * collective.rank, dtype=torch.float64)
    collective.average([scalar], "control")
    gathered = collective.gather({"worlds": torch.tensor([collective.rank, 7], dtype=torch.int16)})
    return {
        "vector": own[0].tolist(),
        "matrix": own[1].tolist(),
        "scalar": (scalar.item(), str(scalar.dtype)),
        "told": told(collective, [1.5, 2.5, 3.5] if collective.rank == 0 else []),
        "gathered": [{name: value.tolist() for name, value in each.items()} for each in gathered],
    }


def moments(collective, rows: torch.Tensor) -> dict:
    normalizer = Normalizer(torch.zeros(2), torch.ones(2))
    for half in rows.chunk(2):
        normalizer.update(half.chunk(collective.size)[collective.rank], collective)
    return dict(normalizer.state_dict())


def drifts(collective) -> str:
    refuse_drift(collective, {"weight": torch.zeros(3)}, 100)
    with pytest.raises(DriftedError) as error:
        refuse_drift(collective, {"weight": torch.tensor([0.0, 0.0, 1e-30 * collective.rank])}, 200)
    return str(error.value)


def loses_a_peer(collective) -> None:
    if collective.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    collective.average([torch.zeros(1)], "critic")


def trains(collective, folder: Path, stop_after: int = 0) -> list:
    """Weights, steps, curve and progress of a whole training, with a break after some rollouts."""
    folder.mkdir(exist_ok=True)
    told = []
    if stop_after:
        asked = iter(range(100))
        stopped = a_training(folder / CHECKPOINT, STEPS, collective, should_stop=lambda: next(asked) >= stop_after)
        with pytest.raises(StoppedError):
            stopped.run()
    whole = a_training(folder / CHECKPOINT, STEPS, collective, report=lambda done, **_: told.append(done))
    whole.run()
    curve = [(point.env_steps, point.episode_scores) for point in whole.curve]
    return [dict(whole.ppo.policy.state_dict()), whole.ppo.num_timesteps, curve, told]


def all_of_it(collective, folder: Path) -> dict:
    return {
        "averages": averages(collective),
        "moments": moments(collective, ROWS),
        "drifted": drifts(collective),
        "straight": trains(collective, folder / "straight"),
        "resumed": trains(collective, folder / "resumed", stop_after=2),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """For what two ranks write."""
    return tmp_path_factory.mktemp("two")


@pytest.fixture(scope="module")
def two(folder):
    """What each of two ranks returned: processes are started once, they take seconds."""
    returned = in_processes(all_of_it, 2, folder / "processes", folder)
    assert all(isinstance(each, dict) for each in returned), returned
    return returned


def test_ranks_average_in_place_and_hear_what_the_first_says(two):
    first, second = (rank["averages"] for rank in two)
    for rank in (first, second):
        assert rank["vector"] == [2.0, 3.0]  # ([1, 2] + [3, 4]) / 2
        assert rank["matrix"] == [[2.0]]  # (0 + 4) / 2
        assert rank["scalar"] == (1.5, "torch.float64")  # (0 + 3) / 2
        assert rank["told"] == [1.5, 2.5, 3.5]
    assert first["gathered"] == [{"worlds": [0, 7]}, {"worlds": [1, 7]}]
    assert second["gathered"] == []


def test_a_normalizer_takes_in_the_rows_of_all_ranks_as_if_one_had_seen_them(two):
    alone = moments(Alone(), ROWS)
    for rank in two:
        assert rank["moments"]["count"] == 40
        torch.testing.assert_close(rank["moments"]["mean"], alone["mean"], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(rank["moments"]["std"], alone["std"], rtol=1e-5, atol=1e-6)


def test_learners_that_differ_in_one_bit_are_an_error_on_every_rank(two):
    for rank in two:
        assert rank["drifted"].startswith("after 200 steps the learners of 2 workers differ")


def test_a_rank_whose_peer_is_killed_says_so(tmp_path):
    survivor, killed = in_processes(loses_a_peer, 2, tmp_path)
    assert "PeerLostError: another worker of this training is gone" in survivor
    assert killed is None


def test_one_rank_of_a_group_of_one_trains_as_a_process_alone_bit_for_bit(tmp_path):
    weights, steps, curve, _ = trains(Alone(), tmp_path)
    (grouped,) = in_processes(trains, 1, tmp_path / "processes", tmp_path / "grouped")
    assert_equal(grouped[0], weights)
    assert (grouped[1], grouped[2]) == (steps, curve)
    assert_equal(tensors(tmp_path / "grouped" / CHECKPOINT), tensors(tmp_path / CHECKPOINT))


def test_ranks_share_the_budget_and_keep_equal_weights_in_different_worlds(two, folder):
    (weights, steps, *_), (other_weights, other_steps, *_) = (rank["straight"] for rank in two)
    assert_equal(weights, other_weights)
    assert steps == other_steps == STEPS  # 4 rollouts of 24 steps in 2 × 4 worlds, not 8 of them
    saved = tensors(folder / "straight" / CHECKPOINT)
    worlds = without_prefix("env", saved), without_prefix("rank1.env", saved)
    assert worlds[0].keys() == worlds[1].keys()
    assert not torch.equal(worlds[0]["physics.state"], worlds[1]["physics.state"])
    assert not torch.equal(saved["learner.generator"], saved["rank1.learner.generator"])
    assert not [name for name in saved if name.startswith("rank1.learner.policy")], "equal learners are kept once"


def test_the_first_rank_measures_the_curve_and_all_know_it(two):
    curve, other_curve = (rank["straight"][2] for rank in two)
    assert curve == other_curve
    assert [env_steps for env_steps, _ in curve] == [0, 2 * ITERATION, STEPS]


def test_ranks_that_were_stopped_go_on_as_if_they_had_not_been(two, folder):
    for rank in two:
        assert_equal(rank["resumed"][0], rank["straight"][0])
        assert rank["resumed"][2] == rank["straight"][2]
        assert rank["resumed"][3] == [0.5, 0.75], "it began again"
    assert_equal(tensors(folder / "resumed" / CHECKPOINT), tensors(folder / "straight" / CHECKPOINT))


def test_a_checkpoint_of_two_ranks_is_refused_by_one(two, folder):
    file = folder / "straight" / CHECKPOINT
    with pytest.raises(ValueError, match=r"is of another run: worlds must be 8, it has 4"):
        a_training(file, STEPS).run()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_envs": 256, "workers": 3}, "num_envs must be a multiple of workers.* got 256 for 3"),
        ({"num_envs": 2, "workers": 4}, "num_envs must be a multiple of workers.* got 2 for 4"),
        ({"workers": 0}, "workers must be >= 1, got 0"),
        ({"workers": 2, "algorithm": "sac"}, "workers must be 1 for sac, got 2"),
    ],
)
def test_workers_that_cannot_share_the_worlds_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Train(robot="go1", **given)


def test_a_stage_asks_for_the_resources_of_all_its_workers():
    assert Resources(cpus=2, memory_gb=1.5).times(4) == Resources(cpus=8, memory_gb=6.0)


def test_ray_keeps_for_each_rank_what_it_was_given(tmp_path):
    share = Stage(out=tmp_path, checkpoint=tmp_path, cpus=2, memory_gb=1.5)
    assert train_ddp._resources(share) == {"CPU": 2, "memory": 1_500_000_000}
    assert train_ddp._resources(replace(share, gpus=0.5, memory_gb=0.0)) == {"CPU": 2, "GPU": 0.5}


# On Ray.


def a_stage(folder: Path, cpus: int = 2) -> Stage:
    (folder / "out").mkdir()
    (folder / "checkpoint").mkdir()
    return Stage(out=folder / "out", checkpoint=folder / "checkpoint", cpus=cpus)


@pytest.fixture(scope="module")
def _cluster():
    """A private cluster for all tests, as a stage starts one for itself."""
    environment = dict(os.environ)
    os.environ.pop("RAY_ADDRESS", None)
    os.environ["XDG_STATE_HOME"] = state_home().name
    with train_ddp.cluster():
        yield
    os.environ.clear()
    os.environ.update(environment)


@pytest.mark.ray
@pytest.mark.usefixtures("_cluster")
def test_more_workers_than_the_cluster_has_cpus_for_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"4 workers need 1000 CPUs, 250 each, and the cluster has \d+; start fewer"):
        train_ddp.in_ranks(ranks.learn, Train(robot="go1", workers=4), a_stage(tmp_path, cpus=1000))


@pytest.mark.ray
@pytest.mark.usefixtures("_cluster")
def test_what_a_rank_raises_counts_and_a_dead_process_means_another_attempt():
    import ray

    lost, wrong = PeerLostError("another worker of this training is gone"), ValueError("steps must be more")
    died = ray.exceptions.ActorDiedError()
    assert train_ddp._ended({0: lost, 1: wrong}).error is wrong
    assert train_ddp._ended({0: lost, 1: died, 2: died}) == Ended(death="the process of worker 1, 2 died")
    assert train_ddp._ended({0: lost}) == Ended(death=str(lost))


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("_cluster")
def test_what_a_rank_raises_is_raised_where_the_stage_waits(tmp_path):
    with pytest.raises(ValueError, match="steps must be at least one rollout, 192 = 24 control steps of 8 worlds"):
        train_ddp.in_ranks(ranks.learn, Train(robot="go1", steps=8, num_envs=8, workers=2), a_stage(tmp_path))
    assert not (tmp_path / "checkpoint" / "events.jsonl").exists(), "it was tried again"


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("_cluster")
def test_a_killed_worker_of_a_stage_on_ray_costs_nothing_but_time(tmp_path, two, folder):
    small = {"steps": STEPS, "num_envs": 8, "workers": 2, "resources": {"cpus": 1, "memory_gb": 0.1}}
    stages = {"a": {"kind": "train", "robot": "go1", "seed": 1, **small}}
    recipe = parse({"name": "campaign", "stages": stages}, "recipe", {"train": KIND})
    (done,) = run_recipe(recipe, Store(tmp_path), "ray")["stages"]
    assert done["metrics"] == {"env_steps": STEPS, "workers": 2}
    out = Store(tmp_path).out(done["key"])
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert [event["reason"] for event in events if event["event"] == "restart"] == ["the process of worker 1 died"]
    assert_equal(tensors(out / CHECKPOINT), tensors(folder / "straight" / CHECKPOINT))


@pytest.mark.ray
def test_ctrl_c_stops_all_ranks_at_a_checkpoint_and_leaves_no_process(tmp_path):
    arguments = ["train", "--robot", "go1", "--steps", 10**8, "--num-envs", 8, "--workers", 2, "--store", tmp_path]
    command = [sys.executable, "-m", "tests.ranks", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            wait_for(lambda: list(tmp_path.glob(f"ckpt/*/{CHECKPOINT}")), seconds=200.0)
            pids = [int(file.read_text()) for file in tmp_path.glob("ckpt/*/pid-*")]
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(timeout=60) == 130, process.stderr.read()
        finally:
            process.kill()
    assert len(pids) == 2
    for pid in pids:
        wait_for(lambda pid=pid: not Path(f"/proc/{pid}").exists(), seconds=5.0)
    assert not list((tmp_path / "out").iterdir())
