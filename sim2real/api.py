"""The commands as Python functions, with the arguments of the dataclasses in `sim2real.commands`.

Results are kept in the store (`store`, else SIM2REAL_STORE, else `./runs`): a call whose result is there returns it.
Each returns the `result` of the machine-readable output; a stage adds `run`, the folder that other calls take as RUN.

Raises:
    LookupError, ValueError, FileNotFoundError: bad input; nothing was started.
    sim2real.campaign.campaign.CampaignError: a stage failed.
"""

import os
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from sim2real import commands

PathLike = str | os.PathLike[str]


def train(
    *,
    robot: str,
    task: str = "velocity",
    seed: int = 0,
    steps: int = 1_400_000,
    num_envs: int = 256,
    privileged: bool = False,
    randomization: str = "default",
    schedule: Literal["fixed", "curriculum", "automatic"] = "fixed",
    from_: str | None = None,
    unsafe_import: bool = False,
    algorithm: Literal["ppo", "sac", "tqc"] = "ppo",
    hyperparameters: str = "tuned",
    workers: int = 1,
    store: PathLike | None = None,
    out: PathLike | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Train a policy on one robot."""
    return _stage("train", locals())


def multitask(
    *,
    members: tuple[str, ...],
    network: Literal["mlp", "tokens"] = "mlp",
    seed: int = 0,
    steps: int = 2_800_000,
    num_envs: int = 256,
    privileged: bool = False,
    randomization: str = "default",
    hyperparameters: str = "tuned",
    vary: float = 0.0,
    store: PathLike | None = None,
    out: PathLike | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Train one policy on several tasks or robots at once."""
    return _stage("multitask", locals())


def member(
    *,
    run: str,
    member: str,
    store: PathLike | None = None,
    out: PathLike | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Take one member of a multitask policy as a skill of its own."""
    return _stage("member", locals())


def fold(
    *,
    run: str,
    to: str,
    store: PathLike | None = None,
    out: PathLike | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Fold a tokens network into the ordinary policy that it is on one robot, trained on or not."""
    return _stage("fold", locals())


def distill(
    *,
    run: str,
    more: tuple[str, ...] = (),
    student: str = "proprio",
    seed: int = 0,
    steps: int = 400_000,
    history: int = 10,
    encoder: Literal["mlp", "conv", "gru"] = "mlp",
    hidden: tuple[int, ...] = (),
    latent: int = 0,
    memory: int = 128,
    mixing: float = 0.25,
    lead: Literal["rollout", "episode"] = "rollout",
    redraw: float = 0.0,
    fine_tune: int = 0,
    store: PathLike | None = None,
    out: PathLike | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Teach a student that has only real sensors what its teachers do, in their body or in another robot's."""
    return _stage("distill", locals())


def transfer(
    *,
    run: str,
    to: str,
    task: str | None = None,
    strategy: Literal["finetune", "zero_shot"] = "finetune",
    budget: int = 400_000,
    seed: int = 0,
    store: PathLike | None = None,
    out: PathLike | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Hand a skill to another robot, measured against learning it from scratch."""
    return _stage("transfer", locals())


def evaluate(
    *,
    run: str,
    episodes: int = 128,
    robustness: bool = False,
    axes: tuple[str, ...] = (),
    store: PathLike | None = None,
    out: PathLike | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Score a policy on fixed episodes; with `robustness`, also where it breaks."""
    return _stage("evaluate", locals())


def export(
    *,
    run: str,
    to: Literal["onnx"] = "onnx",
    store: PathLike | None = None,
    out: PathLike | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Write the files a controller runs."""
    return _stage("export", locals())


def rehearse(
    *,
    run: str,
    realities: int = 8,
    seconds: float = 10.0,
    realtime_seconds: float = 30.0,
    clock: Literal["lockstep", "real"] = "lockstep",
    require_signature: bool = False,
    seed: int = 0,
    store: PathLike | None = None,
    out: PathLike | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Run an exported policy on sealed realities in another process."""
    return _stage("rehearse", locals())


def map(
    *,
    source: str,
    target: str,
    seconds: float = 0.0,
    store: PathLike | None = None,
    out: PathLike | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Learn what to command a robot so that it follows what another one did."""
    return _stage("map", locals())


def report(
    *,
    runs: tuple[str, ...],
    title: str = "",
    video: bool = True,
    store: PathLike | None = None,
    out: PathLike | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Explain results in one self-contained HTML file."""
    return _stage("report", locals())


def family(
    *,
    runs: tuple[str, ...],
    robots: tuple[str, ...] = (),
    episodes: int = 32,
    seconds: float | None = None,
    video: bool = True,
    store: PathLike | None = None,
    out: PathLike | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Show who drives whom: every skill on every robot, scored, filmed, and what each joint attends to."""
    return _stage("family", locals())


def run(
    *,
    recipe: str,
    executor: Literal["inline", "ray"] = "ray",
    address: str | None = None,
    store: PathLike | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Run a campaign; stages that are in the store already are not run again."""
    from sim2real.campaign.campaign import run_recipe
    from sim2real.campaign.recipe import load, locate
    from sim2real.campaign.store import Store

    loaded = load(locate(recipe), commands.KINDS)
    return run_recipe(loaded, Store.open(store), executor, address, _display(progress))


def inspect(*, file: str, store: PathLike | None = None) -> dict[str, Any]:
    """What a result, a recipe or a bundle holds."""
    from sim2real.campaign.inspection import inspect as look
    from sim2real.campaign.store import Store

    return look(file, Store.open(store))


def sign(*, file: str, key: str | None = None, to: str | None = None) -> dict[str, Any]:
    """Sign a bundle with a private key; `file`, its new `digest`, and what the `key` is called."""
    from sim2real.signatures import sign as put

    return put(file, key, to)


def keygen(*, file: str) -> dict[str, Any]:
    """Make a key that signs bundles; what it is called, and the files of its `private` and `public` half."""
    from sim2real.signatures import keygen as make

    return make(file)


def view(
    *,
    target: str,
    task: str | None = None,
    worlds: int = 1,
    randomization: str = "none",
    video: str | None = None,
    seconds: float | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    store: PathLike | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Show a robot or a skill in the browser, or film it; `progress` prints the address."""
    given = locals()
    from robots.records import decode
    from sim2real.campaign.store import Store
    from sim2real.view.command import view as show

    values = {field.name: given[field.name] for field in fields(commands.View)}
    return show(decode(commands.View, values, "view"), Store.open(store), progress)


def match(*, source: str, target: str, write: str | None = None) -> dict[str, Any]:
    """Which joints of two robots do the same: `pairs` with `sign`, `distance` and `confidence`, and what is left over.

    The `distance` of the robots lies between 0, the same but for names, and 0.8, nothing in common. A robot that was
    written is in `folder`.
    """
    import robots as zoo
    from robots.correspondence import arranged, correspondence

    found = correspondence(zoo.get(source), zoo.get(target))
    if write is not None:
        arranged(found).save_folder(Path(write))
    return found.as_dict() | ({"folder": write} if write is not None else {})


def verify_randomization(*, robot: str, task: str, randomization: str = "full") -> dict[str, Any]:
    """Prove that every randomized term does what it claims; `proved`, a row for each term, and what is wrong."""
    import envs.tasks
    import robots as zoo
    from envs.randomization import preset
    from envs.randomization.verify import report, verify
    from policies.threads import one_torch_thread

    one_torch_thread()
    return report(verify(zoo.get(robot), envs.tasks.get(task), preset(randomization)))


def zoo() -> dict[str, Any]:
    """Name, robot, task, scores and size [bytes] of the pretrained skills that come with sim2real."""
    from policies import zoo as shipped

    return {"skills": [shipped.summary(name) for name in shipped.names()]}


def robots() -> dict[str, Any]:
    """Names, joints, mass [kg] and length L [m] of the robots."""
    import robots as zoo

    found = [zoo.get(name) for name in zoo.names()]
    return {
        "robots": [
            {"name": spec.name, "kind": spec.kind, "joints": spec.num_joints, "mass": spec.mass, "length": spec.length}
            for spec in found
        ]
    }


def tasks() -> dict[str, Any]:
    """Names of the tasks."""
    from sim2real.campaign.keys import task_names

    return {"tasks": [{"name": name} for name in task_names()]}


def doctor(*, store: PathLike | None = None) -> dict[str, Any]:
    """The checks of this machine, each with what was found and how to mend it."""
    from sim2real.campaign.files import place
    from sim2real.doctor import examine

    return examine(place(store))


def _stage(kind: str, given: dict[str, Any]) -> dict[str, Any]:
    """Run the command of a kind with the arguments of the calling function."""
    from robots.records import decode
    from sim2real.campaign.campaign import run_command
    from sim2real.campaign.store import Store

    command = commands.KINDS[kind].command
    values = {field.name: given[field.name] for field in fields(command)}
    out = Path(given["out"]) if given["out"] else None
    return run_command(
        commands.KINDS[kind],
        decode(command, values, kind),
        Store.open(given["store"]),
        out,
        _display(given["progress"]),
    )


def _display(progress: bool) -> Any:
    if not progress:
        return None
    from sim2real.campaign.display import best

    return best()
