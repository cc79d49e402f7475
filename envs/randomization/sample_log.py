"""The samples of a run: what every restart drew, as Parquet.

Rows are gathered in memory and written in blocks, each by rename, beside the checkpoint; a run that is resumed throws
away what came after its checkpoint. `finish` joins the blocks into one file.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from envs.disk import sync

BLOCK = 8192
"""Rows held in memory."""
BLOCKS = "samples-*.parquet"
"""Names of the files of a folder."""
COUNTERS = ("world", "episode", "env_step")
"""Columns before the values: which world, how many restarts it had before this one, environment steps before it."""


class SampleLog:
    """Rows (world, episode, env_step, value…) in `folder`.

    Args:
        folder: For the blocks.
        columns: Names of the values.
        num_worlds: Of the worlds that restart.
        clock: Environment steps so far.
        first_world: Number of the first of them, where others log further worlds.
    """

    def __init__(
        self, folder: Path, columns: Sequence[str], num_worlds: int, clock: Callable[[], int], first_world: int = 0
    ) -> None:
        self.folder, self.columns, self.clock, self.first_world = folder, tuple(columns), clock, first_world
        self.episodes = np.zeros(num_worlds, dtype=np.int64)
        self.blocks = 0
        self._counters = np.empty((BLOCK, len(COUNTERS)), dtype=np.int64)
        self._values = np.empty((BLOCK, len(self.columns)), dtype=np.float32)
        self._rows = 0
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, worlds: torch.Tensor, values: torch.Tensor) -> None:
        """Keep what `worlds`, (n,), drew: values, (n, num_columns)."""
        which, drawn = worlds.cpu().numpy(), values.cpu().numpy()
        for start in range(0, len(which), BLOCK):
            part = which[start : start + BLOCK]
            if self._rows + len(part) > BLOCK:
                self._write_block()
            rows = slice(self._rows, self._rows + len(part))
            self._counters[rows, 0], self._counters[rows, 1] = self.first_world + part, self.episodes[part]
            self._counters[rows, 2] = self.clock()
            self._values[rows] = drawn[start : start + BLOCK]
            self._rows += len(part)
        self.episodes[which] += 1

    def flush(self) -> torch.Tensor:
        """Write what is in memory; returns what `rewind` needs, (1 + num_worlds,)."""
        if self._rows:
            self._write_block()
        self._delete_later()  # left by a run that began here before and whose checkpoints are gone
        return torch.from_numpy(np.concatenate([[self.blocks], self.episodes]))

    def rewind(self, state: torch.Tensor) -> None:
        """Go on from where `flush` returned `state`: later blocks are deleted.

        Raises:
            FileNotFoundError: an earlier one is not there.
        """
        self.blocks, self.episodes = int(state[0]), state[1:].cpu().numpy().copy()
        self._rows = 0
        for path in map(self._path, range(self.blocks)):
            if not path.is_file():
                raise FileNotFoundError(
                    f"no samples {path}, on which the checkpoint counts; put them back, or delete the checkpoints "
                    "beside that folder to start anew"
                )
        self._delete_later()

    def _delete_later(self) -> None:
        for path in self.folder.glob(BLOCKS):
            if int(path.stem.removeprefix("samples-")) >= self.blocks:
                path.unlink()

    def finish(self, path: Path, others: Sequence[Path] = ()) -> Path:
        """Join all blocks in one file, those in the folders of `others` too, which were flushed."""
        self.flush()
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with pq.ParquetWriter(temporary, self._schema, compression="zstd") as writer:
                for block in [file for folder in (self.folder, *others) for file in sorted(folder.glob(BLOCKS))]:
                    writer.write_table(pq.read_table(block))
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        return path

    @property
    def _schema(self) -> pa.Schema:
        integers = [pa.field(name, pa.int64()) for name in COUNTERS]
        return pa.schema(integers + [pa.field(name, pa.float32()) for name in self.columns])

    def _path(self, index: int) -> Path:
        return self.folder / f"samples-{index:06d}.parquet"

    def _write_block(self) -> None:
        arrays = [*self._counters[: self._rows].T, *self._values[: self._rows].T]
        table = pa.table([pa.array(np.ascontiguousarray(array)) for array in arrays], schema=self._schema)
        path = self._path(self.blocks)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        pq.write_table(table, temporary, compression="zstd")
        sync(temporary)
        os.replace(temporary, path)
        sync(self.folder)  # a checkpoint that the disk has may count on this block
        self.blocks, self._rows = self.blocks + 1, 0
