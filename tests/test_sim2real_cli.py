"""The command line: arguments from the dataclasses, exit codes, the machine-readable output, nothing heavy in vain."""

import dataclasses
import inspect
import json
import os
import re
import subprocess
import sys
import typing

import pytest

from sim2real import api, cli, commands
from tests.campaign_kinds import KINDS, ROOT

HEAVY = ("torch", "ray", "mujoco", "stable_baselines3", "gymnasium", "rich")


@pytest.fixture
def main(monkeypatch, tmp_path, capsys):
    """`sim2real` in this process, with the small kinds, on a store of its own; returns exit code, output and errors."""
    monkeypatch.setenv("SIM2REAL_STORE", str(tmp_path / "store"))
    for name, kind in KINDS.items():
        monkeypatch.setitem(commands.KINDS, name, kind)

    def run(*arguments):
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as left:
            code = left.code
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("name: campaign\nstages:\n  a: {kind: count}\n  b: {kind: count, runs: [a]}\n")
    return path


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_command_is_a_function_of_the_api_with_the_same_arguments(name):
    command, function = commands.COMMANDS[name], getattr(api, name.replace("-", "_"))
    parameters = inspect.signature(function).parameters
    hints = typing.get_type_hints(function)
    for field in dataclasses.fields(command):
        default = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
        assert parameters[field.name].default == default, field.name
        assert hints[field.name] == typing.get_type_hints(command)[field.name], field.name
    assert set(parameters) - {field.name for field in dataclasses.fields(command)} <= {"store", "out", "progress"}


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_argument_has_a_help_text(name, main):
    code, out, _ = main(name, "--help")
    assert code == 0
    text = " ".join(out.split())
    for field in dataclasses.fields(commands.COMMANDS[name]):
        documented = cli._field_docstrings()[commands.COMMANDS[name].__name__][field.name]
        assert " ".join(documented.split()) in text


def test_arguments_are_read_by_their_types():
    given = vars(cli.parser().parse_args(["train", "--robot", "go1", "--steps", "1_000", "--privileged"]))
    assert (given["robot"], given["steps"], given["privileged"]) == ("go1", 1000, True)
    assert "seed" not in given, "defaults are the dataclass's"
    assert vars(cli.parser().parse_args(["report", "a", "b", "--no-video"]))["runs"] == ["a", "b"]
    assert vars(cli.parser().parse_args(["transfer", "a", "--to", "h1"]))["run"] == "a"
    assert vars(cli.parser().parse_args(["transfer", "a", "--to", "h1", "--task", "velocity"]))["task"] == "velocity"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--robot", "go11"), r"sim2real train: no robot named 'go11'; there are .*go1"),
        (("train", "--robot", "go1", "--task", "wlak"), r"sim2real train: no task named 'wlak'.*tasks are .*velocity"),
        (("train", "--robot", "go1", "--steps", "0"), r"sim2real train: train: steps must be >= 1, got 0"),
        (("train", "--robot", "go1", "--seed", "x"), r"sim2real train: argument --seed: invalid int value: 'x'; see "),
        (("train",), r"sim2real train: the following arguments are required: --robot; see sim2real train --help"),
        (
            ("transfer", "x", "--to", "go1", "--strategy", "no"),
            r"argument --strategy: invalid choice: 'no' \(choose from '?finetune'?, '?zero_shot'?\); see ",
        ),
        (("evaluate", "latest:teacher"), r"sim2real evaluate: no stage 'teacher' in the store .*; the store is empty"),
        (("run", "no.yaml"), r"sim2real run: no recipe 'no\.yaml'"),
        (("inspect", "nothing"), r"sim2real inspect: no result 'nothing': expected a folder with run\.json"),
        (("inspect", "gone.s2r"), r"sim2real inspect: no file 'gone\.s2r' in "),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, message, main):
    code, out, err = main(*arguments)
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert re.search(message, err), err


def test_a_campaign_prints_where_its_result_is_and_tells_machines_more(main, recipe, tmp_path):
    for status in ("done", "cached"):
        code, out, _ = main("run", recipe, "--executor", "inline", "--json", tmp_path / "out.json")
        assert code == 0
        assert out.splitlines()[0].startswith(f"2 stages: 2 {status}, in ")
        assert f"result: {tmp_path}/store/campaign/run.json" in out
        envelope = json.loads((tmp_path / "out.json").read_text())
        assert (envelope["schema"], envelope["command"], envelope["ok"]) == (1, "run", True)
        assert set(envelope["result"]) >= {"seconds", "report", "stages"}
        assert set(envelope["result"]["stages"][0]) == {"name", "kind", "key", "status", "seconds", "metrics"}
        assert [stage["status"] for stage in envelope["result"]["stages"]] == [status] * 2
        assert envelope["provenance"]["versions"]["sim2real"]


def test_a_failed_stage_is_exit_code_1_with_a_traceback_only_on_request(main, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("name: campaign\nstages:\n  a: {kind: fail, message: no luck}\n")
    code, _, err = main("run", path, "--executor", "inline", "--json", tmp_path / "out.json")
    assert code == 1
    assert err.splitlines()[-1].startswith("sim2real run: a failed: no luck (traceback: ")
    assert "Traceback" not in err
    envelope = json.loads((tmp_path / "out.json").read_text())
    assert not envelope["ok"]
    assert envelope["error"]["message"].startswith("a failed: no luck")
    assert envelope["result"]["stages"][0]["status"] == "failed"
    assert "Traceback" in main("run", path, "--executor", "inline", "--debug")[2]


def test_a_refusal_is_exit_code_3_and_ok_unless_a_later_stage_needed_more(main, tmp_path):
    output, path = tmp_path / "out.json", tmp_path / "recipe.yaml"
    teacher = api.train(robot="go1", steps=24 * 8, num_envs=8, privileged=True)["key"]
    path.write_text(f"name: campaign\nstages:\n  e: {{kind: export, run: {teacher}}}\n")
    for arguments in (("export", teacher), ("run", path, "--executor", "inline")):
        code, out, _ = main(*arguments, "--json", output)
        envelope = json.loads(output.read_text())
        assert (code, envelope["ok"], envelope["refused"]) == (3, True, True)
        assert "the policy reads base_velocity" in out
    with path.open("a") as file:
        file.write("  r: {kind: rehearse, run: e}\n")
    assert main("run", path, "--executor", "inline", "--json", output)[0] == 1
    envelope = json.loads(output.read_text())
    assert (envelope["ok"], envelope["refused"]) == (False, False)


def test_a_reader_that_leaves_early_changes_neither_exit_code_nor_json(tmp_path):
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "sim2real.cli", "doctor", "--store", tmp_path / "file" / "store"]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing) as gone:
        done = subprocess.run(
            [*command, "--json", tmp_path / "out.json"], cwd=ROOT, stdout=gone, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr) == (1, "")
    assert not json.loads((tmp_path / "out.json").read_text())["ok"]


def test_a_campaign_records_the_executor_it_had(main, recipe, tmp_path):
    main("run", recipe, "--executor", "inline", "--json", tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text())["provenance"]["executor"] == "inline"
    main("run", recipe, "--json", tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text())["provenance"]["executor"] == "ray"


def test_an_infeasible_campaign_is_exit_code_2(main, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("name: campaign\nstages:\n  a: {kind: count, resources: {cpus: 999}}\n")
    for executor in ("inline", "ray"):
        code, _, err = main("run", path, "--executor", executor)
        assert code == 2
        assert "stage a asks for 999 CPUs of" in err


def test_a_cluster_that_does_not_answer_is_named(main, recipe):
    code, _, err = main("run", recipe, "--address", "127.0.0.1:1")
    assert code == 1
    assert "sim2real run: no Ray cluster answers at 127.0.0.1:1 (" in err


def test_json_into_a_folder_that_does_not_exist_is_refused_first(main, recipe, tmp_path):
    code, _, err = main("run", recipe, "--json", tmp_path / "no" / "out.json")
    assert code == 2
    assert "there is no folder" in err
    assert not (tmp_path / "store").exists()


def test_inspect_shows_results_recipes_and_campaigns(main, recipe, tmp_path):
    main("run", recipe, "--executor", "inline")
    for file, what in ((recipe, "recipe"), (tmp_path / "store/campaign", "campaign"), ("latest:a", "result")):
        code, out, _ = main("inspect", file)
        assert (code, json.loads(out)["what"]) == (0, what)


def test_robots_and_tasks_are_listed_with_their_units(main):
    out = main("robots")[1]
    assert out.splitlines()[0].split() == ["robot", "kind", "joints", "mass", "[kg]", "L", "[m]"]
    assert any(line.split()[:3] == ["go1", "quadruped", "12"] for line in out.splitlines())
    assert "velocity" in main("tasks")[1].splitlines()


def imported(*arguments, store):
    """Heavy modules that a command imports, and its exit code."""
    script = (
        "import sys; from sim2real import cli, commands; from tests.campaign_kinds import KINDS; "
        f"commands.KINDS.update(KINDS); code = cli.main({[str(argument) for argument in arguments]!r}); "
        f"print(code, *(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)"
    )
    environment = {"PATH": "/usr/bin:/bin", "SIM2REAL_STORE": str(store)}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    code, *modules = done.stderr.splitlines()[-1].split()
    return int(code), modules


def test_a_finished_campaign_and_the_light_commands_import_nothing_heavy(main, recipe, tmp_path):
    main("run", recipe, "--executor", "inline")
    store = tmp_path / "store"
    assert imported("run", recipe, "--executor", "ray", store=store) == (0, [])
    assert imported("train", "--robot", "nobody", store=store) == (2, [])
    assert imported("robots", store=store) == (0, [])
    assert imported("tasks", store=store) == (0, [])
    assert imported("inspect", "latest:a", store=store) == (0, [])
