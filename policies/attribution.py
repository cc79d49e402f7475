"""What each joint's action listens to, and whether that is so: integrated gradients, checked by deletion.

Of an action a_j, the input x_c earns (x_c − b_c)·∫₀¹ ∂a_j/∂x_c (b + α(x − b)) dα; all inputs together earn
a_j(x) − a_j(b) (Sundararajan et al. 2017, arXiv:1703.01365, equation 1 and proposition 1). The baseline b is the mean
of the states that the policy visits: deleting an input puts the same number in its place, so that both ask how much
what an input says differs from what it usually says. Actions are dimensionless, observations raw SI.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from envs.embodiments.embodiment import Actor
from envs.observations import Term
from policies.players import Player
from policies.skill import Skill

Array = NDArray[np.float64]
POINTS = 16
"""Of the Gauss-Legendre quadrature along the path; ELU bends the gradient only so much."""
STRIDE = 10
"""Every so many control ticks the states are kept: neighbours say the same."""
TOP = 3
"""Inputs that are deleted at once."""
DRAWS = 6
"""Random choices of as many inputs that the deletion is compared with."""
OWN, OTHERS = "own", "others'"


@dataclass(frozen=True, kw_only=True)
class Input:
    """One channel of an observation frame."""

    term: str
    joint: int
    """Whose sensor it is; -1 where it is no joint's."""


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """Mean over visited states of what inputs earn of each action, without sign, in units of action."""

    senses: tuple[str, ...]
    """Columns of `by_sense`: a term, of joints' terms apart what the acting joint and what the other joints say."""
    by_sense: Array
    """(num_joints, len(senses)); inputs of one sense are added up, with their signs, before the mean."""
    by_joint: Array
    """(num_joints, num_joints): what each joint's action earns from all sensors of each joint, likewise."""
    of_inputs: Array
    """(frame_width,) of single channels, added up over actions and frames."""
    baseline: torch.Tensor
    """(frame_width,) mean of the newest frames."""
    incompleteness: float
    """|Σ earned − (a(x) − a(b))|, mean over states and joints, as a share of mean |a(x) − a(b)|: the quadrature's."""
    states: int


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """How much of the score the most and randomly chosen inputs carry."""

    deleted: tuple[str, ...]
    """The inputs with the largest attribution."""
    score: float
    """Undisturbed."""
    top_score: float
    """Without those inputs."""
    random_scores: tuple[float, ...]
    """Without as many others, a number for each draw."""

    @property
    def top_drop(self) -> float:
        return self.score - self.top_score

    @property
    def random_drop(self) -> float:
        """Mean over the draws."""
        return self.score - float(np.mean(self.random_scores))


class Watched:
    """A skill at work whose frames are kept, every `STRIDE`-th tick.

    Raises:
        ValueError: the skill keeps a state, which no observation shows.
    """

    def __init__(self, skill: Skill) -> None:
        if skill.card.memory:
            raise ValueError(
                f"what a recurrent skill attends to is not in what it sees (gru, memory {skill.card.memory}); "
                "name its teacher, or a student whose encoder is mlp or conv"
            )
        self.player, self.ticks = Player(skill), 0
        self.kept: list[torch.Tensor] = []

    @torch.no_grad()
    def __call__(self, observation: torch.Tensor) -> torch.Tensor:
        """Actions, (n, num_joints)."""
        frames, _ = self.player.perceive(observation)
        if self.ticks % STRIDE == 0:
            self.kept.append(frames.clone())
        self.ticks += 1
        return self.player.skill.decide(frames)[0]

    def frames(self, most: int, generator: torch.Generator) -> torch.Tensor:
        """(at most `most`, history·frame_width) of the kept states, drawn without replacement."""
        every = torch.cat(self.kept)
        return every[torch.randperm(len(every), generator=generator)[:most]]


def inputs(terms: Sequence[Term], num_joints: int, width: int) -> tuple[Input, ...]:
    """The leading `width` channels of `terms`; joints with encoders but no motor are no acting joint's."""
    found = [
        Input(term=term.name, joint=channel if _is_of_joints(term) and channel < num_joints else -1)
        for term in terms
        for channel in range(term.width)
    ]
    return tuple(found[:width])


def integrated_gradients(
    policy: Callable[[torch.Tensor], torch.Tensor], states: torch.Tensor, baseline: torch.Tensor, points: int = POINTS
) -> torch.Tensor:
    """What every input earns of every action.

    Args:
        policy: (n, width) to (n, num_actions), differentiable.
        states: (n, width).
        baseline: (width,).
        points: Of the quadrature.

    Returns:
        (n, num_actions, width).
    """
    place, weight = np.polynomial.legendre.leggauss(points)
    alpha = torch.tensor((place + 1.0) / 2.0, dtype=states.dtype)[:, None, None]
    weights = torch.tensor(weight / 2.0, dtype=states.dtype)[:, None, None]
    path = (baseline + alpha * (states - baseline)).flatten(0, 1).requires_grad_()
    actions = policy(path)
    slopes = [
        torch.autograd.grad(actions[:, joint].sum(), path, retain_graph=True)[0] for joint in range(actions.shape[1])
    ]
    mean_slopes = [(slope.view(points, *states.shape) * weights).sum(0) for slope in slopes]
    return torch.stack(mean_slopes, 1) * (states - baseline)[:, None]


def attribute(skill: Skill, terms: Sequence[Term], states: torch.Tensor) -> Attribution:
    """What each joint's action listens to in `states`, (n, history·frame_width), as `Watched` keeps them."""
    card = skill.card
    named = inputs(terms, card.num_joints, card.frame_width)
    baseline = states.mean(0)
    earned = integrated_gradients(lambda frames: skill.decide(frames)[0], states, baseline)
    with torch.no_grad():
        moved = skill.decide(states)[0] - skill.decide(baseline[None])[0]
    missing = (earned.sum(-1) - moved).abs().mean() / moved.abs().mean().clamp(min=1e-12)
    framed = earned.double().unflatten(-1, (card.history, card.frame_width)).sum(-2)
    names, by_sense = _by_sense(framed, named)
    owners = torch.tensor([channel.joint for channel in named])
    by_joint = [framed[..., owners == joint].sum(-1).abs().mean(0) for joint in range(card.num_joints)]
    return Attribution(
        senses=names,
        by_sense=by_sense,
        by_joint=torch.stack(by_joint, -1).numpy(),
        of_inputs=framed.abs().mean(0).sum(0).numpy(),
        baseline=baseline[-card.frame_width :],
        incompleteness=missing.item(),
        states=len(states),
    )


def _by_sense(framed: torch.Tensor, named: Sequence[Input]) -> tuple[tuple[str, ...], Array]:
    """Names of the senses, and what every action earns from each: (num_joints, senses)."""
    num_joints = framed.shape[1]
    rows = [_senses(named, joint) for joint in range(num_joints)]
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    table = np.zeros((num_joints, len(names)))
    for joint, row in enumerate(rows):
        for column, name in enumerate(names):
            chosen = torch.tensor([sense == name for sense in row])
            table[joint, column] = framed[:, joint, chosen].sum(-1).abs().mean().item()
    return names, table


def _senses(named: Sequence[Input], joint: int) -> list[str]:
    """For each input the sense it belongs to as a joint sees it."""
    jointed = {channel.term for channel in named if channel.joint >= 0}
    return [
        f"{OWN if channel.joint == joint else OTHERS} {channel.term}" if channel.term in jointed else channel.term
        for channel in named
    ]


def readings(terms: Sequence[Term], joint_names: Sequence[str], width: int) -> dict[str, list[int]]:
    """What sensors read, one number each, by name -> its channel; not what a controller knows by itself."""
    found: dict[str, list[int]] = {}
    start = 0
    for term in terms:
        for part in range(term.width if term.sensor else 0):
            found[f"{term.name} {_part(term, part, joint_names)}"] = [start + part]
        start += term.width
    return {name: channels for name, channels in found.items() if channels[0] < width}


def _part(term: Term, part: int, joint_names: Sequence[str]) -> str:
    """What a channel of a term is called: a joint, an axis, or else its number."""
    if _is_of_joints(term) and part < len(joint_names):
        return joint_names[part]
    return "xyz"[part] if term.width == 3 else str(part)


def _is_of_joints(term: Term) -> bool:
    return term.frame.startswith("joint")


def delete(
    skill: Skill,
    attribution: Attribution,
    parts: dict[str, list[int]],
    play: Callable[[Actor], float],
    score: float,
    rng: np.random.Generator,
) -> Deletion:
    """Put the baseline in the place of the `TOP` parts with the most attribution, and of as many random ones.

    Args:
        skill: Whose score is asked.
        attribution: Of the skill.
        parts: Names of parts of the observation -> their channels.
        play: Gives the score of an actor.
        score: That of the skill.
        rng: Draws the random parts, among all.
    """
    names, weights = list(parts), [attribution.of_inputs[channels].sum() for channels in parts.values()]
    top = [names[index] for index in np.argsort(weights)[::-1][:TOP]]
    drawn = [rng.choice(names, size=min(TOP, len(names)), replace=False).tolist() for _ in range(DRAWS)]

    def without(chosen: Sequence[str]) -> float:
        channels = [channel for name in chosen for channel in parts[name]]
        return play(_deaf(skill, channels, attribution.baseline))

    return Deletion(
        deleted=tuple(top), score=score, top_score=without(top), random_scores=tuple(without(names) for names in drawn)
    )


def _deaf(skill: Skill, channels: list[int], baseline: torch.Tensor) -> Actor:
    """The skill that reads the baseline in the place of some channels."""
    player = skill.player()

    def act(observation: torch.Tensor) -> torch.Tensor:
        heard = observation.clone()
        heard[:, channels] = baseline[channels]
        return player(heard)

    return act
