"""The process: `python -m dsectl`, and the script of that name.

The rest of the program is loaded here, after SIGINT was set to end the process without a word: until then there is
nothing to undo, and a Ctrl-C in the middle of an import would print a traceback.
"""

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Run `dsectl` with the arguments of this process."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not when it is ignored, as behind `&`
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from dsectl.cli.app import main

    main()


if __name__ == "__main__":
    main()
