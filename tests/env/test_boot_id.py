"""The name of the machine's boot: one for all processes between two boots, empty where the system has none."""

import subprocess
import sys
from pathlib import Path

import pytest

from cluster.env import real_boot
from cluster.simulation import World


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="no name of the boot here")
def test_two_processes_of_one_boot_agree() -> None:
    code = "from cluster.env.real_boot import boot_id; print(boot_id())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == real_boot.boot_id() != ""


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_an_unknown_boot_is_empty(content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "boot_id"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(sys, "platform", "freebsd14")
    monkeypatch.setattr(real_boot, "LINUX_BOOT_ID", path)
    assert real_boot.boot_id() == ""


def test_a_simulated_machine_has_another_name_after_each_boot_and_a_crash_is_none() -> None:
    with World(1) as world:
        seen = [world.env("n1").boot_id]
        world.crash("n1")
        seen.append(world.env("n1").boot_id)
        world.power_loss("n1")
        seen.append(world.env("n1").boot_id)
        world.crash("n1")
        world.reboot("n1")
        seen.append(world.env("n1").boot_id)
        assert seen[0] == seen[1] and len(set(seen)) == 3
        assert world.env("n2").boot_id not in seen
