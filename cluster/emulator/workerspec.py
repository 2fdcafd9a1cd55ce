"""What a worker's process is started from: a file and the key of its role, in the worker's folder."""

import sys
from pathlib import Path
from typing import Final

import msgspec

from cluster.emulator.disk import disk_errors, make_folder, read, replace
from cluster.errors import Damaged

SPEC_FILE: Final = "worker.json"
KEY_FILE: Final = "key"
ROOT: Final = str(Path(__file__).parents[2])
START: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); import cluster; del sys.path[0]; "
    "from cluster.emulator.{} import main; main()"
)
"""As the launcher's: this very code, and nothing from the folder that the user happens to stand in (-P)."""


class WorkerSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """`target` is MODULE:CLASS or FILE.py:CLASS, looked for in `folder`, the working directory of `serve`."""

    target: str
    folder: str
    reload: bool = False
    service: str = ""
    """What it hosted last; empty until it has registered."""
    version: int = 0


def worker_command(cluster: Path, node: str, number: int, lock: int = -1, turn: int = -1) -> list[str]:
    """The command line of a worker's process. `lock` and `turn`: the descriptors of the worker's lock and of its turn
    to begin anew, when they are held already."""
    start = START.format("workerprocess")
    return [sys.executable, "-P", "-c", start, ROOT, str(cluster), node, str(number), str(lock), str(turn)]


def trial_command(endpoint: str, target: str) -> list[str]:
    """The command line of a process that tries to load what a worker serves, and leaves no bytecode behind."""
    return [sys.executable, "-P", "-B", "-c", START.format("workerreload"), ROOT, endpoint, target]


_decode = msgspec.json.Decoder(WorkerSpec).decode


def write_spec(folder: Path, spec: WorkerSpec, key: bytes) -> None:
    """Make a worker's folder."""
    with disk_errors(f"write {folder}"):
        make_folder(folder)
        replace(folder / KEY_FILE, key)
        replace(folder / SPEC_FILE, msgspec.json.encode(spec))


def read_spec(folder: Path) -> WorkerSpec:
    """What stands in a worker's folder. Raises Damaged."""
    path = folder / SPEC_FILE
    try:
        return _decode(read(path))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(f"{path} does not say what the worker serves: {error}") from None


def note_service(folder: Path, service: str, version: int) -> None:
    """The worker has registered this."""
    spec = read_spec(folder)
    if (spec.service, spec.version) != (service, version):
        changed = msgspec.structs.replace(spec, service=service, version=version)
        with disk_errors(f"write {folder}"):
            replace(folder / SPEC_FILE, msgspec.json.encode(changed))
