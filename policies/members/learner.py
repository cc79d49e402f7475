"""PPO over several members: every member has its own normalizer, its own advantage scale, an equal share of updates."""

from typing import Any, cast

import torch
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from envs.worlds import Worlds
from policies.collective import ALONE, Collective
from policies.export.numpy_policy import NORMALIZED_CLIP
from policies.hyperparameters import Hyperparameters
from policies.members.common_row import CommonRow
from policies.members.worlds import MemberWorlds
from policies.networks import ActorCritic
from policies.normalizer import Normalizer
from policies.ppo import PPO
from policies.vec_env import Sb3VecEnv


class MemberNormalizer(nn.Module):
    """A `Normalizer` for each member over common rows; a row's one-hot says whose it is, and passes as it is."""

    def __init__(self, row: CommonRow) -> None:
        super().__init__()
        self.num_members = row.num_members
        constants = torch.zeros(row.width), torch.ones(row.width)
        self.members = nn.ModuleList(Normalizer(*constants, mask=mask) for mask in row.present())

    def of(self, member: int) -> Normalizer:
        """The statistics of one member."""
        normalizer = self.members[member]
        assert isinstance(normalizer, Normalizer)
        return normalizer

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(..., width) common rows to normalized."""
        member = rows[..., : self.num_members].argmax(-1)
        every = range(self.num_members)
        mean, std = (torch.stack([getattr(self.of(k), name) for k in every])[member] for name in ("mean", "std"))
        return ((rows - mean) / std).clamp(-NORMALIZED_CLIP, NORMALIZED_CLIP)

    @torch.no_grad()
    def update(self, rows: torch.Tensor, collective: Collective = ALONE) -> None:
        """Take in a batch of common rows, (n, width), each for its member; as of `Normalizer`."""
        member = rows[:, : self.num_members].argmax(-1)
        for index in range(self.num_members):
            self.of(index).update(rows[member == index], collective)


class MemberPolicy(ActorCritic):
    """Actor and critic over common rows.

    Args:
        row: What the policy reads.
        privileged: Whether the actor sees what hardware cannot measure.
        kwargs: As of `ActorCritic`.
    """

    def __init__(self, *spaces: Any, row: CommonRow, privileged: bool, **kwargs: Any) -> None:
        self.row = row
        super().__init__(*spaces, layout=row.layout(privileged=privileged), **kwargs)

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        self.normalizer = MemberNormalizer(self.row)  # type: ignore[assignment]  # same calls


class MemberPPO(PPO):
    """PPO whose advantages are standardized member by member.

    Args:
        worlds: What all members do.
        privileged: Whether the actor sees what hardware cannot measure.
        kwargs: As of `PPO`.

    Raises:
        ValueError: the hyperparameters ask for mirror images.
    """

    policy_of_members: type[ActorCritic] = MemberPolicy

    def __init__(self, worlds: MemberWorlds, *, privileged: bool, **kwargs: Any) -> None:
        self.num_members = len(worlds.members)
        if kwargs.get("hyperparameters", Hyperparameters()).mirror:
            raise ValueError("mirror must be false for several members, got true: their rows have no mirror image")
        shape = {"row": worlds.row, "privileged": privileged} | kwargs.pop("policy_kwargs", {})
        env = Sb3VecEnv(cast(Worlds, worlds))  # has all of it that a VecEnv uses
        super().__init__(self.policy_of_members, env, policy_kwargs=shape, **kwargs)

    def _standardized(self, advantages: torch.Tensor) -> torch.Tensor:
        """Advantages, (num_steps·num_envs,), each member's with mean 0 and deviation 1."""
        assert self.env is not None
        standardized = torch.empty_like(advantages)
        shape = (-1, self.num_members, self.env.num_envs // self.num_members)
        for member in range(self.num_members):
            own = advantages.view(shape)[:, member]
            standardized.view(shape)[:, member] = super()._standardized(own.flatten()).view(own.shape)
        return standardized
