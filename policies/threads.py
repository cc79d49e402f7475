"""Torch's threads: one, since two that spin beside the physics threads cost 2-7 times more."""

import torch


def one_torch_thread() -> None:
    """Let torch's operators run on the calling thread alone, in this process."""
    torch.set_num_threads(1)
