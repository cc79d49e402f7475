"""Recipes: every mistake in the file is found before anything runs, and named with what was meant."""

from pathlib import Path

import pytest

from sim2real.campaign.graph import chain_lengths, plan
from sim2real.campaign.recipe import load, locate
from sim2real.campaign.store import Store
from tests.campaign_kinds import KINDS, ROOT, recipe

LAUNCH = sorted(Path(ROOT, "launch").glob("*.yaml"))


@pytest.mark.parametrize("path", LAUNCH, ids=lambda path: path.stem)
def test_every_recipe_of_the_project_loads_and_has_a_plan(path, tmp_path):
    jobs = plan(load(path), Store(tmp_path))
    assert len({job.key for job in jobs}) == len(jobs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nmae: x\nstages: {}", r"recipe\.yaml: unknown key 'nmae', did you mean 'name'\?"),
        ("name: x", r"recipe\.yaml: missing stages"),
        ("name: x\nstages: {}", r"stages must name at least one stage"),
        ("name: out\nstages: {a: {kind: count}}", r"name must not be 'out'"),
        ("name: ../x\nstages: {a: {kind: count}}", r"a name must be letters.*got '\.\./x'"),
        ("name: x\nstages: {a: {to: 3}}", r"stages\.a: expected a mapping with a kind, one of count, fail"),
        ("name: x\nstages: {a: {kind: cuont}}", r"stages\.a: no kind 'cuont', did you mean 'count'\?"),
        ("name: x\nstages: {a: {kind: count, sede: 1}}", r"stages\.a: unknown key 'sede', did you mean 'seed'\?"),
        ("name: x\nstages: {a: {kind: count, retires: 1}}", r"unknown key 'retires', did you mean 'retries'\?"),
        (
            "name: x\nstages: {a: {kind: count, resources: {cpu: 1}}}",
            r"stages\.a\.resources: unknown key 'cpu', did you mean 'cpus'\?",
        ),
        ("name: x\nstages: {a: {kind: count, to: many}}", r"stages\.a\.to: expected a whole number, got 'many'"),
        ("name: x\nstages: {a: {kind: count, resources: {gpus: 1.5}}}", r"gpus must be a fraction below 1 or a whole"),
        ("name: x\nstages: {a: {kind: count, timeout_s: 0}}", r"timeout_s must be > 0 \[s\], got 0"),
        ("name: x\nstages: {a: {kind: count}, a: {kind: fail}}", r"the key 'a' occurs twice"),
        ("name: [x", r"recipe\.yaml: expected YAML, .* line 1"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_place_and_what_was_meant(text, message, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load(path, KINDS)


def test_anchors_and_merges_work(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("name: x\nstages:\n  a: &base {kind: count, to: 5}\n  b: {<<: *base, seed: 1}\n")
    assert load(path, KINDS).stages["b"].command.to == 5


def test_a_missing_reference_names_the_nearest_stage(tmp_path):
    wrong = recipe(teacher={"kind": "count"}, student={"kind": "count", "runs": ["techer"]})
    expected = r"campaign: stages\.student: no stage 'techer', did you mean 'teacher'\?; stages are teacher, student"
    with pytest.raises(LookupError, match=expected):
        plan(wrong, Store(tmp_path))


def test_a_circle_of_stages_is_shown(tmp_path):
    stages = {"a": ["c"], "b": ["a"], "c": ["b"], "d": ["c"]}
    circle = recipe(**{name: {"kind": "count", "runs": runs} for name, runs in stages.items()})
    with pytest.raises(ValueError, match=r"stages wait for each other in a circle: a -> c -> b -> a"):
        plan(circle, Store(tmp_path))


def test_stages_may_refer_forward_and_the_longest_chain_goes_first(tmp_path):
    stages = {"last": ["middle"], "alone": [], "middle": ["first"], "first": []}
    jobs = plan(recipe(**{name: {"kind": "count", "runs": runs} for name, runs in stages.items()}), Store(tmp_path))
    names = [job.name for job in jobs]
    assert names.index("first") < names.index("middle") < names.index("last")
    assert chain_lengths(jobs) == {"first": 3, "middle": 2, "last": 1, "alone": 1}


def test_a_recipe_that_does_not_exist_names_those_that_do(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert locate("quickstart") == Path("launch/quickstart.yaml")
    with pytest.raises(FileNotFoundError, match=r"no recipe 'quikstart', did you mean 'quickstart'\?; launch/ has "):
        locate("quikstart")
