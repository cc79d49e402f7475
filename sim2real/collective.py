"""Learners in several processes, kept in step by torch.distributed: gloo between CPUs, NCCL between GPUs.

The process group exists before (Ray Train sets it up, or a test does). Each channel has a group of its own, since the
calls of a group must come in one order on every rank and two threads make none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from safetensors.torch import load, save

from envs.state_dicts import Tensors

CHANNELS = ("actor", "critic", "control")
TIMEOUT = timedelta(minutes=30)
"""Longest time that ranks wait for one of them, as for rank 0 while it evaluates."""


class PeerLostError(RuntimeError):
    """Another rank is gone: what a rank sees of a peer that was killed."""


class Together:
    """See `policies.collective.Collective`; means are taken where the tensors are, all else on the CPU."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._groups = {channel: dist.new_group(timeout=TIMEOUT) for channel in CHANNELS}
        self._host = dist.new_group(backend="gloo", timeout=TIMEOUT)

    def average(self, tensors: list[torch.Tensor], channel: str) -> None:
        """Replace each tensor by its mean over all ranks, in place, to the same bits on every rank.

        One reduction for all of them: between processes of one machine a call costs about as much as 100 kB.
        """
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _peers_there():
            dist.all_reduce(flat, group=self._groups[channel])
        flat /= self.size
        for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def first(self, value: torch.Tensor) -> torch.Tensor:
        shared = value.cpu().clone()
        with _peers_there():
            dist.broadcast(shared, src=0, group=self._host)
        return shared

    def gather(self, tensors: Tensors) -> list[Tensors]:
        plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        packed = torch.frombuffer(bytearray(save(plain)), dtype=torch.uint8)
        sizes = [torch.zeros(1, dtype=torch.long) for _ in range(self.size)]
        with _peers_there():
            dist.all_gather(sizes, torch.tensor([len(packed)]), group=self._host)
            if self.rank:
                dist.send(packed, dst=0, group=self._host)
                return []
            return [plain, *(self._received(rank, int(sizes[rank])) for rank in range(1, self.size))]

    def _received(self, rank: int, size: int) -> Tensors:
        packed = torch.empty(size, dtype=torch.uint8)
        dist.recv(packed, src=rank, group=self._host)
        return load(packed.numpy().tobytes())


@contextmanager
def _peers_there() -> Iterator[None]:
    """Say what a broken connection means.

    Raises:
        PeerLostError: torch.distributed failed below.
    """
    try:
        yield
    except RuntimeError as error:
        raise PeerLostError(f"another worker of this training is gone: {' '.join(str(error).split())[:300]}") from error
