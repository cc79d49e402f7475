"""`train --from` and `--algorithm`, end to end with tiny budgets: their start, their key, what is refused."""

import json
import re
from pathlib import Path

import pytest
from test_policies_ppo import Immediately

import policies.off_policy.algorithms
import policies.ppo
from policies.bundle import read
from policies.off_policy.algorithms import Settings
from policies.skill import load_skill
from sim2real import api, cli, commands
from sim2real.campaign.campaign import CampaignError
from sim2real.campaign.graph import plan
from sim2real.campaign.keys import params, runs
from sim2real.campaign.recipe import parse
from sim2real.campaign.store import Store
from tests.small_stages import small_stages

NUM_ENVS = 8
ITERATION = 24 * NUM_ENVS
"""Environment steps of a rollout."""


@pytest.fixture(scope="module", autouse=True)
def _small():
    with small_stages(NUM_ENVS) as patch:
        patch.setattr(policies.ppo, "ThreadPoolExecutor", Immediately)
        few = Settings(warm_up=2, batch_size=16, updates=0.02)
        patch.setitem(policies.off_policy.algorithms._OffPolicy.__init__.__kwdefaults__, "settings", few)
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("store")


def a_training(store: Path, **changes):
    given = {"robot": "go1", "steps": ITERATION, "num_envs": NUM_ENVS, "store": store}
    return api.train(**given | changes)


@pytest.fixture(scope="module")
def trained(store):
    """A deployable policy with its critic and its bundle."""
    return a_training(store)


def first_score(result) -> float:
    assert result["curve"][0]["env_steps"] == 0
    return result["curve"][0]["score"]


def test_a_training_goes_on_where_another_one_ended(store, trained):
    going_on = a_training(store, from_=trained["run"], steps=2 * ITERATION)
    assert first_score(going_on) == trained["curve"][-1]["score"]
    assert going_on["env_steps"] == 2 * ITERATION
    assert load_skill(Path(going_on["run"], "skill.safetensors")).card.env_steps == 2 * ITERATION


def test_a_training_begins_with_what_a_bundle_holds(store, trained):
    begun = a_training(store, from_=trained["bundle"])
    assert first_score(begun) == pytest.approx(trained["curve"][-1]["score"], abs=1e-5)


def test_a_bundle_is_a_result_wherever_one_is_asked_for(store, trained):
    own = api.evaluate(run=trained["run"], episodes=4, store=store)
    other = api.evaluate(run=trained["bundle"], episodes=4, store=store)
    assert other["score"] == pytest.approx(own["score"], abs=1e-6)
    exported = api.export(run=trained["bundle"], store=store)
    weights, source = read(Path(exported["bundle"])).weights, read(Path(trained["bundle"])).weights
    assert all((weights[name] == value).all() for name, value in source.items())
    assert read(Path(exported["bundle"])).contract.differences(read(Path(trained["bundle"])).contract) == []
    told = api.inspect(file=str(Path(exported["run"]) / "policy.s2r"), store=store)
    assert told["what"] == "bundle"


def test_a_bundle_that_moves_keeps_its_key(store, trained, tmp_path):
    moved = tmp_path / "moved.s2r"
    moved.write_bytes(Path(trained["bundle"]).read_bytes())
    keys = {Store(store).find(str(path)).key for path in (moved, trained["bundle"])}
    assert len(keys) == 1


def test_what_needs_a_critic_refuses_a_bundle(store, trained):
    with pytest.raises(CampaignError, match=r"holds no policy\.safetensors: transfer starts from .* whose critic"):
        api.transfer(run=trained["bundle"], to="anymal_c", budget=ITERATION, store=store)


def test_a_source_counts_by_its_key_and_an_archive_by_its_content(store, trained, tmp_path):
    def keys(**given):
        recipe = parse({"name": "c", "stages": {"a": {"kind": "train", "robot": "go1", **given}}}, "recipe")
        return plan(recipe, Store(store))[0].key

    by_folder, by_key = keys(**{"from": trained["run"]}), keys(**{"from": trained["key"]})
    assert by_folder == by_key != keys()
    archive = tmp_path / "policy.zip"
    archive.write_bytes(b"one")
    before = keys(**{"from": str(archive)})
    archive.rename(tmp_path / "other.zip")
    assert keys(**{"from": str(tmp_path / "other.zip")}) == before
    (tmp_path / "other.zip").write_bytes(b"two")
    changed = keys(**{"from": str(tmp_path / "other.zip")})
    assert changed != before
    (tmp_path / "other_vecnormalize.pkl").write_bytes(b"statistics")
    beside = keys(**{"from": str(tmp_path / "other.zip")})
    assert beside != changed
    (tmp_path / "other_vecnormalize.pkl").write_bytes(b"other statistics")
    assert keys(**{"from": str(tmp_path / "other.zip")}) != beside
    command = commands.Train(robot="go1", from_=str(archive))
    assert runs(command) == {}
    assert params(command)["from_"] == str(archive)
    assert "from_" not in params(commands.Train(robot="go1", from_="latest:train"))


def test_in_a_recipe_from_names_another_stage(store):
    stages = {"a": {"kind": "train", "robot": "go1"}, "b": {"kind": "train", "robot": "go1", "from": "a"}}
    jobs = {job.name: job for job in plan(parse({"name": "c", "stages": stages}, "recipe"), Store(store))}
    assert jobs["b"].after == {"a"}
    assert jobs["b"].input_keys == {"from_": jobs["a"].key}


def test_the_option_is_called_from():
    given = vars(cli.parser().parse_args(["train", "--robot", "go1", "--from", "zoo:go1", "--algorithm", "sac"]))
    assert (given["from_"], given["algorithm"]) == ("zoo:go1", "sac")


def test_a_start_that_does_not_fit_is_refused_as_bad_input(store, trained):
    for changes, message in (
        ({"privileged": True}, r"train \([0-9a-f]{8}\) reads \d+ channels .*; leave out --privileged"),
        ({"robot": "g1"}, r"the legs of the joints differ: go1 has 12 joints .*, g1 has"),
        ({"from_": "zoo:wolf"}, r"no skill 'wolf' in the zoo"),
        ({"from_": "gone.s2r"}, r"no bundle 'gone\.s2r' in "),
        ({"from_": "gone.zip"}, r"from: no file 'gone\.zip' in "),
    ):
        with pytest.raises((CampaignError, LookupError, FileNotFoundError), match=message) as refused:
            a_training(store, **{"from_": trained["run"]} | changes)
        assert getattr(refused.value, "bad_input", True)


def test_an_archive_is_not_opened_unasked(store, tmp_path):
    archive = tmp_path / "policy.zip"
    archive.write_bytes(b"PK")
    with pytest.raises(CampaignError, match=r"policy\.zip is a Stable-Baselines3 zip.*--unsafe-import"):
        a_training(store, from_=str(archive))


@pytest.mark.parametrize("algorithm", ["sac", "tqc"])
def test_few_steps_of_sac_and_tqc_give_a_skill_like_any_other(algorithm, store, trained):
    result = a_training(store, algorithm=algorithm, from_=trained["run"], steps=40)
    assert (result["algorithm"], result["env_steps"], result["worlds"]) == (algorithm, 40, 1)
    assert first_score(result) == pytest.approx(trained["curve"][-1]["score"], abs=1e-5)
    read(Path(result["bundle"]))
    kept = {path.name for path in Path(result["run"]).iterdir()}
    assert kept == {"run.json", "events.jsonl", "skill.safetensors", "randomization.parquet", "policy.s2r"}
    json.dumps({name: value for name, value in result.items() if name != "run"}, allow_nan=False)
    again = a_training(store, from_=result["run"])
    assert first_score(again) == pytest.approx(result["curve"][-1]["score"], abs=1e-5)


def test_worlds_beyond_one_in_a_thousand_steps_are_left_out(store):
    assert a_training(store, algorithm="sac", steps=2000, num_envs=2)["worlds"] == 2


def test_a_file_of_ppos_hyperparameters_is_refused_by_sac(store, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("num_epochs: 2\n")
    with pytest.raises(CampaignError, match=re.escape("hyperparameters must be 'tuned' for sac")):
        a_training(store, algorithm="sac", steps=40, hyperparameters=str(file))
