"""Films as files: H.264 in MP4, or an animated WebP or GIF that plays without end."""

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

QUALITY = 25
"""x264's constant rate factor: less is better and bigger."""
PALETTE = "split[a][b];[a]palettegen=stats_mode=diff[p];[b][p]paletteuse=dither=bayer:bayer_scale=4"
"""A GIF has 256 colours: those that this film needs most."""
CODECS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    ".mp4": ("libx264", "yuv420p", ("-crf", str(QUALITY), "-preset", "veryfast", "-movflags", "+faststart")),
    ".webp": ("libwebp_anim", "yuv420p", ("-quality", "70", "-loop", "0")),
    ".gif": ("gif", "pal8", ("-filter_complex", PALETTE, "-loop", "0")),
}
"""Suffix -> encoder, pixel format, and its options."""


def check_suffix(path: Path) -> None:
    """Refuse a file that is no film.

    Raises:
        ValueError: its suffix is not one of `CODECS`.
    """
    if path.suffix.lower() not in CODECS:
        raise ValueError(f"a film is one of {', '.join(CODECS)} by its suffix, got {str(path)!r}")


def encode(path: Path, images: Iterable[Image.Image], size: tuple[int, int], fps: int) -> int:
    """Write images of (width, height) [pixel] as a film; returns how many there were."""
    import imageio_ffmpeg

    codec, pixels, options = CODECS[path.suffix.lower()]
    writer = imageio_ffmpeg.write_frames(
        str(path),
        size,
        fps=fps,
        codec=codec,
        pix_fmt_out=pixels,
        quality=None,
        macro_block_size=8,
        output_params=list(options),
        ffmpeg_log_level="error",
    )
    writer.send(None)
    count = 0
    for image in images:
        writer.send(image.tobytes())
        count += 1
    writer.close()
    return count
