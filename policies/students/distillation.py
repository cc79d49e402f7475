"""Teacher to student by DAgger: the student acts, the teacher labels what the student sees.

Ross et al. 2011, arXiv:1011.0686. At first some worlds follow their teacher, so that early data is of walking and not
of falling; their share goes to zero. Student and teacher read the same observation row; the student only its measurable
part, over time, from which it can tell what the teacher is told. A student with an encoder also regresses that itself
(Kumar et al. 2021, arXiv:2107.04034). Several teachers share the worlds; each labels its own.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from envs.draws import happens
from envs.state_dicts import prefixed, without_prefix
from envs.worlds import Worlds
from policies import divergence
from policies.files import checkpoint
from policies.files.run_state import load_run, save_run
from policies.ppo import DivergedError
from policies.skill import Skill
from policies.students.lessons import Batch, Lesson
from policies.students.privileged import PrivilegedLatent
from policies.training import CHECKPOINT_SECONDS, Report, StoppedError

MAX_GRAD_NORM = 1.0
LATENT_WEIGHT = 0.1
"""Of the squared error of a latent beside that of an action."""


@dataclass
class Distillation:
    """One student learning from its teachers for `steps` environment steps, all worlds together.

    A recurrent student learns from whole rollouts, gradients cut at their first step (truncated backpropagation through
    time); it keeps its state from rollout to rollout.
    """

    teacher: Skill
    student: Skill
    env: Worlds
    """Of the first teacher."""
    steps: int
    file: Path
    seed: int = 0
    more: tuple[Lesson, ...] = ()
    """Further teachers, of equal numbers of worlds."""
    rollout_steps: int = 24
    epochs: int = 2
    minibatches: int = 6
    learning_rate: float = 1e-3
    teacher_share: float = 0.25
    """Part of the run over which the teachers hand over the worlds; 0 leaves them to the student from the start."""
    lead: Literal["rollout", "episode"] = "rollout"
    """For how long it is drawn who leads a world."""
    latent_weight: float = LATENT_WEIGHT
    redraw_seconds: float = 0.0
    """Mean time after which the hidden parameters of a world change in mid-episode [s]; 0 for never."""
    report: Report = lambda fraction, **metrics: None
    should_stop: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        self.lessons = (Lesson(self.teacher, self.env), *self.more)
        for lesson in self.lessons:
            lesson.enter(self.student)
        self.generator = torch.Generator().manual_seed(self.seed)
        self.latent = self._latent()
        self.normalizer_learns = not (
            self.latent and not self.more and self.latent.hand_over(self.teacher, self.student)
        )
        self.optimizer = torch.optim.Adam(self.student.parameters(), lr=self.learning_rate)
        self.env_steps, self.loss, self.seconds = 0, float("nan"), 0.0
        self.losses: list[dict[str, float]] = []

    def _latent(self) -> PrivilegedLatent | None:
        """What the student's encoder should tell, if it has one and the teachers are told more than it is."""
        card, teachers = self.student.card, [lesson.teacher for lesson in self.lessons]
        if card.latent == 0 or any(not skill.card.privileged for skill in teachers):
            return None
        return PrivilegedLatent(teachers, card.frame_width, card.latent)

    def run(self) -> None:
        """Distil to the end, from the checkpoint where there is one.

        Raises:
            StoppedError: `should_stop` said so; the checkpoint is saved.
            policies.ppo.DivergedError: the loss left the finite numbers.
        """
        if checkpoint.exists(self.file):
            self.restore()
        saved = time.perf_counter()
        while self.env_steps < self.steps:
            begun = time.perf_counter()
            self._learn(self._rollout())
            self.seconds += time.perf_counter() - begun
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
    def _rollout(self) -> Batch:
        share = max(0.0, 1.0 - self.env_steps / (self.teacher_share * self.steps)) if self.teacher_share else 0.0
        begins = self.env_steps == 0
        return Batch.beside([self._practise(lesson, share, begins) for lesson in self.lessons])

    def _practise(self, lesson: Lesson, share: float, begins: bool) -> Batch:
        """A rollout in one teacher's worlds, of which it leads about `share`."""
        steps, num_envs = [], lesson.env.num_envs
        if self.lead == "rollout" or begins:
            lesson.appoint(torch.ones(num_envs, dtype=torch.bool), share, self.generator)
        for step in range(self.rollout_steps):
            frames, state = lesson.perceive()
            if step == 0:
                before = self.student.blank_state(num_envs) if state is None else state
            label = lesson.expert(lesson.observation, lesson.started)
            action, _, lesson.player.state = self.student.decide(frames, state)
            steps.append((frames, lesson.started, label, self._target(lesson, label)))
            lesson.step(label, action)
            if self.lead == "episode":
                lesson.appoint(lesson.started, share, self.generator)
            self._redraw(lesson.env)
            self.env_steps += num_envs
        frames, started, actions, latents = (torch.stack(values) for values in zip(*steps, strict=True))
        return Batch(frames, started, actions, latents, self._balance(actions), before)

    def _target(self, lesson: Lesson, label: torch.Tensor) -> torch.Tensor:
        return self.latent(lesson.teacher, lesson.observation) if self.latent else label[:, :0]

    def _balance(self, labels: torch.Tensor) -> torch.Tensor:
        """Weights of the samples behind (num_steps, n, num_joints) labels."""
        weight = 1.0 / labels.var((0, 1)).mean().clamp(min=1e-4) if self.more else torch.ones(())
        return weight.expand(labels.shape[:2])

    def _redraw(self, env: Worlds) -> None:
        if self.redraw_seconds > 0.0:
            changed = happens(env.generator, env.num_envs, env.dt, self.redraw_seconds)
            if len(changed):
                env.randomizer.resample(changed, env.generator)

    def _learn(self, batch: Batch) -> None:
        if self.normalizer_learns:
            self.student.normalizer.update(batch.frames[..., -self.student.card.frame_width :].flatten(0, 1))
        decay = 1.0 - 0.9 * min(1.0, self.env_steps / self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * decay
        batch = batch._replace(weight=batch.weight / batch.weight.mean())
        if not self.student.card.memory:  # every step stands for itself
            batch = batch.each(lambda values: values.flatten(0, 1))
        num_samples = len(batch.state) if self.student.card.memory else len(batch.frames)
        for _ in range(self.epochs):
            for rows in torch.randperm(num_samples, generator=self.generator).chunk(self.minibatches):
                errors = self._errors(batch, rows)
                loss = errors["loss"] + self.latent_weight * errors.get("latent_loss", 0.0)
                if not torch.isfinite(loss):
                    raise self._came_apart(loss.item(), batch)
                self._descend(loss)
        self.losses.append({"env_steps": self.env_steps} | {name: value.item() for name, value in errors.items()})
        self.loss = self.losses[-1]["loss"]

    def _errors(self, batch: Batch, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        """Mean squared errors of actions, "loss", and of latents over samples, or over the rollouts of whole worlds."""
        guess: torch.Tensor | None
        if self.student.card.memory:
            part = batch.each(lambda values: values[:, rows])
            actions, guess = self.student.unroll(part.frames, batch.state[rows], part.started)
        else:
            part = batch.each(lambda values: values[rows])
            actions, guess, _ = self.student.decide(part.frames)
        errors = {"loss": (part.weight * (actions - part.actions).square().mean(-1)).mean()}
        if self.latent and guess is not None:
            errors["latent_loss"] = (guess - part.latents).square().mean()
        return errors

    def _descend(self, loss: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), MAX_GRAD_NORM)
        self.optimizer.step()

    def _came_apart(self, loss: float, batch: Batch) -> DivergedError:
        """What to raise at a loss that is not finite; writes the post-mortem."""
        frames = batch.frames.reshape(-1, self.student.card.frame_width)
        terms = divergence.named_terms(self.env.actor_terms, ~frames.isfinite())
        reason = (
            f"the loss is {loss} after {self.env_steps} steps; look for NaN in the teacher's weights and in the "
            f"environment's observations{' (' + ', '.join(terms) + ')' if terms else ''}"
        )
        weights = [name for name, value in self.student.state_dict().items() if not value.isfinite().all()]
        found = {"env_steps": self.env_steps, "nonfinite_weights": weights, "nonfinite_terms": terms}
        where = divergence.write(self.file, reason, found | {"updates": self.losses[-20:]})
        return DivergedError(f"{reason}; post-mortem: {where}")

    def save(self) -> None:
        """Write everything that the rest of the run depends on."""
        tensors = prefixed("student", dict(self.student.state_dict()))
        tensors |= prefixed("optimizer", checkpoint.optimizer_tensors(self.optimizer))
        for index, lesson in enumerate(self.lessons):
            tensors |= prefixed(f"lesson{index}", lesson.state_dict())
        if self.latent:  # another machine's decomposition may choose other signs
            tensors |= {"projection": self.latent.projection}
        tensors |= {"generator": self.generator.get_state()}
        save_run(self.file, "distillation", tensors, self._record(), self.about)

    @property
    def about(self) -> dict[str, Any]:
        """What a checkpoint of this run is about."""
        card = self.student.card
        return {
            "robot": card.robot,
            "model_hash": card.model_hash,
            "task": card.task,
            "worlds": [lesson.env.num_envs for lesson in self.lessons],
            "architecture": card.architecture,
            "history": card.history,
            "memory": card.memory,
            "latent": card.latent,
            "frame_width": card.frame_width,
            "hidden_layers": list(card.hidden),
            "activation": card.activation,
        }

    def _record(self) -> dict[str, Any]:
        return {"env_steps": self.env_steps, "loss": self.loss, "seconds": self.seconds, "losses": self.losses}

    def restore(self) -> None:
        """Continue where `save` was called."""
        tensors, record = load_run(self.file, "distillation", self.about)
        self.student.load_state_dict(without_prefix("student", tensors))
        checkpoint.load_optimizer(self.optimizer, without_prefix("optimizer", tensors), self.learning_rate)
        for index, lesson in enumerate(self.lessons):
            lesson.load_state_dict(without_prefix(f"lesson{index}", tensors))
        if self.latent:
            self.latent.projection = tensors["projection"]
        self.generator.set_state(tensors["generator"])
        self.env_steps, self.loss = record["env_steps"], record["loss"]
        self.seconds, self.losses = record["seconds"], record["losses"]
