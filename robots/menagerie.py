"""Robots of the MuJoCo Menagerie as RobotSpecs, without a line about any of them.

A model is fetched by the `mujoco-menagerie` package, converted once (see `convert`) and kept in
`$SIM2REAL_CACHE_DIR` (default: `~/.cache/sim2real`), under a name that changes with the model and with this code.
"""

import hashlib
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import mujoco_menagerie

from robots import convert
from robots.cache import cache_dir
from robots.spec import RobotSpec, load_folder

HOW_TO_GET = (
    "Set MENAGERIE_ROOT to a folder of unpacked models, or MENAGERIE_BASE_URL to where its archives lie (file:///... "
    "works offline); MENAGERIE_CACHE_DIR is where downloads go"
)


def from_menagerie(name: str) -> RobotSpec:
    """The Menagerie robot called `name`.

    Raises:
        LookupError: unknown, or it cannot be fetched; the message says how to get it.
        ValueError: it is neither an arm nor a robot with two, four or six feet, or its MJCF is wrong.
        FileNotFoundError: a file that its MJCF needs is missing.
    """
    model, scene = _fetch(name)
    folder = cache_dir("menagerie") / f"{name}-{_fingerprint(model, scene)}"
    if not (folder / "robot.json").is_file():
        _convert_into(folder, name, model, scene)
    return load_folder(folder)


def added(spec: RobotSpec) -> tuple[str, ...]:
    """What the conversion added to, replaced in or left out of the robot's own files."""
    notes = spec.sources.get("added", "")
    return tuple(notes.split("; ")) if notes else ()


def _fetch(name: str) -> tuple[Path, Path | None]:
    """MJCF of the robot and of its scene."""
    try:
        robot = mujoco_menagerie.get(name)
    except mujoco_menagerie.UnknownRobotError as error:
        raise LookupError(f"{error} It has {len(mujoco_menagerie.names())} robots: mujoco_menagerie.names()") from error
    try:
        scene = robot.xml(robot.default_scene) if robot.default_scene else None
        return robot.xml(robot.default_model), scene
    except (mujoco_menagerie.MenagerieError, OSError) as error:
        raise LookupError(f"the Menagerie robot {name!r} cannot be fetched: {error}. {HOW_TO_GET}") from error


def _fingerprint(*files: Path | None) -> str:
    digest = hashlib.sha256()
    code = sorted(Path(__file__).parent.glob("*.py"))
    for file in (*files, *code):
        digest.update(file.read_bytes() if file else b"")
    return digest.hexdigest()[:16]


def _convert_into(folder: Path, name: str, model: Path, scene: Path | None) -> None:
    """Convert beside the cache and rename: a killed or concurrent process leaves no half robot."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder.parent))
    try:
        spec = convert.convert(model, work, name=name, pose_source=scene)
        spec = replace(spec, sources={"model": f"MuJoCo Menagerie {name}, {mujoco_menagerie.commit()}", **spec.sources})
        spec.save_folder(work)
        try:
            work.rename(folder)
        except OSError:
            if not (folder / "robot.json").is_file():  # else another process was faster
                raise
    except (FileNotFoundError, ValueError) as error:
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        raise kind(f"the Menagerie robot {name!r} cannot be used: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
