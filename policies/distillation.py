"""Teacher to student by DAgger: the student acts, the teacher labels what the student sees.

Ross et al. 2011, arXiv:1011.0686. At first some worlds follow the teacher, so that early data is of walking and not of
falling; their share goes to zero. Student and teacher read the same observation row; the student only its measurable
part, over a history of frames, from which it can tell what the teacher is told.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from envs.state_dicts import prefixed, without_prefix
from envs.worlds import Worlds
from policies import checkpoint
from policies.skill import FrameStack, Skill
from policies.training import CHECKPOINT_SECONDS, Report, StoppedError


@dataclass
class Distillation:
    """One student learning from one teacher in `env` for `steps` environment steps."""

    teacher: Skill
    student: Skill
    env: Worlds
    steps: int
    file: Path
    seed: int = 0
    rollout_steps: int = 24
    epochs: int = 2
    minibatches: int = 6
    learning_rate: float = 1e-3
    teacher_share: float = 0.25
    """Part of the run over which the teacher hands over the worlds."""
    report: Report = lambda fraction, **metrics: None
    should_stop: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)
        self.optimizer = torch.optim.Adam(self.student.parameters(), lr=self.learning_rate)
        self.stack = FrameStack(self.student.card.history)
        self.observation = self.env.observation()
        self.started: torch.Tensor | None = None
        self.env_steps, self.loss, self.seconds = 0, float("nan"), 0.0
        self.losses: list[dict[str, float]] = []

    def run(self) -> None:
        """Distil to the end, from the checkpoint where there is one.

        Raises:
            StoppedError: `should_stop` said so; the checkpoint is saved.
        """
        if self.file.exists():
            self.restore()
        saved = time.perf_counter()
        while self.env_steps < self.steps:
            begun = time.perf_counter()
            self._learn(*self._rollout())
            self.seconds += time.perf_counter() - begun
            self.losses.append({"env_steps": self.env_steps, "loss": self.loss})
            stop = self.should_stop()  # asked once: the answer may change, and who stops must have saved
            if time.perf_counter() - saved > CHECKPOINT_SECONDS or stop:
                self.save()
                saved = time.perf_counter()
            self.report(
                min(1.0, self.env_steps / self.steps), steps_per_s=self.env_steps / self.seconds, loss=self.loss
            )
            if stop:
                raise StoppedError
        self.save()

    @torch.no_grad()
    def _rollout(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Student inputs, (n, history·width), and the teacher's actions for them, (n, num_joints)."""
        inputs, labels = [], []
        teacher_share = max(0.0, 1.0 - self.env_steps / (self.teacher_share * self.steps))
        led = (torch.rand(self.env.num_envs, 1, generator=self.generator) < teacher_share).float()
        for _ in range(self.rollout_steps):
            frames = self.stack.push(self.observation[:, : self.student.card.frame_width], self.started)
            label = self.teacher(self.observation[:, : self.teacher.card.frame_width])
            inputs.append(frames)
            labels.append(label)
            step = self.env.step(led * label + (1.0 - led) * self.student(frames))
            self.observation, self.started = step.observation, step.terminated | step.truncated
            self.env_steps += self.env.num_envs
        return torch.cat(inputs), torch.cat(labels)

    def _learn(self, inputs: torch.Tensor, labels: torch.Tensor) -> None:
        self.student.normalizer.update(inputs.unflatten(-1, (self.student.card.history, -1))[:, -1])
        decay = 1.0 - 0.9 * min(1.0, self.env_steps / self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * decay
        for _ in range(self.epochs):
            for rows in torch.randperm(len(inputs), generator=self.generator).chunk(self.minibatches):
                loss = (self.student(inputs[rows]) - labels[rows]).square().mean()
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
        self.loss = loss.item()

    def save(self) -> None:
        """Write everything that the rest of the run depends on."""
        tensors = prefixed("student", dict(self.student.state_dict()))
        tensors |= prefixed("optimizer", checkpoint.optimizer_tensors(self.optimizer))
        tensors |= prefixed("env", self.env.state_dict())
        assert self.stack.frames is not None
        assert self.started is not None
        tensors |= {"frames": self.stack.frames, "observation": self.observation, "started": self.started}
        checkpoint.save(self.file, tensors | {"generator": self.generator.get_state()}, self._record())

    def _record(self) -> dict[str, Any]:
        return {"env_steps": self.env_steps, "loss": self.loss, "seconds": self.seconds, "losses": self.losses}

    def restore(self) -> None:
        """Continue where `save` was called."""
        tensors, record = checkpoint.load(self.file)
        self.student.load_state_dict(without_prefix("student", tensors))
        checkpoint.load_optimizer(self.optimizer, without_prefix("optimizer", tensors), self.learning_rate)
        self.env.load_state_dict(without_prefix("env", tensors))
        self.stack.frames, self.observation, self.started = (
            tensors["frames"],
            tensors["observation"],
            tensors["started"],
        )
        self.generator.set_state(tensors["generator"])
        self.env_steps, self.loss = record["env_steps"], record["loss"]
        self.seconds, self.losses = record["seconds"], record["losses"]
