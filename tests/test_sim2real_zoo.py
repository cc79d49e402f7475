"""From a recipe to the zoo and back: one command adds a skill, every RUN may name it."""

import json
import subprocess
import sys

import pytest
import yaml

import policies.zoo.add
from policies import keys, zoo
from policies.bundle import read
from policies.zoo.add import add
from sim2real import api, cli
from sim2real.campaign.graph import plan
from sim2real.campaign.recipe import load, locate
from sim2real.campaign.store import Store
from tests.campaign_kinds import ROOT
from tests.small_stages import small_stages

NUM_ENVS = 8
ITERATION = 24 * NUM_ENVS


@pytest.fixture(scope="module", autouse=True)
def _small():
    with small_stages(NUM_ENVS):
        yield


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """A recipe with a training and its export, run to its end; the campaign's folder."""
    folder = tmp_path_factory.mktemp("zoo")
    train = {"kind": "train", "robot": "go1", "steps": ITERATION, "num_envs": NUM_ENVS}
    stages = {"walker": train, "exported": {"kind": "export", "run": "walker"}}
    (folder / "zoo_small.yaml").write_text(yaml.safe_dump({"name": "zoo_small", "stages": stages}))
    api.run(recipe=str(folder / "zoo_small.yaml"), executor="inline", store=folder / "runs")
    return folder / "runs" / "zoo_small"


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    path = tmp_path_factory.mktemp("key") / "zoo.pem"
    keys.generate(path)
    return path


@pytest.fixture
def place(tmp_path, key, monkeypatch):
    """A zoo of its own, which trusts the key."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "zoo.pub").write_bytes(key.with_name("zoo.pem.pub").read_bytes())
    monkeypatch.setattr(keys, "ZOO_KEYS", tmp_path / "keys")
    for function in (zoo.names, zoo.bundle_path, zoo.card, zoo.summary):
        monkeypatch.setattr(function, "__defaults__", (tmp_path,))
    return tmp_path


def test_one_command_makes_a_recipes_result_a_skill_of_the_zoo(campaign, key, place):
    card = add(campaign, "small", key, place)
    zoo.verify(place / "small.s2r")
    assert zoo.names() == ["small"]
    assert json.loads((place / "small.json").read_text()) == card == zoo.card("small")
    assert card["digest"] == read(place / "small.s2r").digest
    assert (card["recipe"], card["robot"], card["control_hz"]) == ("zoo_small", "go1", 50.0)
    assert card["scores"]["score_ci"][0] <= card["scores"]["score"] <= card["scores"]["score_ci"][1]
    assert card["env_steps"] == ITERATION
    assert [(point["stage"], point["env_steps"]) for point in card["curve"]] == [("walker", 0), ("walker", ITERATION)]


def test_a_skill_of_the_zoo_is_a_run(campaign, key, place, tmp_path):
    add(campaign, "small", key, place)
    store = tmp_path / "store"
    found = Store(store).find("zoo:small")
    assert found.key == Store(store).find(str(place / "small.s2r")).key
    assert Store(store).find("latest:zoo:small").key == found.key
    assert api.evaluate(run="zoo:small", episodes=4, store=store)["robot"] == "go1"
    trained = api.train(robot="go1", from_="zoo:small", steps=ITERATION, num_envs=NUM_ENVS, store=store)
    assert trained["curve"][0]["env_steps"] == 0
    told = api.inspect(file="zoo:small", store=store)
    assert (told["what"], told["digest"]) == ("skill of the zoo", zoo.card("small")["digest"])


def test_a_skill_that_was_changed_is_not_used(campaign, key, place, tmp_path):
    add(campaign, "small", key, place)
    data = bytearray((place / "small.s2r").read_bytes())
    data[len(data) // 2] ^= 1
    (place / "small.s2r").write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"small\.s2r"):
        Store(tmp_path / "store").find("zoo:small")


def test_a_skill_signed_by_a_stranger_is_not_used(campaign, place, tmp_path):
    keys.generate(tmp_path / "stranger.pem")
    add(campaign, "small", tmp_path / "stranger.pem", place)
    with pytest.raises(ValueError, match="must be signed by a trusted key"):
        Store(tmp_path / "store").find("zoo:small")


def test_a_skill_that_is_too_large_is_refused_and_leaves_nothing(campaign, key, place, monkeypatch):
    monkeypatch.setattr(zoo, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match=r"has <= 1000 bytes, got \d+: distil smaller"):
        add(campaign, "small", key, place)
    assert list(place.glob("*small*")) == []


def test_a_skill_whose_card_cannot_be_written_is_not_put_in_place_of_the_older_one(campaign, key, place, monkeypatch):
    add(campaign, "small", key, place)
    before = {path.name: path.read_bytes() for path in place.glob("small.*")}
    other = key.with_name("other.pem")
    keys.generate(other)
    monkeypatch.setitem(policies.zoo.add.card.__globals__, "LICENCE", float("nan"))  # which JSON does not know
    with pytest.raises(ValueError, match="not JSON compliant"):
        add(campaign, "small", other, place)
    assert {path.name: path.read_bytes() for path in place.glob("*small*")} == before


def test_only_a_campaign_with_a_bundle_is_taken(campaign, key, place, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"name the folder, with run\.json, that `sim2real run`"):
        add(tmp_path / "nothing", "small", key, place)
    with pytest.raises(ValueError, match="is a stage's result, no campaign"):
        add(campaign / "walker", "small", key, place)


def test_the_command_says_what_it_added_or_why_not(campaign, key, place, capsys, monkeypatch):
    monkeypatch.setattr(add, "__defaults__", (place,))
    assert policies.zoo.add.main([str(campaign), "--name", "small", "--key", str(key)]) == 0
    assert capsys.readouterr().out.startswith("zoo:small: go1, score 0.")
    assert policies.zoo.add.main([str(place), "--name", "small", "--key", str(key)]) == 2
    assert "no campaign" in capsys.readouterr().err


def test_the_zoo_is_listed(campaign, key, place, capsys):
    add(campaign, "small", key, place)
    assert [row["name"] for row in api.zoo()["skills"]] == ["small"]
    assert cli.main(["zoo"]) == 0
    assert "small            go1          velocity         0." in capsys.readouterr().out


def test_listing_the_zoo_imports_nothing_heavy(tmp_path):
    code = (
        "import sys; from sim2real import api; api.zoo(); "
        "print([name for name in ('torch', 'ray', 'mujoco') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", zoo.names())
def test_the_recipe_of_every_skill_is_there_and_has_a_plan(name, tmp_path):
    card = zoo.card(name)
    jobs = plan(load(locate(card["recipe"])), Store(tmp_path))
    assert any(job.kind.name == "export" for job in jobs)
    assert {point["stage"] for point in card["curve"]} <= {job.name for job in jobs}
