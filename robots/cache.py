"""Where generated robots are kept: `$SIM2REAL_CACHE_DIR`, by default `~/.cache/sim2real`."""

import hashlib
import os
import tempfile
from pathlib import Path


def cache_dir(kind: str) -> Path:
    """The folder for one kind of generated files; it may not exist yet."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("SIM2REAL_CACHE_DIR", home / "sim2real")) / kind


def write_addressed(folder: Path, text: str, suffix: str) -> Path:
    """Write `text` to a file named after its content; killed or concurrent writers leave no half file."""
    path = folder.resolve() / (hashlib.sha256(text.encode()).hexdigest()[:16] + suffix)
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder, suffix=suffix)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        Path(name).replace(path)
    return path
