"""What is kept of a run that did not pass: the nodes' logs, events, faults and views, and the report."""

import os
import shutil
from pathlib import Path
from typing import Any

from msgspec import json

from cluster.emulator.home import find_home, load_cluster
from cluster.errors import ClusterError
from dsectl.cli.invocation import Session
from dsectl.recipes.report import RecipeReport
from dsectl.script.execution import carry_out
from dsectl.script.values import MISSING
from dsectl.snapshot.observer import observe

KEPT_MAX = 20
"""Older ones are deleted, so that a nightly run does not fill the disk."""
QUESTIONS = {
    "events": ["events"],
    "faults": ["faults"],
    "hints": ["hints"],
}
ANSWER_S = 2.0


def kept_folder() -> Path:
    """Where all are kept."""
    return find_home().folder / "kept"


def keep(report: RecipeReport, session: Session) -> str:
    """Write everything into a folder of its own, and return its path. Never raises: it tells of another failure."""
    try:
        folder = kept_folder() / report.cluster
        if folder.exists():  # an earlier run on the same cluster, which stands
            folder = folder.with_name(f"{report.cluster}-{os.urandom(3).hex()}")
        folder.mkdir(parents=True)
        for name, argv in QUESTIONS.items():
            value = carry_out(argv, session, timeout_s=ANSWER_S).value
            _write(folder / f"{name}.json", None if value is MISSING else value)
        _copy_logs(report.cluster, folder)
        _write(folder / "report.json", report.to_dict())
        _delete_oldest()
        seen = observe(load_cluster(report.cluster), session.client(report.cluster, None))
        _write(folder / "status.json", seen.to_json())
        _write(folder / "members.json", seen.matrix)
    except (OSError, ClusterError):
        return ""
    return str(folder)


def _copy_logs(cluster: str, folder: Path) -> None:
    files = load_cluster(cluster)
    for name in files.nodes:
        if files.log(name).exists():
            shutil.copyfile(files.log(name), folder / f"{name}.log")


def _write(path: Path, value: Any) -> None:
    path.write_bytes(json.format(json.encode(value), indent=1))


def _delete_oldest() -> None:
    folders = sorted((one for one in kept_folder().iterdir() if one.is_dir()), key=lambda one: one.stat().st_mtime)
    for folder in folders[:-KEPT_MAX]:
        shutil.rmtree(folder, ignore_errors=True)
