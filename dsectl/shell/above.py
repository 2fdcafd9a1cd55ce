"""What is told above the prompt while somebody types: the lines of jobs, and the coming and going of the cluster.

It is called by other threads. While the prompt is on the screen, sys.stdout is prompt-toolkit's, which draws above it.
"""

import shutil
import sys
import threading
import time
from typing import Any

from dsectl.steps.jobs import Job
from dsectl.steps.result import Result, parsed
from dsectl.steps.values import shown_value
from dsectl.views.look import event_line
from dsectl.views.text import Paint, cut, shown

LINES_PER_S = 40
"""Of all jobs; nobody reads more, and drawing them would slow the keys."""


class Above:
    """A watcher of jobs that shows what they print."""

    def __init__(self, paint: Paint) -> None:
        self.paint = paint
        self._lock = threading.Lock()
        self._second = 0
        self._shown = 0
        self._left_out = 0

    def tell(self, text: str) -> None:
        """One line, escaped already."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def line(self, job: Job, text: str) -> None:
        """A job has printed a line."""
        value = parsed(text)
        if isinstance(value, dict) and "error" in value:
            return  # told at its end
        with self._lock:
            second = int(time.monotonic())
            if second != self._second:
                left_out, self._second, self._shown, self._left_out = self._left_out, second, 0, 0
                if left_out:
                    self.tell(self.paint(f"… {left_out} lines of jobs were left out", "dim"))
            if self._shown >= LINES_PER_S:
                self._left_out += 1
                return
            self._shown += 1
        label = f"[{job.name}] "
        columns = shutil.get_terminal_size().columns - len(label)
        self.tell(self.paint(label, "name") + line_of(job.argv, value, self.paint, columns))

    def ended(self, job: Job, result: Result) -> None:
        """A job has ended by itself, or was told to."""
        how = f"failed: {shown(result.error)}" if result.code else "ended"
        self.tell(self.paint(f"[{job.name}] {how}", "bad" if result.code else "dim"))


def line_of(argv: list[str], value: Any, paint: Paint, columns: int) -> str:
    """A line of a job's JSON as the command would have said it to people, in one line. Pure."""
    if isinstance(value, dict) and argv[:1] == ["events"] and "kind" in value:
        text = event_line(value, Paint(False))
        kind = str(value["kind"])
        return cut(text, columns).replace(kind, paint(kind, "strong"), 1)
    if isinstance(value, dict) and argv[:1] == ["subscribe"] and "subject" in value:
        return cut(f"{shown(value['subject'])}  {shown(shown_value(value['payload']))}", columns)
    if isinstance(value, str):
        return cut(shown(value), columns)
    return cut(shown(shown_value(value, limit=4 * columns)), columns)
