"""What a skill remembers while it acts: the last frames, and a recurrent state, of every world."""

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from policies.skill import Skill


class FrameStack:
    """The last `history` frames of every world, oldest first, flattened; a starting world repeats its first frame."""

    def __init__(self, history: int) -> None:
        self.history = history
        self.frames: torch.Tensor | None = None

    def push(self, frame: torch.Tensor, started: torch.Tensor | None = None) -> torch.Tensor:
        """Take the newest frames, (n, width), and give stacks, (n, history·width).

        Args:
            frame: Newest frames.
            started: (n,) True where an episode has just begun.
        """
        if self.frames is None:
            self.frames = frame[:, None].repeat(1, self.history, 1)
        else:
            self.frames = torch.cat([self.frames[:, 1:], frame[:, None]], 1)
            if started is not None:
                self.frames[started] = frame[started][:, None]
        return self.frames.flatten(1)


class Player:
    """A skill at work on observation rows, with all that it remembers of every world: frames and recurrent state."""

    def __init__(self, skill: "Skill") -> None:
        self.skill = skill
        self.stack = FrameStack(skill.card.history)
        self.state: torch.Tensor | None = None

    @torch.no_grad()
    def __call__(self, observation: torch.Tensor, started: torch.Tensor | None = None) -> torch.Tensor:
        """Actions, (n, num_joints).

        Args:
            observation: (n, width) rows as the worlds give them.
            started: (n,) True where an episode has just begun; nowhere if left out, but at the first call.
        """
        action, _, self.state = self.skill.decide(*self.perceive(observation, started))
        return action

    def perceive(
        self, observation: torch.Tensor, started: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What the skill decides on: stacked frames, (n, history·frame_width), and the state before, (n, memory)."""
        frames = self.stack.push(observation[:, : self.skill.card.frame_width], started)
        if self.skill.card.memory == 0:
            return frames, None
        if self.state is None:
            self.state = self.skill.blank_state(len(frames))
        elif started is not None:
            self.state = self.state.masked_fill(started[:, None], 0.0)  # not times 0, which leaves NaN
        return frames, self.state

    def state_dict(self) -> dict[str, torch.Tensor]:
        """What is remembered; nothing before the first call."""
        parts = {"frames": self.stack.frames, "state": self.state}
        return {name: value.clone() for name, value in parts.items() if value is not None}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Remember what `state_dict` gave."""
        self.stack.frames, self.state = state.get("frames"), state.get("state")
