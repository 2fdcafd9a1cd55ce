"""The process: `python -m dsectl`, and the script of that name.

The rest of the program is loaded here, after SIGINT was set to end the process without a word: until then there is
nothing to undo, and a Ctrl-C in the middle of an import would print a traceback. And with the package `cluster` that
belongs to it: the folder that a user stands in may hold another, which `python -m` and PYTHONPATH would take first.
"""

import signal
import sys
from typing import NoReturn

from dsectl import ROOT, check_cluster


def main() -> NoReturn:
    """Run `dsectl` with the arguments of this process."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not when it is ignored, as behind `&`
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.path.insert(0, ROOT)
    import cluster as cluster

    del sys.path[0]
    try:
        check_cluster()
    except ImportError as error:
        if sys.stderr is not None:
            sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    from dsectl.cli.app import main

    main()


if __name__ == "__main__":
    main()
