"""A node has room for all its places, whatever the limit of the shell that started it."""

import resource
import subprocess
import sys

import pytest

from cluster.emulator.process import DESCRIPTORS

CODE = """
import resource
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
hard = {hard} or hard
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
from cluster.emulator.process import raise_descriptor_limit
raise_descriptor_limit()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
MOST = DESCRIPTORS if HARD == resource.RLIM_INFINITY else min(DESCRIPTORS, HARD)


@pytest.mark.parametrize(("hard", "expected"), [(0, MOST), (512, 512)])
def test_the_soft_limit_is_raised_as_far_as_it_may_be(hard: int, expected: int) -> None:
    run = subprocess.run([sys.executable, "-c", CODE.format(hard=hard)], capture_output=True, text=True, check=True)
    assert int(run.stdout) == expected
