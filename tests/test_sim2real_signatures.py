"""`sim2real keygen` and `sign`, and what `inspect` and `rehearse` make of a signature."""

import json
import re
import shutil

import deploy_bundles
import pytest

from policies import keys
from policies.bundle import BundleError
from sim2real import api, cli
from sim2real.campaign.stage import Stage
from sim2real.commands import Rehearse
from sim2real.signatures import KEY_VARIABLE
from sim2real.stages.rehearse import rehearse

CONTRACT = deploy_bundles.contract("go1")


@pytest.fixture(autouse=True)
def trusted(tmp_path, monkeypatch):
    folder = tmp_path / "trusted"
    folder.mkdir()
    monkeypatch.setenv(keys.FOLDER_VARIABLE, str(folder))
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def bundle(tmp_path):
    return deploy_bundles.write(tmp_path / "policy.s2r", CONTRACT, deploy_bundles.standing_weights(CONTRACT), score=0.5)


def said(capsys, *arguments) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def test_from_a_new_key_to_a_bundle_that_is_trusted(bundle, trusted, capsys):
    code, out, _ = said(capsys, "keygen", "our.key")
    assert code == 0
    name = re.match(r"key ([0-9a-f]{32})\nprivate, keep it secret: our\.key\npublic: our\.key\.pub; to trust it", out)[
        1
    ]
    assert api.inspect(file="policy.s2r")["signature"] is None
    assert (
        f"signed by key {name}, not trusted here: policy.s2r"
        in said(capsys, "sign", bundle.name, "--key", "our.key")[1]
    )
    assert api.inspect(file="policy.s2r")["signature"] == {"key": name, "trusted": False, "trusted_as": None}
    shutil.copy("our.key.pub", trusted / "us.pub")
    code, out, _ = said(capsys, "inspect", "policy.s2r")
    assert json.loads(out)["signature"] == {"key": name, "trusted": True, "trusted_as": "us"}


def test_the_key_may_come_from_the_environment_and_the_signed_bundle_go_elsewhere(bundle, monkeypatch):
    before = bundle.read_bytes()
    name = api.keygen(file="our.key")["key"]
    monkeypatch.setenv(KEY_VARIABLE, "our.key")
    told = api.sign(file="policy.s2r", to="signed.s2r")
    assert (told["file"], told["key"], told["trusted_as"]) == ("signed.s2r", name, None)
    assert api.inspect(file="signed.s2r")["digest"] == told["digest"]
    assert bundle.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sign", "policy.s2r"), r"--key must name a private key, or SIM2REAL_SIGNING_KEY; .*sim2real keygen FILE"),
        (("sign", "policy.s2r", "--key", "no.key"), r"no file 'no\.key' in "),
        (("sign", "no.s2r", "--key", "policy.s2r"), r"no file 'no\.s2r' in "),
        (
            ("sign", "policy.s2r", "--key", "policy.s2r", "--to", "no/x.s2r"),
            r"--to no/x\.s2r: there is no folder /.*/no",
        ),
        (("sign", "policy.s2r", "--key", "policy.s2r"), r"policy\.s2r: others can read this private key"),
        (("keygen", "policy.s2r"), r"policy\.s2r exists, and a key is never overwritten"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, message, bundle, capsys):
    code, out, err = said(capsys, *arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert re.search(message, err), err


def test_a_result_is_never_signed_in_place(bundle, tmp_path, capsys):
    (tmp_path / "run.json").write_text("{}")
    api.keygen(file="our.key")
    code, _, err = said(capsys, "sign", "policy.s2r", "--key", "our.key")
    assert code == 2
    assert "policy.s2r lies in a result, whose files are never changed: name another file with --to" in err


def test_a_rehearsal_that_requires_a_signature_drives_only_what_a_trusted_key_signed(bundle, tmp_path, trusted):
    for name in ("out", "checkpoint"):
        (tmp_path / name).mkdir()
    stage = Stage(out=tmp_path / "out", checkpoint=tmp_path / "checkpoint", inputs={"run": tmp_path}, cpus=1)
    command = Rehearse(run="x", realities=1, seconds=0.2, realtime_seconds=0.0, require_signature=True)
    api.keygen(file="our.key")
    api.sign(file="policy.s2r", key="our.key")
    with pytest.raises(BundleError, match="must be signed by a trusted key"):
        rehearse(command, stage)
    shutil.copy("our.key.pub", trusted / "us.pub")
    assert rehearse(command, stage)["episodes"] == 4
