"""The benchmark's end: a peer's virtual environment, its process, and turns of it."""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.machine import cpu_seconds

HERE = Path(__file__).parent
NETWORK = ("--retries", "1", "--timeout", "15")
"""Of pip: an offline machine is told apart soon."""
COMPLETE = "complete"
"""A file that is written last: a virtual environment without it was interrupted and is made again."""
PATIENCE = 30.0
"""Of a peer that should end [s]."""


class MissingError(Exception):
    """A peer cannot be had on this machine; the message says why."""


@dataclass(frozen=True)
class Peer:
    """Something that steps HalfCheetah-v5, or learns on it."""

    name: str
    script: str
    """In this folder."""
    sizes: Sequence[int]
    """Numbers of environments to choose the fastest from."""
    requirements: tuple[str, ...] = ()
    """What its own virtual environment holds; without any it runs in the benchmark's."""
    additions: tuple[str, ...] = ()
    """Packages it needs beside the benchmark's own, installed without what they require: torch stays as it is."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of its environment."""

    def interpreter(self) -> str:
        """Path of the Python that runs it; its virtual environment is made when first asked for.

        Raises:
            MissingError: its packages cannot be installed.
        """
        if not self.requirements:
            return sys.executable
        folder = _folder(self.requirements)
        python = folder / "bin" / "python"
        if not ((folder / COMPLETE).exists() and python.exists()):
            _make(folder, self.requirements)
        return str(python)

    def python_path(self) -> dict[str, str]:
        """PYTHONPATH under which its additions are found; nothing without any.

        Raises:
            MissingError: they cannot be installed.
        """
        if not self.additions:
            return {}
        folder = _folder(self.additions)
        if not (folder / COMPLETE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            _install(sys.executable, ("--no-deps", "--target", str(folder), *self.additions))
            (folder / COMPLETE).touch()
        return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))}


def cache_dir() -> Path:
    """Where virtual environments of peers are kept."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("SIM2REAL_CACHE_DIR", home / "sim2real")) / "peers"


def _folder(packages: tuple[str, ...]) -> Path:
    return cache_dir() / hashlib.sha256("\n".join((sys.version, *packages)).encode()).hexdigest()[:16]


def _make(folder: Path, requirements: tuple[str, ...]) -> None:
    try:
        venv.create(folder, clear=True, with_pip=True, symlinks=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise MissingError(f"a virtual environment in {folder} cannot be made: {error}") from error
    _install(str(folder / "bin" / "python"), requirements)
    (folder / COMPLETE).touch()


def _install(python: str, arguments: tuple[str, ...]) -> None:
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *NETWORK]
    done = subprocess.run([*pip, *arguments], capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr.strip()]
        raise MissingError(f"pip cannot install {' '.join(arguments)}: {errors[-1][:200]}")


class Running:
    """A started peer."""

    def __init__(self, peer: Peer, num_envs: int, num_threads: int) -> None:
        """Start it and wait until it is ready.

        Raises:
            MissingError: it ends instead.
        """
        self.peer, self.num_envs = peer, num_envs
        command = [peer.interpreter(), str(HERE / peer.script)]
        command += ["--num-envs", str(num_envs), "--num-threads", str(num_threads)]
        variables = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "HALF_CHEETAH_XML": str(half_cheetah_xml()),
            **peer.python_path(),
            **peer.variables,
        }
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 -- a full pipe would stop it; `close` closes
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints, text=True, env=variables
        )
        self.processes = tuple(self._answer()["processes"])
        self.turn_steps = num_envs
        """Environment steps of a turn."""
        self.per_s: list[float] = []
        """Environment steps per second, one figure a turn."""
        self.per_cpu_s: list[float] = []

    def size_turns(self, seconds: float) -> None:
        """Make a turn last about `seconds`, by its speed once it has warmed up."""
        self.take_turn(1)
        self.turn_steps = max(self.num_envs, round(self.take_turn(8 * self.num_envs) * seconds))
        self.per_s.clear()
        self.per_cpu_s.clear()

    def take_turn(self, steps: int = 0) -> float:
        """Have it advance `steps`, by default those of a turn, or a few more; returns how many a second."""
        assert self.process.stdin is not None
        before = cpu_seconds(self.processes)
        with suppress(BrokenPipeError):  # it has ended: `_answer` says why
            self.process.stdin.write(f"{steps or self.turn_steps}\n")
            self.process.stdin.flush()
        answer = self._answer()
        self.per_s.append(answer["steps"] / answer["seconds"])
        self.per_cpu_s.append(answer["steps"] / max(cpu_seconds(self.processes) - before, 1e-2))
        return self.per_s[-1]

    def _answer(self) -> dict:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        while line and not line.startswith("{"):  # a library talks while it is imported
            line = self.process.stdout.readline()
        if not line:
            self._complaints.seek(0)
            last = (self._complaints.read().strip().splitlines() or ["silently"])[-1]
            self.close()
            raise MissingError(f"{self.peer.script} ended: {last[:200]}")
        return json.loads(line)

    def close(self) -> None:
        """End it: its input ends. One that does not listen is killed."""
        try:
            self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._complaints.close()


def half_cheetah_xml() -> Path:
    """Gymnasium's model."""
    found = importlib.util.find_spec("gymnasium")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "envs" / "mujoco" / "assets" / "half_cheetah.xml"
