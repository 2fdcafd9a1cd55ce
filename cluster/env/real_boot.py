"""Which boot of the machine this is, as the kernel names it.

Linux gives a random UUID a boot, macOS the UUID of the boot session. Elsewhere there is no such name, and nothing is
guessed: wall time less uptime moves when the clock is set, and two boots that are taken for one would let a node vote
on what a power cut took from it. The empty name is equal to no other, so there every start counts as a new boot.
"""

import sys

LINUX_BOOT_ID = "/proc/sys/kernel/random/boot_id"
DARWIN_BOOT_ID = b"kern.bootsessionuuid"
UUID_BYTES_MAX = 64


def boot_id() -> str:
    """The name of this boot; empty when the system does not say."""
    try:
        if sys.platform == "darwin":
            return darwin_boot_id()
        with open(LINUX_BOOT_ID, encoding="ascii") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError, AttributeError):  # no such file, no such call
        return ""


def darwin_boot_id() -> str:
    """By sysctlbyname: a program to run would cost each node some milliseconds of its start."""
    import ctypes  # clients read the boot too, and only here do they need it
    import ctypes.util

    system = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
    value = ctypes.create_string_buffer(UUID_BYTES_MAX)
    size = ctypes.c_size_t(UUID_BYTES_MAX)
    failed = system.sysctlbyname(DARWIN_BOOT_ID, value, ctypes.byref(size), None, ctypes.c_size_t(0))
    return "" if failed else value.value.decode("ascii")
