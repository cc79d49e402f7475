"""Film one walk as an MP4, in a process of its own: what OpenGL does wrong ends here.

    MUJOCO_GL=egl python -m sim2real.report.film < JOB

JOB is a JSON mapping of `Job`; the last line of output is what was seen, or with exit code 3 why there is no OpenGL.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # importing mujoco fails where MUJOCO_GL names a library that is missing
    from numpy.typing import NDArray

    from robots.spec import RobotSpec
    from sim2real.report.walk import Walk

NO_OPENGL = 3
WIDTH, HEIGHT, FPS = 480, 360, 25
OVERSAMPLING = 2
"""Images are rendered so much larger and scaled down: smooth edges, cheaper than multisampling in software."""
QUALITY = 25
"""x264's constant rate factor: less is better and bigger."""
DISTANCE, AZIMUTH, ELEVATION = 5.4, 125.0, -15.0
"""Of the camera: units of L, degrees."""
CAMERA_SECONDS = 1.0
"""The camera follows a mean of the base's path over so long [s]."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to film."""

    skill: str
    """Path of a `skill.safetensors`."""
    robot: str
    task: str
    out: str
    """Path of the MP4."""
    paint: tuple[float, float, float]
    """Colour of the robot's body."""


def main() -> int:
    """Film the job on standard input."""
    job = Job(**json.load(sys.stdin))
    width, height = OVERSAMPLING * WIDTH, OVERSAMPLING * HEIGHT
    try:
        import mujoco
    except Exception as error:  # whatever a library that is missing or too old raises
        return _no_opengl(error)
    import robots
    from sim2real.report.scene import build_set

    model = build_set(robots.get(job.robot), width, height, job.paint)
    try:
        renderer = mujoco.Renderer(model, height, width)
    except Exception as error:
        return _no_opengl(error)
    print(json.dumps(shoot(job, renderer, model)))
    return 0


def _no_opengl(error: Exception) -> int:
    print(f"{type(error).__name__}: {error}", flush=True)
    return NO_OPENGL


def shoot(job: Job, renderer: Any, model: Any) -> dict[str, Any]:
    """Walk, render and encode; returns what was seen."""
    import imageio_ffmpeg

    import envs.tasks
    import robots
    from policies.skill import load_skill, terms_of
    from policies.threads import one_torch_thread
    from sim2real.report.walk import walk

    one_torch_thread()
    spec = robots.get(job.robot)
    skill = load_skill(Path(job.skill), terms_of(job.robot, job.task))
    walked = walk(spec, envs.tasks.get(job.task), skill.player())
    writer = imageio_ffmpeg.write_frames(
        job.out,
        (WIDTH, HEIGHT),
        fps=FPS,
        codec="libx264",
        pix_fmt_out="yuv420p",
        quality=None,
        macro_block_size=8,
        output_params=["-crf", str(QUALITY), "-preset", "veryfast", "-movflags", "+faststart"],
        ffmpeg_log_level="error",
    )
    writer.send(None)
    for frame in _frames(renderer, model, spec, walked):
        writer.send(frame)
    writer.close()
    return {"seconds": len(walked.act) / walked.control_hz, "falls": walked.falls}


def _frames(renderer: Any, model: Any, spec: "RobotSpec", walked: "Walk") -> Iterator[bytes]:
    """RGB images, `FPS` a second; where the robot fell the picture stops for a moment."""
    import mujoco
    import numpy as np

    from sim2real.report.captions import Captions

    captions, data, camera = Captions(WIDTH), mujoco.MjData(model), mujoco.MjvCamera()
    camera.distance, camera.azimuth, camera.elevation = DISTANCE * spec.length, AZIMUTH, ELEVATION
    path = _smooth(walked.qpos[:, :2], round(CAMERA_SECONDS * walked.control_hz), walked.fell)
    for tick in np.arange(0.0, len(walked.act), walked.control_hz / FPS).astype(int):
        data.qpos[:] = walked.qpos[tick]
        mujoco.mj_forward(model, data)
        camera.lookat[:] = (*path[tick], 0.72 * spec.length)
        renderer.update_scene(data, camera)
        image = captions.draw(renderer.render(), OVERSAMPLING, walked, int(tick))
        yield image.tobytes()


def _smooth(path: "NDArray[Any]", window: int, cut: "NDArray[Any]") -> "NDArray[Any]":
    """Centred running mean of (ticks, 2), apart for the stretches before and after a robot starts anew."""
    import numpy as np

    pieces = np.split(path, np.flatnonzero(cut[:-1] & ~cut[1:]) + 1)
    kernel = np.ones(window) / window
    smoothed = []
    for piece in pieces:
        padded = np.pad(piece, ((window // 2, window - 1 - window // 2), (0, 0)), mode="edge")
        columns = [np.convolve(column, kernel, mode="valid") for column in padded.T]
        smoothed.append(np.stack(columns, -1))
    return np.concatenate(smoothed)


if __name__ == "__main__":
    sys.exit(main())
