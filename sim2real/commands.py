"""The commands of sim2real: one frozen dataclass each, whose fields are its arguments.

Command line, Python functions (`sim2real.api`) and recipes are all read off these classes, so they agree. Nothing
heavy is imported here: a stage's function is a path that is imported when the stage runs.
"""

import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from policies.architecture import conv_lengths
from policies.members.names import parts

# What a text stands for; `typing.get_type_hints(..., include_extras=True)` tells them apart.
Run = Annotated[str, "RUN"]
"""A result: a folder with `run.json`, a store key, `latest:STAGE`, `zoo:NAME`, a bundle (.s2r); in a recipe also the
name of another stage."""
Robot = Annotated[str, "ROBOT"]
"""A zoo name, `menagerie:NAME`, or a folder with `robot.json`; its model hash enters the stage key."""
Task = Annotated[str, "TASK"]
"""The name of a module in `envs/tasks`."""
MemberName = Annotated[str, "ROBOT:TASK"]
"""A robot, as of ROBOT, and a task on it."""
Source = Annotated[str, "SOURCE"]
"""Weights to begin from: a RUN, or the path of a file of another program, whose content enters the stage key."""
NameOrFile = Annotated[str, "NAME|FILE"]
"""A name, or the path of a file whose content enters the stage key."""
Pupil = Annotated[str, "STUDENT"]
"""`proprio`, `small`, or `robot:R`, where R is as of ROBOT and its model hash enters the stage key."""


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a policy on one robot (PPO)."""

    robot: Robot
    """Robot to train."""
    task: Task = "velocity"
    """What it must learn."""
    seed: int = 0
    """Of every generator."""
    steps: int = 1_400_000
    """Environment steps, all environments together."""
    num_envs: int = 256
    """Environments simulated side by side."""
    privileged: bool = False
    """Let the actor see what hardware cannot measure: a teacher, not deployable."""
    randomization: NameOrFile = "default"
    """Ranges of the randomized physics."""
    schedule: Literal["fixed", "curriculum", "automatic"] = "fixed"
    """Whole ranges at once, ranges that widen over the first half of the steps, or that widen while the score lasts."""
    from_: Source | None = None
    """Begin with the weights of a RUN, of zoo:NAME, of a bundle (.s2r) or of a Stable-Baselines3 archive (.zip)."""
    unsafe_import: bool = False
    """Convert a Stable-Baselines3 archive, whose pickles are not run; it is yours to trust its weights."""
    algorithm: Literal["ppo", "sac", "tqc"] = "ppo"
    """PPO for many steps; SAC or TQC for few, which learn from every step many times."""
    hyperparameters: NameOrFile = "tuned"
    """What the task was tuned with, or a YAML or JSON file of what is to differ (PPO)."""
    workers: int = 1
    """Processes that learn together through Ray, each with its share of the environments and cores of its own (PPO)."""

    def __post_init__(self) -> None:
        _check_ranges(self, seed=0, steps=1, num_envs=1, workers=1)
        if self.steps < self.num_envs:
            raise ValueError(
                f"steps must be >= num_envs, since every environment steps at once; got {self.steps} for "
                f"{self.num_envs}: raise steps or lower num_envs"
            )
        if self.num_envs % self.workers:
            raise ValueError(
                f"num_envs must be a multiple of workers, so that each has as many worlds; got {self.num_envs} for "
                f"{self.workers}"
            )
        if self.workers > 1 and self.algorithm != "ppo":
            raise ValueError(f"workers must be 1 for {self.algorithm}, got {self.workers}: only ppo learns in several")


@dataclass(frozen=True, kw_only=True)
class Multitask:
    """Train one policy on several tasks or robots at once (PPO)."""

    members: tuple[MemberName, ...]
    """What it must learn: ROBOT:TASK each, such as go1:velocity; for an mlp on robots whose joints match one by one."""
    network: Literal["mlp", "tokens"] = "mlp"
    """A plain network, or one that generates its weights from what each joint is: for any joints, seen or not."""
    seed: int = 0
    """Of every generator."""
    steps: int = 2_800_000
    """Environment steps, all members together."""
    num_envs: int = 256
    """Environments of each member, simulated side by side."""
    privileged: bool = False
    """Let the actor see what hardware cannot measure: a teacher, not deployable."""
    randomization: NameOrFile = "default"
    """Ranges of the randomized physics."""
    hyperparameters: NameOrFile = "tuned"
    """What the first member's task was tuned with, or a YAML or JSON file of what is to differ."""
    vary: float = 0.0
    """Let members of families become others while the score holds: every length, mass and motor up to exp(±VARY)."""

    def __post_init__(self) -> None:
        _check_ranges(self, seed=0, steps=1, num_envs=1, vary=0)
        for name in self.members:
            parts(name)
        if self.vary > 1.0:
            raise ValueError(f"vary must be <= 1 (a factor of e either way), got {self.vary}")
        if self.vary and self.network != "tokens":
            raise ValueError(f"vary must be 0 for an {self.network}, got {self.vary}: only tokens are told of the body")
        least = 2 if self.network == "mlp" else 1
        if len(set(self.members)) < max(least, len(self.members)):
            count = "two or more" if least == 2 else "one or more"
            raise ValueError(f"members must be {count} different ROBOT:TASK, got {', '.join(self.members)}")
        if self.network == "tokens" and len({parts(name)[1] for name in self.members}) > 1:
            raise ValueError(f"a tokens network learns one task on many bodies, got {', '.join(self.members)}")


@dataclass(frozen=True, kw_only=True)
class Member:
    """Take one member of a multitask policy as a skill of its own, which every other command accepts."""

    run: Run
    """The result of multitask."""
    member: str
    """Which one, as its result calls it: go1:velocity."""


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Fold a tokens network into the ordinary policy that it is on one robot, trained on or not."""

    run: Run
    """The result of multitask --network tokens."""
    to: Robot
    """The robot."""


@dataclass(frozen=True, kw_only=True)
class Distill:
    """Teach a student that has only real sensors what its teachers do, in their body or another (DAgger)."""

    run: Run
    """The teacher."""
    more: tuple[Run, ...] = ()
    """Further teachers, on robots with the same joints and tasks with the same sensors: one student for all."""
    student: Pupil = "proprio"
    """proprio: for a robot's own sensors; small: for them, with few weights; robot:R: for those of R, in R's body."""
    seed: int = 0
    """Of every generator."""
    steps: int = 400_000
    """Environment steps, all environments together."""
    history: int = 10
    """Control ticks of observations that the student sees; a gru sees one and remembers."""
    encoder: Literal["mlp", "conv", "gru"] = "mlp"
    """What reads the past: the whole network, convolutions along time, or a recurrent state."""
    hidden: tuple[int, ...] = ()
    """Widths of the hidden layers; if left out 256 128, the teacher's behind conv or gru, 32 32 of a small student."""
    latent: int = 0
    """Numbers that conv or gru tell the actor; as many as the teacher is told beyond the sensors if 0."""
    memory: int = 128
    """Width of a gru's recurrent state."""
    mixing: float = 0.25
    """Part of the steps over which the teachers hand over the robots to the student, 0 to 1."""
    lead: Literal["rollout", "episode"] = "rollout"
    """For how long it is drawn who leads a robot meanwhile."""
    redraw: float = 0.0
    """Mean time after which a robot's hidden parameters change in mid-episode [s]; 0 for never."""
    fine_tune: int = 0
    """Environment steps of PPO for the student afterwards; the better of before and after is kept."""

    def __post_init__(self) -> None:
        _check_ranges(self, seed=0, steps=1, history=1, latent=0, memory=1, mixing=0, redraw=0, fine_tune=0)
        if self.student not in ("proprio", "small") and not body(self.student):
            raise ValueError(
                f"student must be proprio, small or robot:R, such as robot:a1, got {self.student!r}; "
                "sim2real robots lists robots"
            )
        if self.mixing > 1.0:
            raise ValueError(f"mixing must be a share within 0..1, got {self.mixing}")
        if self.fine_tune and self.more:
            raise ValueError("fine_tune must be 0 with several teachers: PPO on one's task would unlearn the others'")
        if any(width < 1 for width in self.hidden):
            raise ValueError(f"hidden must be widths >= 1, got {self.hidden}")
        if self.encoder == "conv":
            conv_lengths(self.history)
        if self.encoder == "mlp" and self.latent:
            raise ValueError(f"latent must be 0 for an mlp, got {self.latent}; only conv and gru tell the actor one")


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Hand a skill to another robot, measured against learning it from scratch."""

    run: Run
    """The trained source."""
    to: Robot
    """Robot that receives the skill."""
    task: Task | None = None
    """Task of the receiver; the source's if left out."""
    strategy: Literal["finetune", "zero_shot"] = "finetune"
    """How the skill is handed over."""
    budget: int = 400_000
    """Environment steps for the transfer, and as many for its control from scratch."""
    seed: int = 0
    """Of every generator."""

    def __post_init__(self) -> None:
        _check_ranges(self, seed=0, budget=1)


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score a policy on fixed episodes, with intervals."""

    run: Run
    """The policy."""
    episodes: int = 128
    """Episodes of 10 s, from fixed seeds."""
    robustness: bool = False
    """Also ask where it breaks: delay, friction, payload, pushes, motor strength and more, one at a time."""
    axes: tuple[str, ...] = ()
    """Two of those properties for a map of pairs; friction and payload, where the robot has them, if left out."""

    def __post_init__(self) -> None:
        _check_ranges(self, episodes=1)
        if len(self.axes) not in (0, 2):
            raise ValueError(f"axes must be two properties, such as friction payload, got {' '.join(self.axes)}")
        if self.axes and not self.robustness:
            raise ValueError("axes are those of the robustness map: add --robustness (robustness=True)")


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write the files a controller runs, once all implementations agree."""

    run: Run
    """The policy."""
    to: Literal["onnx"] = "onnx"
    """Format."""


@dataclass(frozen=True, kw_only=True)
class Rehearse:
    """Run an exported policy on sealed realities in another process, over the robot's protocol."""

    run: Run
    """The exported policy."""
    realities: int = 8
    """Hidden robots, sealed by their seeds."""
    seconds: float = 10.0
    """Length of an episode [s]."""
    realtime_seconds: float = 30.0
    """Length of the run against the wall clock that counts late ticks [s]; 0 leaves it out."""
    clock: Literal["lockstep", "real"] = "lockstep"
    """Of the scored episodes: the peer waits (reproducible), or deadlines."""
    require_signature: bool = False
    """Refuse a bundle that no trusted key has signed."""
    seed: int = 0
    """Of the first reality."""

    def __post_init__(self) -> None:
        _check_ranges(self, seed=0, realities=1, realtime_seconds=0)
        if self.seconds <= 0.0:
            raise ValueError(f"seconds must be > 0 [s], got {self.seconds}")


@dataclass(frozen=True, kw_only=True)
class Map:
    """Learn from a log of each what to command a robot so that it follows what another one did (dynamic map)."""

    source: NameOrFile
    """Log of the robot to be followed: npz of time [s], command and position [rad]."""
    target: NameOrFile
    """Log of the robot that shall follow, with the same joints in the same order."""
    seconds: float = 0.0
    """Of each log to identify from, the rest is held out [s]; 70 % if 0."""

    def __post_init__(self) -> None:
        _check_ranges(self, seconds=0)


@dataclass(frozen=True, kw_only=True)
class Report:
    """Explain results in one self-contained HTML file."""

    runs: tuple[Run, ...]
    """The results, in the order of the story."""
    title: str = ""
    """Heading; made up from the results if empty."""
    video: bool = True
    """Film each robot walking, where OpenGL is available."""

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError("runs must name at least one result")


@dataclass(frozen=True, kw_only=True)
class Family:
    """Show who drives whom: every skill on every robot, scored, filmed, and what each joint attends to."""

    runs: tuple[Run, ...]
    """Results with skills of one task; of multitask all members count, a tokens network folds onto every robot."""
    robots: tuple[Robot, ...] = ()
    """Robots to put them on; those they learned on if left out."""
    episodes: int = 32
    """Fixed episodes for each pair."""
    seconds: float | None = None
    """Length of an episode [s]; that of the task's score if left out."""
    video: bool = True
    """Film every skill on its robots side by side, where OpenGL is available."""

    def __post_init__(self) -> None:
        _check_ranges(self, episodes=1)
        if not self.runs:
            raise ValueError("runs must name at least one result")
        if self.seconds is not None and not self.seconds > 0.0:
            raise ValueError(f"seconds must be > 0 [s], got {self.seconds}")


@dataclass(frozen=True, kw_only=True)
class RunRecipe:
    """Run a campaign; stages that are in the store already are not run again."""

    recipe: str
    """A YAML file, or the name of one in `launch/`."""
    executor: Literal["inline", "ray"] = "ray"
    """One stage after the other in this process, or on Ray."""
    address: str | None = None
    """A running Ray cluster (also RAY_ADDRESS); a private local one if left out."""


@dataclass(frozen=True, kw_only=True)
class Inspect:
    """Print what a result, a recipe or a bundle holds."""

    file: str
    """A RUN, a recipe (.yaml) or a bundle (.s2r); of `zoo:NAME` the card."""


@dataclass(frozen=True, kw_only=True)
class Sign:
    """Sign a bundle, so that whoever trusts the key can tell that nobody changed it."""

    file: str
    """The bundle (.s2r)."""
    key: str | None = None
    """Private key, as `sim2real keygen` writes it; SIM2REAL_SIGNING_KEY if left out."""
    to: str | None = None
    """Write the signed bundle to this file instead of in place."""


@dataclass(frozen=True, kw_only=True)
class Keygen:
    """Make a key that signs bundles: FILE, to be kept secret, and FILE.pub, for those who shall trust it."""

    file: str
    """The private key to write; never overwritten."""


@dataclass(frozen=True, kw_only=True)
class View:
    """Show a robot, or a skill at work, in the browser; or film it."""

    target: str
    """A robot, by every name that --robot takes, or a RUN whose skill then moves it."""
    task: Task | None = None
    """Worlds to stand in; those of the skill, and none for a bare robot, if left out."""
    worlds: int = 1
    """Robots side by side, in a task's worlds."""
    randomization: NameOrFile = "none"
    """Ranges of the randomized physics."""
    video: str | None = None
    """Write this film (.mp4, .webp, .gif) instead; needs no screen."""
    seconds: float | None = None
    """Length of the film, or how long the viewer stays open [s]; until Ctrl-C if left out."""
    host: str = "127.0.0.1"
    """Address that the viewer listens at; 0.0.0.0 lets other machines in."""
    port: int = 8080
    """Port of the viewer; the next free one if it is taken, any free one for 0."""

    def __post_init__(self) -> None:
        _check_ranges(self, worlds=1, port=0)
        if self.seconds is not None and self.seconds <= 0.0:
            raise ValueError(f"seconds must be > 0 [s], got {self.seconds}")


@dataclass(frozen=True, kw_only=True)
class Match:
    """Find which joint of one robot plays the part of which joint of another, whatever they are called."""

    source: str
    """A robot, by every name that --robot takes."""
    target: str
    """Another one."""
    write: str | None = None
    """Write the target to this folder, a robot whose joints come in the order of the source's."""


@dataclass(frozen=True, kw_only=True)
class VerifyRandomization:
    """Prove on a robot's compiled worlds that every randomized term does what it claims, and nothing else."""

    robot: str
    """A robot, by every name that --robot takes."""
    task: str
    """Task whose worlds are examined."""
    randomization: NameOrFile = "full"
    """Terms and ranges to prove."""


@dataclass(frozen=True, kw_only=True)
class Zoo:
    """List the pretrained skills that come with sim2real; every RUN may be `zoo:NAME`."""


@dataclass(frozen=True, kw_only=True)
class Robots:
    """List the robots."""


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """List the tasks."""


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Check this machine and say how to mend what is missing."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of stage: a command that has a result in the store."""

    name: str
    command: type
    """Its dataclass of parameters."""
    function: str
    """`module:function`, called with the command and a `Stage`; returns the result as JSON data."""
    version: int = 1
    """Raised when the meaning of the stage changes: older results are then not reused."""


VERSIONS: dict[type, int] = {
    Train: 4,
    Multitask: 2,
    Member: 1,
    Fold: 1,
    Distill: 4,
    Transfer: 4,
    Evaluate: 4,
    Export: 3,
    Rehearse: 2,
    Map: 1,
    Report: 1,
    Family: 1,
}
"""Versions of the kinds of stages; raise one when its stage, or a task it runs, changes in meaning."""


def _kind(command: type, version: int) -> Kind:
    name = command.__name__.lower()
    return Kind(name=name, command=command, function=f"sim2real.stages.{name}:{name}", version=version)


KINDS: dict[str, Kind] = {command.__name__.lower(): _kind(command, version) for command, version in VERSIONS.items()}

COMMANDS: dict[str, type] = {
    "run": RunRecipe,
    **{name: kind.command for name, kind in KINDS.items()},
    "inspect": Inspect,
    "sign": Sign,
    "keygen": Keygen,
    "view": View,
    "match": Match,
    "verify-randomization": VerifyRandomization,
    "zoo": Zoo,
    "robots": Robots,
    "tasks": Tasks,
    "doctor": Doctor,
}


BODY = "robot:"


def body(student: str) -> str:
    """The robot R of a student `robot:R`; empty for one that has its teacher's body."""
    return student.removeprefix(BODY) if student.startswith(BODY) else ""


def option(field: str) -> str:
    """What users call a field: Python's reserved words carry a trailing underscore."""
    return field.rstrip("_")


def workers(command: Any) -> int:
    """Processes that a command's stage starts, each with the stage's resources; 1 if it runs in its own."""
    return getattr(command, "workers", 1)


def arguments(command: type, marker: str) -> list[str]:
    """Names of a command's fields that stand for a "RUN", "SOURCE", "ROBOT", "TASK", "NAME|FILE" and so on."""
    hints = typing.get_type_hints(command, include_extras=True)
    return [name for name, hint in hints.items() if marker in _markers(hint)]


def _markers(hint: Any) -> set[str]:
    if typing.get_origin(hint) is Annotated:
        return set(hint.__metadata__)
    return set().union(*map(_markers, typing.get_args(hint)))


def _check_ranges(command: Any, **least: int) -> None:
    for name, low in least.items():
        if not getattr(command, name) >= low:  # NaN is not, either
            raise ValueError(f"{name} must be >= {low}, got {getattr(command, name)}")
