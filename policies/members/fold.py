"""A member of a policy as an ordinary actor-critic of its own: same actions, nothing left of the others."""

import torch
from gymnasium import spaces
from torch import nn

from policies.members.learner import MemberNormalizer, MemberPolicy
from policies.networks import ActorCritic, Layout, blank


@torch.no_grad()
def folded(policy: MemberPolicy, member: int, return_size: float) -> ActorCritic:
    """The actor-critic that a member of `policy` is.

    The first layers keep the member's channels in the order of its own row, the column of its mark becomes part of
    their bias, and the value comes back to the size of the member's own rewards.

    Args:
        policy: Over common rows.
        member: Which one.
        return_size: What the member's rewards were divided by.
    """
    row, normalizer = policy.row, policy.normalizer
    assert isinstance(normalizer, MemberNormalizer)
    columns = row.columns[member]
    privileged = policy.layout.actor_width == row.width
    layout = Layout.of(row.terms[member], privileged=privileged)
    joints = spaces.flatdim(policy.action_space)
    shape = policy.hidden, policy.activation
    own = blank(ActorCritic, len(layout.scale), joints, *shape, layout=layout)
    own.normalizer.mean.copy_(normalizer.of(member).mean[columns])
    own.normalizer.std.copy_(normalizer.of(member).std[columns])
    own.normalizer.count.copy_(normalizer.of(member).count)
    own.log_std.copy_(policy.log_std)
    _fold(policy.actor, own.actor, columns[: layout.actor_width], member)
    _fold(policy.critic, own.critic, columns, member)
    value = own.critic[-1]
    assert isinstance(value, nn.Linear)
    value.weight.mul_(return_size)
    value.bias.mul_(return_size)
    return own


def _fold(common: nn.Sequential, own: nn.Sequential, columns: torch.Tensor, member: int) -> None:
    """Copy a perceptron over common rows into one over the member's own channels."""
    own.load_state_dict({name: value for name, value in common.state_dict().items() if name[:2] != "0."}, strict=False)
    first, source = own[0], common[0]
    assert isinstance(first, nn.Linear)
    assert isinstance(source, nn.Linear)
    first.weight.copy_(source.weight[:, columns])
    first.bias.copy_(source.bias + source.weight[:, member])
