"""Signatures: whoever trusts the key can tell that nobody changed the bundle, and nothing else passes."""

import json
import stat
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import deploy_bundles
import pytest
from emulators import emulated
from test_policies_bundle import CONTRACT, WEIGHTS, members, with_manifest, zipped

from policies import bundle as bundles
from policies import keys, signing
from policies.bundle import BundleError, read
from policies.signing import Standing, sign, verify
from robots.backends.udp import UdpRobot
from sim2real.deploy.clock import LockstepClock
from sim2real.deploy.inference import load_policy
from sim2real.deploy.runtime import Runtime

# RFC 8032, section 7.1, test 2: seed, public key, and the signature of the byte 0x72.
SEED = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
PUBLIC = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
SIGNED = (
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


@pytest.fixture(autouse=True)
def trusted(tmp_path, monkeypatch):
    """A folder of trusted keys, empty at first."""
    folder = tmp_path / "trusted"
    folder.mkdir()
    monkeypatch.setenv(keys.FOLDER_VARIABLE, str(folder))
    monkeypatch.setattr(keys, "ZOO_KEYS", tmp_path / "no_zoo")
    return folder


@pytest.fixture
def key(tmp_path):
    keys.generate(tmp_path / "our.key")
    return tmp_path / "our.key"


@pytest.fixture
def path(tmp_path):
    return deploy_bundles.write(tmp_path / "policy.s2r", CONTRACT, WEIGHTS, score=0.8)


@pytest.fixture
def signed(path, key):
    sign(path, key)
    return path


def trust(folder, key) -> None:
    (folder / "us.pub").write_bytes(key.with_name(key.name + ".pub").read_bytes())


def slot(path) -> dict:
    return json.loads(members(path.read_bytes())["manifest.json"])["signature"]


def with_slot(path, **changes) -> None:
    """Fill the slot of a bundle's signature otherwise; everything else fits."""
    held = members(path.read_bytes())
    path.write_bytes(zipped(with_manifest(held, signature=slot(path) | changes)))


def test_signatures_are_those_of_the_rfc():
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    signature = keys.sign(b"\x72", Ed25519PrivateKey.from_private_bytes(bytes.fromhex(SEED)))
    assert (signature.public_key, signature.value) == (PUBLIC, SIGNED)
    signature.check(b"\x72")
    with pytest.raises(keys.SignatureError, match="is not one of these contents"):
        signature.check(b"\x73")


def test_a_key_is_called_by_the_hash_of_its_public_bytes():
    # echo PUBLIC | xxd -r -p | sha256sum | head -c 32
    assert keys.key_id(bytes.fromhex(PUBLIC)) == "39f713d0a644253f04529421b9f51b9b"


def test_a_bundle_is_signed_by_a_key_that_one_trusts_or_does_not(signed, key, trusted):
    name = slot_key(signed)
    assert verify(read(signed)) == Standing(key=name, trusted_as=None)
    assert not verify(read(signed)).trusted
    trust(trusted, key)
    assert verify(read(signed)) == Standing(key=name, trusted_as="us")
    assert verify(read(signed)).trusted
    assert read(signed, require_signature=True).signature.key == name


def slot_key(path) -> str:
    return keys.key_id(bytes.fromhex(slot(path)["public_key"]))


def test_signing_changes_nothing_but_the_slot_and_gives_equal_bytes_each_time(path, key, tmp_path):
    before = read(path)
    digest = sign(path, key, tmp_path / "signed.s2r")
    after = read(tmp_path / "signed.s2r")
    assert after.digest == digest != before.digest
    assert (after.contract, after.onnx, after.scores, after.members) == (
        before.contract,
        before.onnx,
        before.scores,
        before.members,
    )
    sign(path, key, tmp_path / "again.s2r")
    assert (tmp_path / "again.s2r").read_bytes() == (tmp_path / "signed.s2r").read_bytes()
    sign(tmp_path / "signed.s2r", key)  # an old signature gives way
    assert (tmp_path / "again.s2r").read_bytes() == (tmp_path / "signed.s2r").read_bytes()
    assert slot(path) is None
    assert bundles.write(tmp_path / "unsigned.s2r", after) == before.digest  # what is written anew is not signed


def test_a_bundle_without_a_signature_is_used_unless_one_is_required(path, key, trusted):
    assert verify(read(path)) == Standing(key=None, trusted_as=None)
    trust(trusted, key)
    with pytest.raises(
        BundleError, match=r"must be signed by a trusted key \([0-9a-f]{32}\), it has none; have it sign"
    ):
        read(path, require_signature=True)


def test_a_strangers_signature_does_not_do_where_one_is_required(signed, trusted):
    with pytest.raises(BundleError, match=rf"\(there are none\), it has one by key {slot_key(signed)}; .*{trusted}"):
        read(signed, require_signature=True)


def test_a_trusted_key_vouches_only_for_what_it_signed_itself(signed, trusted):
    keys.generate(trusted / "colleague")
    with pytest.raises(
        BundleError, match=rf"by a trusted key \([0-9a-f]{{32}}\), it has one by key {slot_key(signed)}"
    ):
        read(signed, require_signature=True)
    assert not verify(read(signed)).trusted


@pytest.mark.parametrize("member", sorted(bundles.MEMBERS))
def test_a_changed_member_breaks_the_signature_though_all_hashes_fit(signed, member):
    held = members(signed.read_bytes())
    held[member] = held[member].replace(b"0", b"1")
    signed.write_bytes(zipped(with_manifest(held, signature=slot(signed))))
    with pytest.raises(BundleError, match=r"the signature by key [0-9a-f]{32} is not one of these contents"):
        read(signed)


def test_anothers_key_with_our_signature_is_refused(signed):
    with_slot(signed, public_key=PUBLIC)
    with pytest.raises(BundleError, match=r"by key 39f713d0a644253f04529421b9f51b9b is not one of these contents"):
        read(signed)


def test_a_signature_of_something_else_is_refused(signed, key):
    manifest = json.dumps(json.loads(members(signed.read_bytes())["manifest.json"]) | {"signature": None}, indent=2)
    value = keys.sign(manifest.encode(), keys.load_private(key)).value  # of the manifest, not said to be a bundle's
    with_slot(signed, value=value)
    with pytest.raises(BundleError, match="is not one of these contents"):
        read(signed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": ""}, "is not one of these contents"),
        ({"value": "xy"}, "the signature is damaged"),
        ({"public_key": "00"}, "the signature is damaged"),
        ({"algorithm": "none"}, r"signature\.algorithm: expected one of ed25519, got 'none'"),
        ({"value": None}, r"signature\.value: expected text, got None"),
        ({"signer": "us"}, r"signature: unknown key 'signer'"),
    ],
)
def test_a_slot_that_holds_no_signature_is_refused(signed, changes, message):
    with_slot(signed, **changes)
    with pytest.raises(BundleError, match=message):
        read(signed)


@pytest.mark.parametrize("slot", ["us", 1, [], {}])
def test_a_slot_of_another_kind_is_refused(path, slot):
    path.write_bytes(zipped(with_manifest(members(path.read_bytes()), signature=slot)))
    with pytest.raises(BundleError, match=r"signature: (expected a mapping of Signature|missing public_key, value)"):
        read(path)


def test_the_same_signature_written_otherwise_is_refused(signed):
    with_slot(signed, value=slot(signed)["value"].upper())
    with pytest.raises(BundleError, match="its digits must be lower case"):
        read(signed)


def test_every_flipped_byte_of_the_slot_is_noticed(signed):
    good = signed.read_bytes()
    manifest = members(good)["manifest.json"]
    start = good.index(manifest)
    for offset in range(start + manifest.index(b'"signature"'), start + len(manifest)):
        damaged = bytearray(good)
        damaged[offset] ^= 0x01
        signed.write_bytes(damaged)
        with pytest.raises(BundleError):
            read(signed)


def test_a_manifest_with_more_in_it_than_its_members_give_is_refused(path):
    path.write_bytes(zipped(with_manifest(members(path.read_bytes()), note="hello")))
    with pytest.raises(BundleError, match=r"manifest\.json is not what its members give"):
        read(path)


def test_a_removed_signature_leaves_a_bundle_that_nobody_signed(signed, key, trusted):
    trust(trusted, key)
    signed.write_bytes(zipped(with_manifest(members(signed.read_bytes()))))
    assert verify(read(signed)).key is None
    with pytest.raises(BundleError, match="it has none"):
        read(signed, require_signature=True)


def test_what_was_changed_after_it_was_read_never_reaches_the_robot(signed, key, trusted):
    trust(trusted, key)
    bundle = read(signed)
    looser = replace(bundle, contract=replace(bundle.contract, torque_limit=(1000.0,) * 12))
    with emulated() as (emulator, machine), closing(UdpRobot(emulator.address)) as robot:
        with pytest.raises(BundleError, match="was changed after it was read, its signature is of other contents"):
            Runtime(looser, load_policy(looser), robot, LockstepClock())
        assert machine.commands == []
        Runtime(bundle, load_policy(bundle), robot, LockstepClock(), require_signature=True)


def test_a_runtime_that_requires_a_signature_refuses_a_bundle_without(path):
    bundle = read(path)
    with emulated() as (emulator, machine), closing(UdpRobot(emulator.address)) as robot:
        with pytest.raises(BundleError, match="must be signed by a trusted key"):
            Runtime(bundle, load_policy(bundle), robot, LockstepClock(), require_signature=True)
        assert machine.commands == []
        Runtime(bundle, load_policy(bundle), robot, LockstepClock())


def test_only_its_owner_reads_a_private_key(key, path):
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.chmod(0o640)
    with pytest.raises(ValueError, match=r"others can read this private key; chmod 600 .*our\.key"):
        sign(path, key)
    assert slot(path) is None


def test_a_key_is_never_overwritten(key, tmp_path):
    before = key.read_bytes()
    with pytest.raises(FileExistsError, match=r"our\.key exists, and a key is never overwritten"):
        keys.generate(key)
    (tmp_path / "new.key.pub").touch()
    with pytest.raises(FileExistsError, match=r"new\.key\.pub exists"):
        keys.generate(tmp_path / "new.key")
    (tmp_path / "link.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError, match=r"link\.key"):
        keys.generate(tmp_path / "link.key")
    assert not (tmp_path / "elsewhere").exists()
    assert key.read_bytes() == before
    assert not (tmp_path / "new.key").exists()


def test_a_file_that_is_no_key_is_refused(key, path, tmp_path, trusted):
    (tmp_path / "no.key").touch(0o600)
    with pytest.raises(ValueError, match=r"no\.key: expected a private key \(PEM, no password\).*sim2real keygen FILE"):
        sign(path, tmp_path / "no.key")
    public = key.with_name("our.key.pub")
    public.chmod(0o600)
    with pytest.raises(ValueError, match=r"our\.key\.pub: expected a private key"):
        sign(path, public)
    (trusted / "broken.pub").write_text("ssh-rsa AAAA")
    with pytest.raises(ValueError, match=r"broken\.pub: expected a public key \(PEM\)"):
        keys.trusted_keys()


def test_keys_that_everyone_can_replace_are_not_trusted(key, trusted):
    trust(trusted, key)
    for place in (trusted, trusted / "us.pub"):
        mode = stat.S_IMODE(place.stat().st_mode)
        place.chmod(mode | 0o002)
        with pytest.raises(ValueError, match=rf"{place}: everyone can write here, .*; chmod o-w {place}"):
            keys.trusted_keys()
        place.chmod(mode)
    assert list(keys.trusted_keys().values()) == ["us"]


def test_keys_of_another_kind_are_refused(tmp_path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    private, pem = X25519PrivateKey.generate(), serialization.Encoding.PEM
    pkcs8, spki = serialization.PrivateFormat.PKCS8, serialization.PublicFormat.SubjectPublicKeyInfo
    (tmp_path / "x").touch(0o600)
    (tmp_path / "x").write_bytes(private.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    (tmp_path / "x.pub").write_bytes(private.public_key().public_bytes(pem, spki))
    with pytest.raises(ValueError, match="expected an Ed25519 private key, got X25519PrivateKey"):
        keys.load_private(tmp_path / "x")
    with pytest.raises(ValueError, match="expected an Ed25519 public key, got X25519PublicKey"):
        keys.load_public(tmp_path / "x.pub")


def test_trusted_are_the_users_keys_and_those_of_the_zoo(key, tmp_path, monkeypatch):
    monkeypatch.delenv(keys.FOLDER_VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert keys.trusted_keys() == {}
    home, zoo = tmp_path / ".config" / "sim2real" / "trusted", tmp_path / "zoo"
    for folder, name in ((home, "colleague"), (zoo, "zoo")):
        folder.mkdir(parents=True)
        keys.generate(folder / name)
    monkeypatch.setattr(keys, "ZOO_KEYS", zoo)
    assert sorted(keys.trusted_keys().values()) == ["colleague", "zoo"]


def test_an_unsigned_bundle_needs_no_cryptography_and_a_signed_one_no_torch(path, key, tmp_path):
    sign(path, key, tmp_path / "signed.s2r")
    script = (
        "import sys; from pathlib import Path; from policies.bundle import read; read(Path(sys.argv[1]));"
        "print([name for name in ('cryptography', 'torch', 'gymnasium', 'ray', 'onnxruntime') if name in sys.modules])"
    )
    for file, expected in ((path, "[]"), (tmp_path / "signed.s2r", "['cryptography']")):
        ran = subprocess.run([sys.executable, "-c", script, file], capture_output=True, text=True, check=True)
        assert ran.stdout.strip() == expected


def test_a_bundle_put_together_in_memory_bears_no_signature(signed):
    bundle = replace(read(signed), members={})
    with pytest.raises(BundleError, match="is not one of these contents"):
        signing.verify(bundle)
    assert signing.verify(replace(bundle, signature=None)).key is None
