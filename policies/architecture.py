"""The shapes a skill's network may have, for code without torch too: exporters, numpy, the robot's computer.

Raw frames are normalized first. Then
    mlp    actor(all frames of the history, oldest first)
    conv   actor(newest frame, latent), latent = encoder(all frames): `embed` for each frame, convolutions along time,
           a linear `head` over all that the last one gives
    gru    actor(newest frame, latent), latent = `head` of a recurrent state that the encoder updates with each frame;
           zeros when an episode starts
"""

from typing import Literal

Architecture = Literal["mlp", "conv", "gru"]
Activation = Literal["elu", "tanh", "relu"]

CONV_KERNEL, CONV_STRIDE = 3, 2
"""Frames that a convolution spans, and from one of its outputs to the next; no padding."""
CONV_CHANNELS = 32
"""Of `embed` and of every convolution."""


def conv_lengths(history: int) -> tuple[int, ...]:
    """Frames before each convolution and behind the last: convolutions go on while their kernel fits.

    Raises:
        ValueError: the history is shorter than one kernel.
    """
    if history < CONV_KERNEL:
        raise ValueError(f"history must be >= {CONV_KERNEL} for a convolution along time, got {history}")
    lengths = [history]
    while lengths[-1] >= CONV_KERNEL:
        lengths.append((lengths[-1] - CONV_KERNEL) // CONV_STRIDE + 1)
    return tuple(lengths)
