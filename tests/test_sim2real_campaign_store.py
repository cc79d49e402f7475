"""The store: a result is whole or absent, and can be named in several ways."""

import json
import multiprocessing
import os

import pytest

from sim2real.campaign.files import plain, write_json
from sim2real.campaign.store import Store
from tests.campaign_kinds import run


def begin(store, key, text):
    attempt = store.begin(key)
    (attempt / "file.txt").write_text(text)
    return attempt


def commit(root, name):
    store = Store(root)
    return store.commit(begin(store, "a" * 24, name), "a" * 24, {"schema": 1, "name": name})


def test_of_two_attempts_that_commit_the_first_wins_and_the_other_leaves_nothing(tmp_path):
    store, key = Store(tmp_path), "ab" * 12
    first, second = begin(store, key, "first"), begin(store, key, "second")
    assert store.commit(first, key, {"schema": 1})
    assert not store.commit(second, key, {"schema": 1})
    assert (store.out(key) / "file.txt").read_text() == "first"
    assert list(store.tmp.iterdir()) == []


def test_processes_that_race_to_commit_agree_on_one_result(tmp_path):
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        won = pool.starmap(commit, [(tmp_path, f"{index}") for index in range(12)])
    assert won.count(True) == 1
    winner = json.loads((tmp_path / "out" / ("a" * 24) / "run.json").read_text())
    assert (tmp_path / "out" / ("a" * 24) / "file.txt").read_text() == winner["name"] == str(won.index(True))


def test_a_result_is_named_by_folder_key_prefix_or_latest_stage(tmp_path):
    result = run(tmp_path, teacher={"kind": "count"}, other={"kind": "count", "seed": 1})
    key, other = (stage["key"] for stage in result["stages"])
    store = Store(tmp_path)
    for name in (str(tmp_path / "out" / key), str(tmp_path / "campaign" / "teacher"), key, key[:6], "latest:teacher"):
        assert store.find(name).key == key
    assert store.find("latest:count").key == other, "a kind names its newest result"
    with pytest.raises(LookupError, match=r"no stage 'techer' in the store .*, did you mean 'teacher'\?"):
        store.find("latest:techer")
    with pytest.raises(
        LookupError, match=r"no result 'abc': expected a folder with run\.json, a key .* zoo:NAME, or a bundle"
    ):
        store.find("abc")
    with pytest.raises(LookupError, match=r"expected one result in .* whose key starts with 000000; none does"):
        store.find("000000")
    with pytest.raises(LookupError, match=r"is a campaign, not a stage's result; name one of its stages: .*teacher"):
        store.find(str(tmp_path / "campaign"))


def test_a_stage_is_found_by_the_name_that_a_later_recipe_gave_it(tmp_path):
    run(tmp_path, teacher={"kind": "count"})
    result = run(tmp_path, name="second", renamed={"kind": "count"})
    assert result["stages"][0]["status"] == "cached"
    assert Store(tmp_path).find("latest:renamed").key == result["stages"][0]["key"]


@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_a_result_whose_files_changed_is_refused_with_the_file(damage, tmp_path):
    key = run(tmp_path, a={"kind": "count"})["stages"][0]["key"]
    path = tmp_path / "out" / key / "numbers.json"
    data = path.read_bytes()
    path.unlink() if damage == "remove" else path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(ValueError, match=r"numbers\.json (changed|is missing) since the result was committed; remove "):
        Store(tmp_path).find(key)


def test_run_json_says_what_was_run_on_what_and_where(tmp_path):
    run(tmp_path, a={"kind": "count"}, b={"kind": "count", "seed": 1, "runs": ["a"]})
    record = json.loads((tmp_path / "campaign" / "b" / "run.json").read_text())
    first = json.loads((tmp_path / "campaign" / "a" / "run.json").read_text())
    assert record["schema"] == 1
    assert (record["kind"], record["name"]) == ("count", "b")
    assert record["params"]["seed"] == 1
    assert record["inputs"] == {"runs": [first["key"]]}
    assert record["result"]["bundle"] == "numbers.json", "paths are relative to the result"
    assert set(record["files"]) == {"events.jsonl", "numbers.json", "report.html"}
    assert record["provenance"]["executor"] == "inline"
    assert record["provenance"]["host"]["cores"] >= 1
    assert record["provenance"]["versions"]["mujoco"]


def test_what_a_killed_attempt_left_is_swept_but_not_what_lives(tmp_path):
    store, key = Store(tmp_path), "cd" * 12
    alive = store.begin(key)
    dead = alive.with_name(alive.name.replace(f".{os.getpid()}.", ".4194305."))  # above the largest process id
    dead.mkdir()
    store.sweep(key)
    assert alive.exists()
    assert not dead.exists()


def test_the_store_must_be_a_folder(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match=r"the store must be a local folder, got 's3://bucket'"):
        Store.open("s3://bucket")
    monkeypatch.setenv("SIM2REAL_STORE", str(tmp_path))
    assert Store.open().root == tmp_path
    monkeypatch.delenv("SIM2REAL_STORE")
    monkeypatch.chdir(tmp_path)
    assert Store.open().root == tmp_path / "runs"


def test_json_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]
    assert plain({"a": float("inf"), "b": (1, None)}) == {"a": None, "b": [1, None]}
