"""A film of a target, made where there is no screen: OpenGL is tried as MUJOCO_GL says, then through EGL and OSMesa."""

import json
import os
import subprocess
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sim2real.report.film import NO_OPENGL
from sim2real.report.video import HOW_TO_GET, backends, in_process, last_line
from sim2real.view.film import BAD_INPUT, Job


def shoot(job: Job) -> dict[str, Any]:
    """Make a film; returns its length [s] and number of frames.

    Raises:
        ValueError: what is to be filmed makes no sense.
        RuntimeError: there is no OpenGL, or filming failed.
    """
    for backend in backends():
        done = _film(job, backend)
        if done.returncode == 0:
            return json.loads(last_line(done.stdout))
        if done.returncode == BAD_INPUT:
            raise ValueError(last_line(done.stdout))
        if done.returncode != NO_OPENGL:
            raise RuntimeError(f"filming failed: {last_line(done.stderr)}")
    raise RuntimeError(f"a film needs OpenGL, which is not available ({last_line(done.stdout)}). {HOW_TO_GET}")


def _film(job: Job, backend: str) -> "subprocess.CompletedProcess[str]":
    """Film into a folder beside `job.out`, so that a film of that name is replaced by a whole one or stays."""
    out = Path(job.out)
    with tempfile.TemporaryDirectory(prefix=".film-", dir=out.parent) as folder:
        made = Path(folder) / out.name
        done = in_process(
            "sim2real.view.film", asdict(replace(job, out=str(made))), backend, os.cpu_count() or 1, timeout=None
        )
        if done.returncode == 0:
            made.replace(out)
    return done
