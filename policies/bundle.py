"""The `.s2r` bundle: one robot's frozen policy in one deterministic zip, verified before anything is used.

Members: `contract.json`, `policy.onnx`, `policy.safetensors`, `robot.json`, the robot's MJCF, `scores.json`, and
`manifest.json` with schema, sha256 of every member and a slot for a signature, which covers the manifest with the slot
empty. Reading executes nothing and needs no torch. Equal contents, signed by equal keys, give equal bytes.
"""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from policies.contract import PolicyContract
from policies.keys import Signature, SignatureError
from robots.records import decode, encode
from robots.spec import RobotSpec

SCHEMA = 1
MEMBERS = {"contract.json", "policy.onnx", "policy.safetensors", "robot.json", "robot.xml", "scores.json"}
"""Beside `manifest.json`."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time stamp of every member: the earliest a zip can say."""
SIGNED_AS = b"sim2real bundle\n"
"""Goes before the manifest when it is signed: a signature of a bundle is none of anything else."""
Members = dict[str, bytes]


class BundleError(ValueError):
    """A bundle that must not be used; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A verified bundle in memory."""

    contract: PolicyContract
    onnx: bytes
    weights: dict[str, NDArray]
    robot: RobotSpec
    """Its `mjcf` is the bare file name of the MJCF in `mjcf_text`."""
    mjcf_text: str
    scores: dict[str, Any] = field(default_factory=dict)
    digest: str = ""
    """sha256 of the manifest: names these exact contents."""
    signature: Signature | None = None
    """Of the contents as they were read."""
    members: Members = field(default_factory=dict, repr=False, compare=False)
    """What was read, byte for byte; empty for a bundle that was put together in memory."""


def write(path: Path, bundle: Bundle) -> str:
    """Write a bundle without a signature, by rename, never half a file; returns its digest."""
    return _write(path, _members(bundle), None)


def rewrite(path: Path, bundle: Bundle) -> None:
    """Write a bundle that was read, byte for byte."""
    _write(path, bundle.members, bundle.signature)


def seal(path: Path, bundle: Bundle, sign: Callable[[bytes], Signature]) -> str:
    """Write a bundle that was read, with the signature that `sign` gives of its manifest; returns its digest."""
    return _write(path, bundle.members, sign(_signed(bundle.members)))


def check_seal(bundle: Bundle) -> None:
    """Refuse a signed bundle that is not, in memory, what was signed.

    Raises:
        BundleError: it is not.
    """
    if bundle.signature is None:
        return
    try:
        bundle.signature.check(_signed(bundle.members))
    except SignatureError as error:
        raise BundleError(f"bundle {bundle.digest[:16]}: {error}") from error
    signed = _from_members(bundle.members)
    if _members(signed) != _members(bundle):
        raise BundleError(
            f"bundle {bundle.digest[:16]} was changed after it was read, its signature is of other contents"
        )


def read(path: Path, *, require_signature: bool = False) -> Bundle:
    """Read and verify a bundle.

    Args:
        path: The file.
        require_signature: Refuse it without a signature by a trusted key (`policies.keys.trusted_keys`).

    Raises:
        FileNotFoundError: there is no such file.
        BundleError: not a bundle, of another schema, with a byte that differs from what was written, or with a
            signature of something else.
    """
    data = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > len(data):  # stored members are never larger
                raise ValueError("its members are compressed")
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception as error:  # a damaged zip raises whatever its reader stumbles over
        raise BundleError(f"{path} is damaged or is no .s2r bundle ({error}); export it again") from error
    manifest = members.pop("manifest.json", None)
    if manifest is None:
        raise BundleError(f"{path} has no manifest.json, so it is no .s2r bundle; export it again")
    signature = _verify(path, members, manifest)
    if _pack(members, manifest) != data:
        raise BundleError(f"{path}: its bytes are not those that its members give; the file was changed or damaged")
    try:
        bundle = _from_members(members, hashlib.sha256(manifest).hexdigest(), signature)
    except Exception as error:  # whole, but of other software: each member's reader has errors of its own
        raise BundleError(f"{path}: {error}") from error
    if require_signature:
        from policies.signing import verify

        verify(bundle, require_signature=True)
    return bundle


def _members(bundle: Bundle) -> Members:
    return {
        "contract.json": bundle.contract.to_json().encode(),
        "policy.onnx": bundle.onnx,
        "policy.safetensors": save_safetensors(
            {name: np.ascontiguousarray(value) for name, value in bundle.weights.items()}
        ),
        "robot.json": json.dumps(encode(bundle.robot), indent=2, sort_keys=True).encode(),
        "robot.xml": bundle.mjcf_text.encode(),
        "scores.json": json.dumps(bundle.scores, indent=2, sort_keys=True).encode(),
    }


def _pack(members: Members, manifest: bytes) -> bytes:
    """The file: a zip whose every byte follows from its members, so that a changed one shows."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in [*sorted(members.items()), ("manifest.json", manifest)]:
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system, info.external_attr = 3, 0o600 << 16  # as on Unix, everywhere
            archive.writestr(info, data)
    return buffer.getvalue()


def _write(path: Path, members: Members, signature: Signature | None) -> str:
    manifest = _manifest(members, signature)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(_pack(members, manifest))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return hashlib.sha256(manifest).hexdigest()


def _manifest(members: Members, signature: Signature | None) -> bytes:
    files = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(members.items())}
    return json.dumps({"schema": SCHEMA, "files": files, "signature": encode(signature)}, indent=2).encode()


def _signed(members: Members) -> bytes:
    """What a signature is of."""
    return SIGNED_AS + _manifest(members, None)


def _verify(path: Path, members: Members, manifest_data: bytes) -> Signature | None:
    """Compare members with their hashes and the manifest with its signature; returns that."""
    try:
        manifest = json.loads(manifest_data)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: manifest.json is damaged ({error}); export it again") from error
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != SCHEMA:
        raise BundleError(f"{path}: bundle schema must be {SCHEMA}, got {schema!r}; update sim2real to read it")
    files = manifest.get("files")
    files = files if isinstance(files, dict) else {}
    if not set(files) == set(members) == MEMBERS:
        raise BundleError(
            f"{path}: a bundle must hold {sorted(MEMBERS)}; its manifest lists {sorted(files)}, "
            f"the file holds {sorted(members)}; export it again"
        )
    for name, data in members.items():
        if hashlib.sha256(data).hexdigest() != files[name]:
            raise BundleError(f"{path}: {name} differs from its hash in the manifest; the file was changed or damaged")
    signature = _signature(path, manifest.get("signature"), _signed(members))
    if _manifest(members, signature) != manifest_data:
        raise BundleError(f"{path}: manifest.json is not what its members give; the file was changed or damaged")
    return signature


def _signature(path: Path, slot: Any, message: bytes) -> Signature | None:
    if slot is None:
        return None
    try:
        signature = decode(Signature, slot, where="signature")
        signature.check(message)
    except ValueError as error:
        raise BundleError(f"{path}: {error}; the file was changed, or signed by other software") from error
    return signature


def _from_members(members: Members, digest: str = "", signature: Signature | None = None) -> Bundle:
    robot = decode(RobotSpec, json.loads(members["robot.json"]), where="robot.json")
    if Path(robot.mjcf).name != robot.mjcf:
        raise BundleError(f"robot.json: mjcf must be a bare file name, got {robot.mjcf!r}")
    return Bundle(
        contract=PolicyContract.from_json(members["contract.json"].decode()),
        onnx=members["policy.onnx"],
        weights=load_safetensors(members["policy.safetensors"]),
        robot=robot,
        mjcf_text=members["robot.xml"].decode(),
        scores=json.loads(members["scores.json"]),
        digest=digest,
        signature=signature,
        members=members,
    )
