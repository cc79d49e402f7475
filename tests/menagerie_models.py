"""Models of the MuJoCo Menagerie that are at hand: in MENAGERIE_ROOT, or as archives beside the checkout."""

import tarfile
from pathlib import Path

import pytest

ARCHIVES = Path(__file__).resolve().parents[2] / "shared" / "menagerie"


def unpack(name: str, folder: Path) -> None:
    """Unpack a model's archive into `folder`, or skip the test where there is none."""
    found = sorted(ARCHIVES.glob(f"archives*/{name}-*.tar.xz"))
    if not found:
        pytest.skip(f"no Menagerie model {name}: set MENAGERIE_ROOT, or put its archive into {ARCHIVES}")
    with tarfile.open(found[0]) as archive:
        archive.extractall(folder, filter="data")
