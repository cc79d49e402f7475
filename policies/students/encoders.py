"""Encoders of students: what a history of measurable frames says about what a teacher is told.

A temporal convolution over the last frames (as the adaptation module of RMA: Kumar et al. 2021, arXiv:2107.04034), or a
recurrent state (gated recurrent unit: Cho et al. 2014, arXiv:1406.1078). Parameter names are those of bundles.
"""

import torch
from torch import nn

from policies.architecture import CONV_CHANNELS, CONV_KERNEL, CONV_STRIDE, conv_lengths
from policies.perceptron import ACTIVATIONS


class ConvEncoder(nn.Module):
    """Frames of a history to a latent.

    Args:
        history, frame_width: Of the frames, oldest first.
        latent: Width of what comes out.
        activation: Behind `embed` and every convolution; `head` is linear.
    """

    def __init__(self, history: int, frame_width: int, latent: int, activation: str) -> None:
        super().__init__()
        *before, last = conv_lengths(history)
        self.embed = nn.Linear(frame_width, CONV_CHANNELS)
        self.conv = nn.ModuleList(nn.Conv1d(CONV_CHANNELS, CONV_CHANNELS, CONV_KERNEL, CONV_STRIDE) for _ in before)
        self.head = nn.Linear(CONV_CHANNELS * last, latent)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """(n, latent) of normalized frames, (n, history, frame_width); `head` reads (channel, time) flattened."""
        values = self.activation(self.embed(frames)).transpose(-1, -2)
        for convolution in self.conv:
            values = self.activation(convolution(values))
        return self.head(values.flatten(-2))


class GruEncoder(nn.Module):
    """Frames one by one to a latent, through a recurrent state of width `memory`."""

    def __init__(self, frame_width: int, memory: int, latent: int) -> None:
        super().__init__()
        self.gru = nn.GRUCell(frame_width, memory)
        self.head = nn.Linear(memory, latent)

    def forward(self, frame: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Latent, (n, latent), and next state, (n, memory), for a normalized frame, (n, frame_width), and a state."""
        following = self.gru(frame, state)
        return self.head(following), following

    def unroll(
        self, frames: torch.Tensor, state: torch.Tensor, started: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents, (num_steps, n, latent), and the last state, through which gradients flow back to the first frame.

        Args:
            frames: (num_steps, n, frame_width) normalized.
            state: (n, memory) before the first.
            started: (num_steps, n) bool, True where a frame is the first of its episode: its state is zero before.
        """
        states = []
        for frame, begins in zip(frames, started[..., None], strict=True):
            state = self.gru(frame, state.masked_fill(begins, 0.0))
            states.append(state)
        return self.head(torch.stack(states)), state
