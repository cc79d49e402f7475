"""What a teacher's privileged channels tell it, as few numbers that a student can learn to guess (RMA's latent).

Kumar et al. 2021, arXiv:2107.04034, train an encoder of privileged channels with the teacher. Here no second network is
needed: a perceptron hears of its privileged channels z only through W_z z, their share of its first hidden layer. With
W_z = U Σ Vᵀ the numbers ℓ = Σ Vᵀ z say the same, W_z z = U ℓ; the leading k of them say the most that k numbers can.
"""

from collections.abc import Sequence

import torch
from torch import nn

from envs.state_dicts import prefixed
from policies.skill import Skill


class PrivilegedLatent:
    """Targets of a student's encoder.

    Args:
        teachers: Their channels mean the same, whatever their robots' units; several share one latent.
        measurable: Leading channels that the student reads itself.
        width: Of the latent.

    Raises:
        ValueError: the teachers' privileged channels differ, or do not give as many numbers.
    """

    def __init__(self, teachers: Sequence[Skill], measurable: int, width: int) -> None:
        widths = {skill.card.frame_width - measurable for skill in teachers}
        most = min(min(widths), sum(skill.card.hidden[0] for skill in teachers))
        if len(widths) > 1 or not 1 <= width <= most:
            raise ValueError(
                f"latent must be within 1..{most}, what the teachers' privileged channels amount to (widths "
                f"{sorted(widths)}, which must agree), got {width}; leave it out, or distill the teachers apart"
            )
        self.measurable = measurable
        first = teachers[0].normalizer
        self.mean, self.std = first.mean[measurable:], first.std[measurable:]
        shares = [self._weights(skill) * self.std / skill.normalizer.std[measurable:] for skill in teachers]
        u, sigma, v = torch.linalg.svd(torch.cat(shares).double(), full_matrices=False)
        self.projection = (sigma[:width, None] * v[:width]).float().contiguous()
        """(width, privileged channels): Σ Vᵀ; laid out as if read from a file, since products round by layout."""
        self.basis = u[:, :width].float()
        """(hidden, width): U, how the latent enters the teachers' first hidden layers."""

    def _weights(self, skill: Skill) -> torch.Tensor:
        return first_layer(skill).weight.detach()[:, self.measurable :]

    @torch.no_grad()
    def __call__(self, teacher: Skill, observation: torch.Tensor) -> torch.Tensor:
        """(n, width) for a teacher's raw observation rows, (n, at least its frame_width)."""
        normalizer, width = teacher.normalizer, teacher.card.frame_width
        dimensionless = (observation[:, :width] - normalizer.offset) * normalizer.scale
        return ((dimensionless[:, self.measurable :] - self.mean) / self.std) @ self.projection.T

    @torch.no_grad()
    def hand_over(self, teacher: Skill, student: Skill) -> bool:
        """Let the student's actor begin as its teacher's, the latent in place of z; False where their sizes differ."""
        if (teacher.card.hidden, teacher.card.activation) != (student.card.hidden, student.card.activation):
            return False
        first = first_layer(teacher)
        weights = {name: value for name, value in teacher.actor.state_dict().items() if not name.startswith("0.")}
        own = first_layer(student)
        student.actor.load_state_dict(weights | prefixed("0", own.state_dict()))
        own.weight.copy_(torch.cat([first.weight[:, : self.measurable], self.basis], 1))
        own.bias.copy_(first.bias)
        for name in ("mean", "std"):
            getattr(student.normalizer, name).copy_(getattr(teacher.normalizer, name)[: self.measurable])
        student.normalizer.count.copy_(teacher.normalizer.count)
        return True


def first_layer(skill: Skill) -> nn.Linear:
    """Of the actor."""
    layer = skill.actor[0]
    assert isinstance(layer, nn.Linear)
    return layer
