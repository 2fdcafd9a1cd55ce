"""An append or a write that the disk has no room for leaves what was there: real (a file size limit) and simulated."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import asyncio, errno, resource, sys
from cluster.env.real import real_env

async def main():
    disk = real_env(sys.argv[1]).disk
    disk.write("small", b"old")
    file = disk.append("log")
    file.append(bytes(900))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    for attempt in (lambda: file.append(bytes(200)), lambda: disk.write("small", bytes(1200))):
        try:
            attempt()
        except OSError as error:
            assert error.errno == errno.EFBIG, error
        else:
            raise AssertionError("it fitted")
    assert file.size == 900 == len(disk.read("log"))
    assert disk.read("small") == b"old"
    assert disk.names("") == ["log", "small"], disk.names("")
    file.append(bytes(100))
    assert file.size == 1000 == len(disk.read("log"))
    file.close()

asyncio.run(main())
"""


def test_a_real_file_at_its_size_limit(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", SCRIPT, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=60)
    assert (run.returncode, run.stderr) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "small"]
