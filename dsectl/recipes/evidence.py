"""What is kept of a run that did not pass: the nodes' logs, events, faults and views, and the report."""

import os
import shutil
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
QUESTIONS = ("events", "faults", "hints")
ANSWER_S = 2.0


def keep(report: RecipeReport, session: Session) -> str:
    """Write everything into a folder of its own, and return its path. Never raises: it tells of another failure."""

    def write(name: str, value: Any) -> None:
        (folder / f"{name}.json").write_bytes(json.format(json.encode(value), indent=1))

    kept = find_home().folder / "kept"
    try:
        folder = kept / report.cluster
        if folder.exists():  # an earlier run on the same cluster, which stands
            folder = folder.with_name(f"{report.cluster}-{os.urandom(3).hex()}")
        folder.mkdir(parents=True)
        for name in QUESTIONS:
            value = carry_out([name], session, timeout_s=ANSWER_S).value
            write(name, None if value is MISSING else value)
        files = load_cluster(report.cluster)
        for name in files.nodes:
            if files.log(name).exists():
                shutil.copyfile(files.log(name), folder / f"{name}.log")
        write("report", report.to_dict())
        folders = sorted((one for one in kept.iterdir() if one.is_dir()), key=lambda one: one.stat().st_mtime)
        for old in folders[:-KEPT_MAX]:
            shutil.rmtree(old, ignore_errors=True)
        seen = observe(files, session.client(report.cluster, None))
        write("status", seen.to_json())
        write("members", seen.matrix)
    except (OSError, ClusterError):
        return ""
    return str(folder)
