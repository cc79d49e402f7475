"""The bundle: equal contents are equal bytes, and a single changed byte is noticed."""

import hashlib
import io
import json
import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace

import deploy_bundles
import numpy as np
import pytest

import robots
from policies import bundle as bundles
from policies.bundle import MEMBERS, Bundle, BundleError

CONTRACT = deploy_bundles.contract("go1")
WEIGHTS = deploy_bundles.standing_weights(CONTRACT, hidden=8)


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("bundle") / "policy.s2r"
    return deploy_bundles.write(path, CONTRACT, WEIGHTS, score=0.8).read_bytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "policy.s2r"


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(contents: dict[str, bytes]) -> bytes:
    """A bundle of these members, whatever they are."""
    manifest = contents["manifest.json"]
    return bundles._pack({name: data for name, data in contents.items() if name != "manifest.json"}, manifest)


def with_manifest(contents: dict[str, bytes], **changes) -> dict[str, bytes]:
    """The members with a manifest that fits them."""
    rest = {name: data for name, data in contents.items() if name != "manifest.json"}
    files = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(rest.items())}
    manifest = {"schema": 1, "files": files, "signature": None} | changes
    return {**rest, "manifest.json": json.dumps(manifest, indent=2).encode()}


def test_what_is_written_is_read(path):
    spec = robots.get("go1")
    bundle = Bundle(
        contract=CONTRACT,
        onnx=b"graph",
        weights=WEIGHTS,
        robot=replace(spec, mjcf="go1.xml"),
        mjcf_text=spec.mjcf_path.read_text(),
        scores={"score": 0.1 + 0.2, "falls": 0},
    )
    digest = bundles.write(path, bundle)
    again = bundles.read(path)
    assert again.digest == digest
    assert (again.contract, again.onnx, again.robot, again.mjcf_text, again.scores) == (
        bundle.contract,
        bundle.onnx,
        bundle.robot,
        bundle.mjcf_text,
        bundle.scores,
    )
    assert again.weights.keys() == WEIGHTS.keys()
    assert all(np.array_equal(again.weights[name], WEIGHTS[name]) for name in WEIGHTS)
    assert [file.name for file in path.parent.iterdir()] == ["policy.s2r"]


def test_equal_contents_give_equal_bytes(path, good):
    backwards = dict(reversed(WEIGHTS.items()))
    assert deploy_bundles.write(path, CONTRACT, backwards, score=0.8).read_bytes() == good
    assert deploy_bundles.write(path, CONTRACT, WEIGHTS, score=0.81).read_bytes() != good


def test_members_are_what_the_format_says(good):
    held = members(good)
    assert set(held) == MEMBERS | {"manifest.json"}
    manifest = json.loads(held["manifest.json"])
    assert manifest["schema"] == 1
    assert manifest["signature"] is None
    assert manifest["files"]["policy.onnx"] == hashlib.sha256(held["policy.onnx"]).hexdigest()
    assert {info.date_time for info in zipfile.ZipFile(io.BytesIO(good)).infolist()} == {bundles.EPOCH}


@pytest.mark.parametrize("member", [*sorted(MEMBERS), "manifest.json"])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0], ids=["first", "middle", "last"])
def test_one_flipped_byte_in_a_member_is_noticed(path, good, member, share):
    info = zipfile.ZipFile(io.BytesIO(good)).getinfo(member)
    start = info.header_offset + 30 + len(member)  # a local header is 30 bytes and the name
    assert good[start : start + info.file_size] == members(good)[member]
    refuse_flipped(path, good, start + round(share * (info.file_size - 1)))


def test_one_flipped_byte_anywhere_around_the_members_is_noticed(path, good):
    inside = set()
    for info in zipfile.ZipFile(io.BytesIO(good)).infolist():
        start = info.header_offset + 30 + len(info.filename)
        inside |= set(range(start, start + info.file_size))
    outside = [offset for offset in range(len(good)) if offset not in inside]
    assert len(outside) > 7 * (30 + 46)  # local headers, central directory
    for offset in outside:
        refuse_flipped(path, good, offset)


def refuse_flipped(path, good: bytes, offset: int) -> None:
    damaged = bytearray(good)
    damaged[offset] ^= 0x01
    path.write_bytes(damaged)
    with pytest.raises(BundleError, match=r"policy\.s2r"):
        bundles.read(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_truncated_file_is_damaged(path, good, share):
    path.write_bytes(good[: int(share * len(good))])
    with pytest.raises(BundleError, match=r"is damaged or is no \.s2r bundle .*; export it again"):
        bundles.read(path)


@pytest.mark.parametrize(("before", "after"), [(b"x", b""), (b"", b"x")], ids=["in front", "behind"])
def test_added_bytes_are_noticed(path, good, before, after):
    path.write_bytes(before + good + after)
    with pytest.raises(BundleError):
        bundles.read(path)


def test_another_file_is_no_bundle(path):
    path.write_text("name: walk\n")
    with pytest.raises(BundleError, match=r"is no \.s2r bundle"):
        bundles.read(path)


def test_another_zip_is_no_bundle(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(BundleError, match=r"has no manifest\.json"):
        bundles.read(path)


def test_members_are_never_unpacked(path, good):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (members(good) | {"scores.json": b" " * 10**7}).items():
            archive.writestr(name, data)
    with pytest.raises(BundleError, match="its members are compressed"):
        bundles.read(path)


def test_a_manifest_too_deep_to_be_read_is_damaged(path, good):
    path.write_bytes(zipped({**members(good), "manifest.json": b"[" * 10**5}))
    with pytest.raises(BundleError, match=r"manifest\.json is damaged"):
        bundles.read(path)


def test_a_missing_file_is_missing(path):
    with pytest.raises(FileNotFoundError):
        bundles.read(path)


@pytest.mark.parametrize("schema", [2, None, "1"])
def test_another_schema_is_refused(path, good, schema):
    path.write_bytes(zipped(with_manifest(members(good), schema=schema)))
    with pytest.raises(BundleError, match=r"bundle schema must be 1, got .*; update sim2real to read it"):
        bundles.read(path)


def test_a_member_too_few_or_too_many_is_named(path, good):
    held = members(good)
    path.write_bytes(zipped(with_manifest({name: held[name] for name in held if name != "robot.xml"})))
    with pytest.raises(BundleError, match=r"must hold .*'robot\.xml'"):
        bundles.read(path)
    path.write_bytes(zipped(with_manifest({**held, "run.py": b"print()"})))
    with pytest.raises(BundleError, match=r"the file holds .*'run\.py'"):
        bundles.read(path)


@pytest.mark.parametrize("files", [sorted(MEMBERS), "", 1, None])
def test_a_manifest_that_lists_no_hashes_is_refused(path, good, files):
    path.write_bytes(zipped(with_manifest(members(good), files=files)))
    with pytest.raises(BundleError, match=r"a bundle must hold .*; its manifest lists \[\]"):
        bundles.read(path)


def test_a_changed_member_with_a_zip_that_fits_it_is_noticed(path, good):
    path.write_bytes(zipped({**members(good), "scores.json": b'{"score": 1.0}'}))
    with pytest.raises(BundleError, match=r"scores\.json differs from its hash in the manifest"):
        bundles.read(path)


class _Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


def test_reading_executes_nothing(path, good):
    path.write_bytes(zipped(with_manifest({**members(good), "policy.safetensors": pickle.dumps(_Trap())})))
    with pytest.raises(BundleError, match=r"policy\.s2r: .*header"):
        bundles.read(path)


def test_a_newer_contract_is_refused(path, good):
    contract = json.dumps(json.loads(members(good)["contract.json"]) | {"schema": 2}).encode()
    path.write_bytes(zipped(with_manifest({**members(good), "contract.json": contract})))
    with pytest.raises(BundleError, match="contract schema must be 1, got 2; update sim2real"):
        bundles.read(path)


def test_a_bundle_of_before_there_were_other_networks_is_read(path, good):
    contract = json.loads(members(good)["contract.json"])
    for name in ("architecture", "activation", "memory"):
        del contract[name]
    old = json.dumps(contract, indent=2, sort_keys=True).encode()
    path.write_bytes(zipped(with_manifest({**members(good), "contract.json": old})))
    assert bundles.read(path).contract == CONTRACT


def test_reading_needs_no_torch(path, good):
    path.write_bytes(good)
    script = (
        "import sys; from pathlib import Path; from policies.bundle import read; read(Path(sys.argv[1]));"
        "print([name for name in ('torch', 'gymnasium', 'ray', 'onnxruntime') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


FULL_DISK = """
import resource, sys
from pathlib import Path
from policies import bundle
held = bundle.read(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
try:
    bundle.write(Path(sys.argv[1]), held)
except OSError as error:
    print(error.strerror)
"""


def test_a_full_disk_keeps_the_old_bundle(path, good):
    path.write_bytes(good)
    ran = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "File too large"
    assert path.read_bytes() == good
    assert [file.name for file in path.parent.iterdir()] == ["policy.s2r"]
