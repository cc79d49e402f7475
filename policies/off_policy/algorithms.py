"""SAC and TQC for little data: every step is learned from many times, which PPO cannot.

Haarnoja et al. 2018, arXiv:1812.05905, and Kuznetsov et al. 2020, arXiv:2005.04269, as Stable-Baselines3 and
sb3-contrib have them; here is only how they begin. A skill's own rollouts fill the replay buffer first; critics then
learn from those alone; only then does the actor move, since a critic that knows nothing would unteach it.
"""

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import sb3_contrib
import stable_baselines3
import torch
from stable_baselines3.common.buffers import ReplayBuffer
from torch import nn

from envs.actions import ACTION_CLIP
from envs.worlds import Worlds
from policies.collective import ALONE
from policies.finite import DivergedError, refuse_weights
from policies.networks import Layout
from policies.normalizer import Normalizer
from policies.off_policy.networks import Parts, SacPolicy, TqcPolicy, linear_layers
from policies.off_policy.replay_buffer import OwnedReplayBuffer
from policies.perceptron import ACTIVATIONS
from policies.skill import Skill, SkillCard
from policies.stacked import one_frame
from policies.starting import STD, Start
from policies.vec_env import Sb3VecEnv


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of a run in few steps."""

    hidden: tuple[int, ...] = (128, 128)
    """Of an actor from scratch; one that starts from a skill keeps its shape."""
    critic_hidden: tuple[int, ...] = (128, 128)
    learning_rate: float = 3e-4
    """Of critics and temperature."""
    actor_rate: float = 3e-4
    """Of the actor."""
    updates: float = 0.5
    """For each environment step."""
    gamma: float = 0.97
    """Discount a control step."""
    tau: float = 0.005
    """Share of the critics that their slow copies take over an update."""
    batch_size: int = 256
    filled: float = 0.2
    """Share of the steps before anything is learned: the skill's own rollouts, or small random actions from scratch."""
    warm_up: int = 1000
    """Updates of the critics before the actor moves."""
    temperature: float = 1e-3
    """Weight of the entropy at first; it is then learned."""
    anchor: float = 0.1
    """Weight of the squared distance between the actor's actions and those of the skill it started from."""


class _OffPolicy:
    """What SAC and TQC here have over Stable-Baselines3's: a start, a warm-up, an owned generator, a skill.

    Args:
        env: The worlds, as `policies.starting.seen_by` gives them.
        steps: Environment steps in all.
        start: What the actor begins as; None for small random actions.
        privileged: Whether an actor from scratch sees what hardware cannot measure.
        seed: Of the owned generator and of the initial weights.
    """

    policy_class_here: type
    collective = ALONE
    replay_buffer: OwnedReplayBuffer
    policy: Any
    env: Sb3VecEnv
    num_timesteps: int
    _n_updates: int

    def __init__(
        self,
        env: Sb3VecEnv,
        *,
        steps: int,
        start: Start | None = None,
        privileged: bool = False,
        seed: int = 0,
        settings: Settings = Settings(),
        **others: Any,
    ) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.settings, self.steps, self.start = settings, steps, start
        worlds, card = env.env, start.skill.card if start else None
        self.card = card or _card(worlds, privileged, settings)
        self.layout = Layout.of(worlds.terms, privileged=self.card.privileged)
        joints = worlds.spec.num_joints
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.nn draws initial weights from it; GPUs' stay alone
            super().__init__(
                self.policy_class_here,  # type: ignore[call-arg]
                env,
                learning_rate=settings.learning_rate,
                gamma=settings.gamma,
                tau=settings.tau,
                batch_size=settings.batch_size,
                buffer_size=steps + 2 * env.num_envs,
                learning_starts=0,
                train_freq=1,
                gradient_steps=max(1, round(settings.updates * env.num_envs)),
                ent_coef=f"auto_{settings.temperature}",
                target_entropy=joints * (math.log(STD / ACTION_CLIP) + 1.4189385332046727),  # of a Gaussian of that σ
                replay_buffer_class=OwnedReplayBuffer,
                replay_buffer_kwargs={"generator": self.generator},
                policy_kwargs=self._policy_kwargs(settings),
                device="cpu",
                **others,
            )
        self._begin()
        self.anchor = self.skill(worlds.spec.name)

    def _policy_kwargs(self, settings: Settings) -> dict[str, Any]:
        skill = self.start.skill if self.start else None
        parts = Parts(
            normalizer=Normalizer(torch.tensor(self.layout.offset), torch.tensor(self.layout.scale)),
            actor_width=self.layout.actor_width,
            generator=self.generator,
            history=self.card.history,
            encoder=copy.deepcopy(skill.encoder).requires_grad_(True)  # type: ignore[arg-type]
            if skill and self.card.architecture == "conv"
            else None,
        )
        return {
            "net_arch": {"pi": list(self.card.hidden), "qf": list(settings.critic_hidden)},
            "activation_fn": ACTIVATIONS[self.card.activation],
            "parts": parts,
        }

    @torch.no_grad()
    def _begin(self) -> None:
        """Become the source skill: its layers, its normalizer, its exploration."""
        actor, normalizer = self.policy.actor, self.policy.parts.normalizer
        std = torch.full_like(actor.log_std.bias, STD)
        self.known = 0
        if self.start:
            skill = self.start.skill
            own = [layer for layer in skill.actor if isinstance(layer, nn.Linear)]
            for layer, source in zip(linear_layers(actor), own, strict=True):
                layer.load_state_dict(source.state_dict())
            skill.lend_statistics(normalizer)
            self.known = self.layout.actor_width
            if self.start.policy is not None:
                std = self.start.policy["log_std"].exp()
                normalizer.load_state_dict(
                    {name: self.start.policy[f"normalizer.{name}"] for name in normalizer.state_dict()}
                )
                self.known = len(normalizer.mean)
        actor.log_std.bias.copy_((std / ACTION_CLIP).log())

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seed the owned generator, and nothing global."""
        if seed is not None:
            self.generator.manual_seed(seed)

    def train(self, gradient_steps: int, batch_size: int = 256) -> None:
        """Nothing while the buffer fills; the critics alone, once; then as Stable-Baselines3 does."""
        if self.num_timesteps < self.settings.filled * self.steps:
            return
        if self._n_updates == 0:
            self._learn_normalizer()
            self.policy.actor.requires_grad_(False)
            super().train(self.settings.warm_up, batch_size)  # type: ignore[misc]
            self.policy.actor.requires_grad_(True)
        super().train(gradient_steps, batch_size)  # type: ignore[misc]
        if self.start:
            for _ in range(gradient_steps):
                self._hold_on(batch_size)
        refuse_weights(list(self.policy.parameters()), self.num_timesteps, self.settings.learning_rate)

    def _store_transition(
        self, replay_buffer: ReplayBuffer, buffer_action: Any, new_obs: Any, reward: Any, dones: Any, infos: Any
    ) -> None:
        """Keep a step of every world.

        Raises:
            DivergedError: a reward or an observation is not finite; the worlds are named.
        """
        for name, values in (("reward", reward), ("observation", new_obs)):
            wrong = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(1))
            if len(wrong):
                raise DivergedError(
                    f"non-finite {name} in {len(wrong)} of {len(values)} worlds (the first: {wrong[0]}) before "
                    f"{self.num_timesteps} steps; look at the task's reward terms and at the sensors and physics"
                )
        super()._store_transition(replay_buffer, buffer_action, new_obs, reward, dones, infos)  # type: ignore[misc]

    def _hold_on(self, batch_size: int) -> None:
        """A step towards the source skill, by the same Adam: on average one of both losses together.

        Kickstarting, Schmitt et al. 2018, arXiv:1803.03835, with the distance of Fujimoto & Gu 2021, arXiv:2106.06860.
        """
        seen = self.replay_buffer.sample(batch_size).observations
        actor = self.policy.actor
        with torch.no_grad():
            held = self.anchor(seen[:, : self.layout.actor_width])
        loss = self.settings.anchor * (actor.action(seen) - held).square().sum(-1).mean()
        actor.optimizer.zero_grad()
        loss.backward()
        actor.optimizer.step()

    def _update_learning_rate(self, optimizers: Any) -> None:
        super()._update_learning_rate(optimizers)  # type: ignore[misc]
        for group in self.policy.actor.optimizer.param_groups:
            group["lr"] = self.settings.actor_rate

    def _learn_normalizer(self) -> None:
        """From the buffer; the channels that the source skill knows stay as it knows them."""
        normalizer, known = self.policy.parts.normalizer, self.known
        mean, std = normalizer.mean[:known].clone(), normalizer.std[:known].clone()
        normalizer.count.zero_()
        normalizer.update(torch.from_numpy(self.replay_buffer.observations[: self.replay_buffer.stored]).flatten(0, 1))
        normalizer.mean[:known], normalizer.std[:known] = mean, std

    @torch.no_grad()
    def act(self, observation: torch.Tensor) -> torch.Tensor:
        """Deterministic actions, (n, num_joints), for observation rows."""
        return ACTION_CLIP * self.policy.actor(observation, deterministic=True)

    def skill(self, robot: str) -> Skill:
        """What was learned, on the robot that `robots.get` finds as `robot`; the network is copied, not imitated."""
        worlds = self.env.env
        card = SkillCard(
            **{field: getattr(self.card, field) for field in KEPT},
            robot=robot,
            model_hash=worlds.spec.model_hash,
            task=worlds.task.name,
            randomization=worlds.randomization,
            env_steps=self.num_timesteps,
        )
        skill = Skill.blank(card, one_frame(worlds).terms)
        own = [layer for layer in skill.actor if isinstance(layer, nn.Linear)]
        for layer, learned in zip(own, linear_layers(self.policy.actor), strict=True):
            layer.load_state_dict(learned.state_dict())
        if card.architecture == "conv":
            skill.encoder.load_state_dict(self.policy.actor.features_extractor.encoder.state_dict())
        normalizer = self.policy.parts.normalizer
        skill.normalizer.mean.copy_(normalizer.mean[: card.frame_width])
        skill.normalizer.std.copy_(normalizer.std[: card.frame_width])
        skill.normalizer.count.copy_(normalizer.count)
        return skill.requires_grad_(False)


KEPT = (
    "privileged",
    "history",
    "frame_width",
    "hidden",
    "num_joints",
    "architecture",
    "memory",
    "latent",
    "activation",
)
"""What a skill keeps of the card it was started from."""


class SAC(_OffPolicy, stable_baselines3.SAC):
    """Soft actor-critic that begins from a skill."""

    policy_class_here = SacPolicy


class TQC(_OffPolicy, sb3_contrib.TQC):
    """Truncated quantile critics that begin from a skill."""

    policy_class_here = TqcPolicy


ALGORITHMS: dict[str, type[SAC] | type[TQC]] = {"sac": SAC, "tqc": TQC}


def _card(worlds: Worlds, privileged: bool, settings: Settings) -> SkillCard:
    """Of an actor from scratch."""
    return SkillCard(
        robot=worlds.spec.name,
        model_hash=worlds.spec.model_hash,
        task=worlds.task.name,
        privileged=privileged,
        history=1,
        frame_width=worlds.width if privileged else worlds.actor_width,
        hidden=settings.hidden,
        num_joints=worlds.spec.num_joints,
    )
