"""PPO for one policy over several bodies: every minibatch holds equally many samples of each, body by body.

What a body's perceptron is given is then one block of rows, and nothing is computed for joints that are not there.
"""

import torch

from policies.members.learner import MemberPPO
from policies.tokens.policy import TokenPolicy


class TokenPPO(MemberPPO):
    """`MemberPPO` whose members may have any joints."""

    policy: TokenPolicy
    policy_of_members = TokenPolicy

    def _shuffled(self, num_samples: int) -> tuple[torch.Tensor, ...]:
        """Rows of an epoch's minibatches, those of the first member first."""
        assert self.env is not None
        num_envs = self.env.num_envs
        per_member = num_envs // self.num_members
        shares = []
        for member in range(self.num_members):
            order = torch.randperm(num_samples // self.num_members, generator=self.generator, device=self.device)
            step, world = order // per_member, order % per_member
            shares.append((step * num_envs + member * per_member + world).chunk(self.num_minibatches))
        return tuple(torch.cat(own) for own in zip(*shares, strict=True))
