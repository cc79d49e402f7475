"""Actors and critics of SAC and TQC around the network of a skill, so that what they learn is a skill again.

Stable-Baselines3's squashed Gaussian gives action = clip·tanh(u), u ~ N(μ, σ). Here the network says the action itself,
a, and μ = artanh(a / clip): the deterministic action is a, clipped, so the network can be copied from a skill and back
without loss. Every random number comes from one owned generator.
"""

from dataclasses import dataclass
from typing import Any

import torch
from gymnasium import spaces
from sb3_contrib.tqc import policies as tqc
from stable_baselines3.common.distributions import SquashedDiagGaussianDistribution
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.sac import policies as sac
from torch import nn

from envs.actions import ACTION_CLIP
from policies.normalizer import Normalizer
from policies.students.encoders import ConvEncoder

SATURATION = 0.999
"""Share of the clip that a deterministic action reaches: beyond it artanh explodes."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What actor and critics share, or the actor has from a skill."""

    normalizer: Normalizer
    actor_width: int
    """Leading channels of an observation that the actor reads."""
    generator: torch.Generator
    history: int = 1
    """Frames in those channels."""
    encoder: ConvEncoder | None = None
    """Of the frames; its weights are the actor's."""


class Normalized(BaseFeaturesExtractor):
    """The leading `width` channels of an observation row, normalized."""

    def __init__(self, space: spaces.Space, normalizer: Normalizer, width: int) -> None:
        super().__init__(space, width)
        self.normalizer, self.width = normalizer, width

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        return self.normalizer(observation)[:, : self.width]


class Encoded(Normalized):
    """The newest of several frames, normalized, and what an encoder makes of all."""

    def __init__(self, space: spaces.Space, parts: Parts) -> None:
        assert parts.encoder is not None
        super().__init__(space, parts.normalizer, parts.actor_width)
        self.encoder, self.history = parts.encoder, parts.history
        self._features_dim = parts.actor_width // parts.history + parts.encoder.head.out_features

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        frames = super().forward(observation).unflatten(-1, (self.history, -1))
        return torch.cat([frames[:, -1], self.encoder(frames)], -1)


class _OwnedGaussian(SquashedDiagGaussianDistribution):
    """Samples from a generator of its own."""

    def __init__(self, action_dim: int, generator: torch.Generator) -> None:
        super().__init__(action_dim)
        self.generator = generator

    def sample(self) -> torch.Tensor:
        mean, std = self.distribution.mean, self.distribution.stddev
        self.gaussian_actions = mean + std * torch.randn(mean.shape, generator=self.generator)
        return torch.tanh(self.gaussian_actions)


def layer_normed(activation: type[nn.Module]) -> type[nn.Module]:
    """`activation` of values that are normalized over the layer first.

    It bounds what a critic says of actions that nobody has tried, which its actor would otherwise believe (Ball et al.
    2023, arXiv:2302.02948).
    """

    class LayerNormed(activation):  # type: ignore[misc, valid-type]
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return super().forward(nn.functional.layer_norm(values, values.shape[-1:]))

    return LayerNormed


class _Actor:
    """The part of an SB3 actor that says what its network means."""

    def __init__(self, *, generator: torch.Generator, **others: Any) -> None:
        super().__init__(**others)
        self.action_dist = _OwnedGaussian(spaces.flatdim(others["action_space"]), generator)

    def action(self, obs: torch.Tensor) -> torch.Tensor:
        """(n, num_joints) that the network says, before it is clipped."""
        actor: Any = self
        return actor.mu(actor.latent_pi(actor.extract_features(obs, actor.features_extractor)))

    def get_action_dist_params(self, obs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        action, log_std, others = super().get_action_dist_params(obs)  # type: ignore[misc]
        return torch.atanh((action / ACTION_CLIP).clamp(-SATURATION, SATURATION)), log_std, others


class SacActor(_Actor, sac.Actor):
    """See `_Actor`."""


class TqcActor(_Actor, tqc.Actor):
    """See `_Actor`."""


class _Policy:
    """The part of an SB3 policy that builds actor and critics on `Parts`."""

    actor_class: type

    def __init__(self, *given: Any, parts: Parts, **others: Any) -> None:
        self.parts = parts
        super().__init__(*given, **others)

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> Any:
        parts, space = self.parts, self.observation_space  # type: ignore[attr-defined]
        features: Normalized = (
            Encoded(space, parts) if parts.encoder else Normalized(space, parts.normalizer, parts.actor_width)
        )
        given = self._update_features_extractor(self.actor_kwargs, features)  # type: ignore[attr-defined]
        actor = self.actor_class(generator=parts.generator, **given)
        with torch.no_grad():  # begin with small actions and the same exploration everywhere
            for layer, factor in ((actor.mu, 0.01), (actor.log_std, 0.0)):
                layer.weight.mul_(factor)
                layer.bias.zero_()
        return actor

    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> Any:
        parts, space = self.parts, self.observation_space  # type: ignore[attr-defined]
        self.critic_kwargs: dict[str, Any]
        self.critic_kwargs |= {"activation_fn": layer_normed(self.activation_fn)}  # type: ignore[attr-defined]
        return super().make_critic(Normalized(space, parts.normalizer, len(parts.normalizer.scale)))  # type: ignore[misc]


class SacPolicy(_Policy, sac.SACPolicy):
    """Actor and two critics of SAC."""

    actor_class = SacActor


class TqcPolicy(_Policy, tqc.TQCPolicy):
    """Actor and two quantile critics of TQC."""

    actor_class = TqcActor


def linear_layers(actor: Any) -> list[nn.Linear]:
    """Of an SB3 actor, from observation to action."""
    return [layer for layer in actor.latent_pi if isinstance(layer, nn.Linear)] + [actor.mu]
