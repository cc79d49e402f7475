"""Bundles as results: what was trained elsewhere enters the store under a key of its own content.

A RUN may be `zoo:NAME` or the path of a bundle (.s2r). Its bundle, the skill that is in it and the scores that came
with it become a result of kind "bundle", so that whatever reads results reads bundles too.
"""

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim2real.campaign.provenance import now, provenance

if TYPE_CHECKING:
    from policies.bundle import Bundle
    from sim2real.campaign.store import Found, Store

ZOO, SUFFIX, KIND = "zoo:", ".s2r", "bundle"
FORM = 1
"""Of the results made here: raised when they change, so that older ones are not reused."""


def is_bundle(run: str) -> bool:
    """Whether a RUN names a bundle: `zoo:NAME`, or a path that ends in .s2r."""
    return run.startswith(ZOO) or run.endswith(SUFFIX)


def bundle_file(run: str) -> Path:
    """The file that such a RUN names; one of the zoo only with the signature of the zoo.

    Raises:
        LookupError, FileNotFoundError: there is none.
        ValueError: it is not signed as it must be.
    """
    from policies import zoo

    if run.startswith(ZOO):
        path = zoo.bundle_path(run.removeprefix(ZOO))
        zoo.verify(path)
        return path
    if not Path(run).is_file():
        raise FileNotFoundError(f"no bundle {run!r} in {Path.cwd()}")
    return Path(run)


def import_bundle(run: str, store: "Store") -> "Found":
    """The result that holds a bundle, made if the store does not have it yet."""
    from policies import bundle
    from sim2real.campaign.store import KEY_LENGTH, Found

    path = bundle_file(run)
    content = bundle.read(path)
    key = hashlib.sha256(f"{KIND} {FORM} {content.digest}".encode()).hexdigest()[:KEY_LENGTH]
    if not store.has(key):
        _commit(run if run.startswith(ZOO) else path.stem, content, key, store)
    return Found(key, store.out(key))


def _commit(name: str, content: "Bundle", key: str, store: "Store") -> None:
    from policies import bundle
    from policies.bundled import skill_of_bundle
    from sim2real.campaign.store import SCHEMA
    from sim2real.stages.results import BUNDLE, SKILL

    skill, started = skill_of_bundle(content), now()
    store.sweep(key)
    attempt = store.begin(key)
    try:
        bundle.rewrite(attempt / BUNDLE, content)
        skill.save(attempt / SKILL)
        contract = content.contract
        result: dict[str, Any] = {"robot": contract.robot, "task": contract.task, "env_steps": skill.card.env_steps}
        record = {
            "schema": SCHEMA,
            "kind": KIND,
            "name": name,
            "key": key,
            "params": {"digest": content.digest},
            "inputs": {},
            "result": {**content.scores, **result, "bundle": BUNDLE, "digest": content.digest},
            "seconds": 0.0,
            "provenance": provenance("inline", started),
        }
        store.commit(attempt, key, record)
    finally:
        shutil.rmtree(attempt, ignore_errors=True)
        shutil.rmtree(store.checkpoint(key), ignore_errors=True)
