"""What this machine has, what sim2real needs, and the command that mends each difference.

A check is `ok`, `missing` (something required: the machine is not healthy), `warning` (some commands will do less) or
`info`. Nothing heavy is imported: versions come from package metadata, OpenGL is tried in another process.
"""

import importlib.metadata
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sim2real.campaign.resources import cores, gpu_count, memory_gb

HOME = Path(__file__).resolve().parents[1]
"""The checkout, or site-packages."""
PACKAGES = ("sim2real", "envs", "policies", "robots")
FILES_ONLY = ("launch", "tests")
"""Folders of a checkout whose names others use too; ours are no installed packages."""
PIP = f"{shlex.quote(sys.executable)} -m pip"
MIN_FREE_GB = 2.0
MIN_MEMORY_GB = 4.0
RENDER = """
import mujoco
model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><light/><geom size=".1"/></worldbody></mujoco>')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = mujoco.Renderer(model, 16, 16)
renderer.update_scene(data)
assert renderer.render().max() > 0
"""


@dataclass(frozen=True)
class Check:
    """One finding."""

    name: str
    status: Literal["ok", "missing", "warning", "info"]
    found: str
    mend: str = ""
    """A command, or what to do."""


def examine(store: Path) -> dict[str, Any]:
    """All checks; `healthy` if nothing required is missing."""
    examiners: list[Callable[[], Iterator[Check]]] = [python, dependencies, machine, gpu, opengl, tools]
    checks = [check for examiner in examiners for check in examiner()]
    checks += [*writing(store), *names(Path.cwd()), *menagerie()]
    return {
        "healthy": all(check.status != "missing" for check in checks),
        "checks": [asdict(check) for check in checks],
    }


def judged(name: str, good: bool, found: str, mend: str, otherwise: Literal["missing", "warning"] = "warning") -> Check:
    """A check that is ok if `good`, else something to mend."""
    return Check(name, "ok", found) if good else Check(name, otherwise, found, mend)


def python() -> Iterator[Check]:
    """The interpreter."""
    found = f"{platform.python_version()} ({sys.executable})"
    mend = "install Python 3.11 or newer, then: make .venv"
    yield judged("python", sys.version_info >= (3, 11), found, mend, "missing")


def requirements() -> list[str]:
    """The core dependencies with their version ranges: of the checkout, else of the installed package."""
    project = HOME / "pyproject.toml"
    if project.is_file():
        return tomllib.loads(project.read_text())["project"]["dependencies"]
    return [line for line in importlib.metadata.requires("sim2real") or [] if "extra ==" not in line]


def dependencies(wanted: list[str] | None = None) -> Iterator[Check]:
    """Each core dependency against the versions it may have."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        yield Check("packaging", "missing", "not installed", f"{PIP} install packaging")
        return
    for line in requirements() if wanted is None else wanted:
        requirement = Requirement(line)
        mend = f"{PIP} install {shlex.quote(line)}"
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield Check(requirement.name, "missing", f"not installed, needs {requirement.specifier}", mend)
            continue
        good = requirement.specifier.contains(version, prereleases=True)
        found = version if good else f"{version}, needs {requirement.specifier}"
        yield judged(requirement.name, good, found, mend, "missing")


def machine() -> Iterator[Check]:
    """Cores and memory."""
    few = "stages of launch/quickstart.yaml ask for 2: lower `resources: {cpus: ...}` in the recipe"
    yield judged("cores", cores() >= 2, str(cores()), few)
    low = "lower --num-envs, or use a machine with more memory"
    yield judged("memory", memory_gb() >= MIN_MEMORY_GB, f"{memory_gb():.1f} GB", low)


def gpu() -> Iterator[Check]:
    """GPUs, and whether the installed torch can use them."""
    found = _output(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"])
    if not found:
        yield Check("GPU", "info", f"{gpu_count() or 'none'}: everything runs on the CPU")
        return
    gpus, torch = "; ".join(found.splitlines()), _version("torch") or ""
    mend = f"{PIP} install --isolated --force-reinstall torch"  # from PyPI, whatever index is configured
    what = f"{gpus}, but torch {torch} is for CPUs" if "+cpu" in torch else gpus
    yield judged("GPU", "+cpu" not in torch, what, mend)


def opengl() -> Iterator[Check]:
    """Off-screen rendering, which videos need."""
    backend = next(filter(_renders, ("egl", "osmesa")), None)
    found = f"renders with MUJOCO_GL={backend}" if backend else "neither egl nor osmesa renders: reports have no videos"
    mend = "sudo apt-get install -y libegl1 libgl1-mesa-dri   (or libosmesa6, and export MUJOCO_GL=osmesa)"
    yield judged("OpenGL", backend is not None, found, mend)


def tools() -> Iterator[Check]:
    """ffmpeg, which videos need, and a C compiler, which speeds some things up."""
    ffmpeg = _ffmpeg()
    mend = f"{PIP} install --force-reinstall imageio-ffmpeg"
    yield judged("ffmpeg", ffmpeg is not None, ffmpeg or "none: reports have no videos", mend)
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang"))), None)
    if compiler:
        yield Check("C compiler", "ok", compiler)
    else:
        yield Check(
            "C compiler", "info", "none: optional, torch.compile needs it", "sudo apt-get install -y gcc libc6-dev"
        )


def writing(store: Path) -> Iterator[Check]:
    """Whether results can be kept."""
    folder = next(path for path in (store, *store.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
    except OSError as error:
        mend = "export SIM2REAL_STORE=/a/folder/you/can/write"
        yield Check("store", "missing", f"{store}: cannot write ({error.strerror})", mend)
        return
    free = shutil.disk_usage(folder).free / 1e9
    mend = "free some space, or: export SIM2REAL_STORE=/a/folder/on/another/disk"
    yield judged("store", free >= MIN_FREE_GB, f"{store}, {free:.1f} GB free", mend)


def names(here: Path) -> Iterator[Check]:
    """Whether our common package names reach our packages, also for a Python started in the folder `here`."""
    checks = [_shadow("missing", name, place) for name in PACKAGES if (place := _resolved(name)) != HOME / name]
    checks += [_shadow("warning", name, place) for name in PACKAGES if (place := _local(here, name))]
    if (HOME / "tests").is_dir() and (place := _resolved("tests")) not in (None, HOME / "tests"):
        checks.append(_shadow("warning", "tests", place))
    if (HOME / "launch" / "__init__.py").is_file():  # would hide ROS 2's package of that name
        checks.append(_shadow("warning", "launch", HOME / "launch" / "__init__.py"))
    found = f"{', '.join((*PACKAGES, *FILES_ONLY))}: nothing shadows {HOME}"
    yield from checks or [Check("package names", "ok", found)]


def _shadow(status: Literal["missing", "warning"], name: str, place: Path | None) -> Check:
    mend = f"rename {place}, or uninstall the package it belongs to, or start Python from another folder"
    return Check(f"name {name}", status, f"{place or 'nothing'} is imported instead of {HOME / name}", mend)


def menagerie(timeout: float = 3.0) -> Iterator[Check]:
    """Whether `menagerie:NAME` robots can be had; `timeout` [s]."""
    mend = (
        "git clone https://github.com/google-deepmind/mujoco_menagerie && export MENAGERIE_ROOT=$PWD/mujoco_menagerie"
    )
    root = os.environ.get("MENAGERIE_ROOT")
    if root:
        good = Path(root).is_dir()
        yield judged("Menagerie", good, f"MENAGERIE_ROOT={root}{'' if good else ' is no folder'}", mend)
        return
    if importlib.util.find_spec("mujoco_menagerie") is None:
        return  # named among the dependencies
    from mujoco_menagerie import Cache, bundled

    cache, registry = Cache(), bundled()
    robots = [registry.get(name) for name in registry.names()]
    cached = sum(map(cache.is_cached, robots))
    reached = _reaches(cache.base_url, timeout)
    answer = "answers" if reached else "cannot be reached"
    found = f"{cached} of {len(robots)} robots on disk, {cache.base_url} {answer}"
    yield judged("Menagerie", reached or cached == len(robots), found, mend)


def _reaches(url: str, timeout: float) -> bool:
    if url.startswith("file:"):
        return Path(url.removeprefix("file://")).is_dir()
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout).close()
    except urllib.error.HTTPError:
        return True  # a server that answers, if only that a folder is no file
    except (OSError, ValueError):
        return False
    return True


def _resolved(name: str) -> Path | None:
    """The folder, or the file, that `import name` reaches."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or [])
    return Path(folders[0] if folders else spec.origin or "").resolve()


def _local(here: Path, name: str) -> Path | None:
    """What a Python started in `here` would import under this name, if that is not ours."""
    candidates = (here / name / "__init__.py", here / f"{name}.py")  # a folder without __init__.py gives way to ours
    return next((path for path in candidates if path.is_file() and path.resolve().parent != HOME / name), None)


def _renders(backend: str) -> bool:
    environment = {**os.environ, "MUJOCO_GL": backend}
    return _output([sys.executable, "-c", RENDER], environment) is not None


def _ffmpeg() -> str | None:
    try:
        import imageio_ffmpeg

        path = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return None
    version = _output([path, "-version"])
    return f"{path} ({version.splitlines()[0].split(' Copyright')[0]})" if version else None


def _output(command: list[str], environment: dict[str, str] | None = None) -> str | None:
    """Standard output of a command, None if it fails or does not exist."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
