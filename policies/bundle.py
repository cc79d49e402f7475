"""The `.s2r` bundle: one robot's frozen policy in one deterministic zip, verified before anything is used.

Members: `contract.json`, `policy.onnx`, `policy.safetensors`, `robot.json`, the robot's MJCF, `scores.json`, and
`manifest.json` with schema, sha256 of every member and a slot for a signature. Reading executes nothing and needs no
torch. Equal contents give equal bytes.
"""

import hashlib
import io
import json
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from policies.contract import PolicyContract
from robots.records import decode, encode
from robots.spec import RobotSpec

SCHEMA = 1
MEMBERS = {"contract.json", "policy.onnx", "policy.safetensors", "robot.json", "robot.xml", "scores.json"}
"""Beside `manifest.json`."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time stamp of every member: the earliest a zip can say."""


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


def write(path: Path, bundle: Bundle) -> str:
    """Write a bundle by rename, never half a file; returns its digest."""
    members = _members(bundle)
    manifest = _manifest(members)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(_pack(members, manifest))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return hashlib.sha256(manifest).hexdigest()


def read(path: Path) -> Bundle:
    """Read and verify a bundle.

    Raises:
        FileNotFoundError: there is no such file.
        BundleError: not a bundle, of another schema, or with a byte that differs from what was written.
    """
    data = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception as error:  # a damaged zip raises whatever its reader stumbles over
        raise BundleError(f"{path} is damaged or is no .s2r bundle ({error}); export it again") from error
    manifest_data = members.pop("manifest.json", None)
    if manifest_data is None:
        raise BundleError(f"{path} has no manifest.json, so it is no .s2r bundle; export it again")
    _verify(path, members, manifest_data)
    if _pack(members, manifest_data) != data:
        raise BundleError(f"{path}: its bytes are not those that its members give; the file was changed or damaged")
    try:
        return _from_members(members, hashlib.sha256(manifest_data).hexdigest())
    except Exception as error:  # whole, but of other software: each member's reader has errors of its own
        raise BundleError(f"{path}: {error}") from error


def _members(bundle: Bundle) -> dict[str, bytes]:
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


def _pack(members: dict[str, bytes], manifest: bytes) -> bytes:
    """The file: a zip whose every byte follows from its members, so that a changed one shows."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in [*sorted(members.items()), ("manifest.json", manifest)]:
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system, info.external_attr = 3, 0o600 << 16  # as on Unix, everywhere
            archive.writestr(info, data)
    return buffer.getvalue()


def _manifest(members: dict[str, bytes]) -> bytes:
    files = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(members.items())}
    return json.dumps({"schema": SCHEMA, "files": files, "signature": None}, indent=2).encode()


def _verify(path: Path, members: dict[str, bytes], manifest_data: bytes) -> None:
    try:
        manifest = json.loads(manifest_data)
    except ValueError as error:
        raise BundleError(f"{path}: manifest.json is damaged ({error}); export it again") from error
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != SCHEMA:
        raise BundleError(f"{path}: bundle schema must be {SCHEMA}, got {schema!r}; update sim2real to read it")
    files = manifest.get("files", {})
    if not set(files) == set(members) == MEMBERS:
        raise BundleError(
            f"{path}: a bundle must hold {sorted(MEMBERS)}; its manifest lists {sorted(files)}, "
            f"the file holds {sorted(members)}; export it again"
        )
    for name, data in members.items():
        if hashlib.sha256(data).hexdigest() != files[name]:
            raise BundleError(f"{path}: {name} differs from its hash in the manifest; the file was changed or damaged")


def _from_members(members: dict[str, bytes], digest: str) -> Bundle:
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
    )
