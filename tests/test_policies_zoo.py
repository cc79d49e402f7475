"""The zoo: every skill in it keeps what its card promises."""

import json
from pathlib import Path

import pytest

import envs.tasks
import robots
from policies import zoo
from policies.bundle import BundleError, read
from policies.bundled import skill_of_bundle
from policies.evaluation import evaluate
from policies.keys import ZOO_KEYS
from policies.threads import one_torch_thread
from tests.deploy_bundles import busy_weights, contract, write

one_torch_thread()
EPISODES, SLACK = 32, 0.05
"""Of the short evaluation here, and how far it may lie outside of the card's interval."""


@pytest.fixture(scope="module", params=zoo.names())
def entry(request):
    """Name, bundle and card of a skill."""
    return request.param, read(zoo.bundle_path(request.param)), zoo.card(request.param)


def test_the_zoo_holds_a_go1():
    assert "go1" in zoo.names()


def test_a_skill_is_small_signed_and_the_one_its_card_tells_of(entry):
    name, bundle, card = entry
    zoo.verify(zoo.bundle_path(name))
    assert zoo.bundle_path(name).stat().st_size == card["bytes"] <= zoo.MAX_BYTES == 300_000
    assert (card["name"], card["digest"], card["licence"]) == (name, bundle.digest, "Apache-2.0")


def test_its_robot_is_the_one_of_today(entry):
    _, bundle, card = entry
    spec = robots.get(card["robot"])
    bundle.contract.check_robot(spec)
    assert card["model_hash"] == spec.model_hash
    assert card["control_hz"] == pytest.approx(spec.control_hz)
    assert card["units"]["length"] == pytest.approx(spec.length)
    assert sum(card["contract"]["observations"].values()) == bundle.contract.frame_width
    assert not bundle.contract.unmeasurable


def test_its_learning_is_on_record(entry):
    _, _, card = entry
    scores = [point["score"] for point in card["curve"] if "score" in point]
    assert len(scores) >= 3
    assert all(point["stage"] and point["env_steps"] >= 0 for point in card["curve"])
    assert card["env_steps"] > 0
    assert card["commands"][0] == f"sim2real run launch/{card['recipe']}.yaml"


def test_it_scores_what_its_card_says(entry):
    _, bundle, card = entry
    spec, task = robots.get(card["robot"]), envs.tasks.get(card["task"])
    measured = evaluate(spec, task, skill_of_bundle(bundle).player(), episodes=EPISODES, num_threads=1)
    low, high = card["scores"]["score_ci"]
    assert low - SLACK <= measured.score <= high + SLACK


def test_nothing_but_bundles_cards_and_public_keys_is_in_the_folder():
    files = {path.relative_to(zoo.FOLDER).as_posix() for path in zoo.FOLDER.rglob("*") if path.is_file()}
    files = {name for name in files if "__pycache__" not in name} - {"__init__.py", "add.py"}
    expected = {f"{name}.{ending}" for name in zoo.names() for ending in ("s2r", "json")}
    keys = {path.relative_to(zoo.FOLDER).as_posix() for path in ZOO_KEYS.glob("*.pub")}
    assert files == expected | keys
    assert all("PRIVATE" not in path.read_text() for path in ZOO_KEYS.glob("*"))


def test_an_unknown_skill_is_refused_with_what_there_is(tmp_path):
    for name in ("go1", "go2"):
        (tmp_path / f"{name}.s2r").touch()
    with pytest.raises(LookupError, match=r"no skill 'go3' in the zoo, did you mean 'go\d'\?; there are go1, go2\."):
        zoo.bundle_path("go3", tmp_path)
    with pytest.raises(LookupError, match="there are none"):
        zoo.card("go1", Path(tmp_path, "empty"))


def test_a_bundle_without_the_zoos_signature_is_refused(tmp_path):
    path = write(tmp_path / "mine.s2r", contract(), busy_weights(contract()))
    with pytest.raises(BundleError, match="must be signed by a trusted key"):
        zoo.verify(path)


def test_a_row_of_the_list_comes_from_the_card(tmp_path):
    (tmp_path / "go1.s2r").touch()
    card = {"name": "go1", "robot": "go1", "task": "velocity", "digest": "ab", "bytes": 5, "recipe": "zoo_go1", "x": 1}
    (tmp_path / "go1.json").write_text(json.dumps(card | {"scores": {"score": 0.9, "score_ci": [0.8, 0.95]}}))
    row = zoo.summary("go1", tmp_path)
    assert (row["score"], row["score_ci"], row["bytes"]) == (0.9, [0.8, 0.95], 5)
    assert "x" not in row
