"""The commands that only the shell has, by name, with their help. `wait` and `stop` are steps, and listed with them."""

OWN = {
    "history": ("history [export FILE]", "Show what was typed; export this session as a recipe."),
    "jobs": ("jobs", "List what runs in the background (`COMMAND &` or `COMMAND &NAME`)."),
    "wait": ("wait NAME", "Wait until a job has ended by itself."),
    "stop": ("stop NAME", "End a job."),
    "use": ("use CLUSTER", "Speak to another cluster from now on."),
    "clear": ("clear", "Clear the screen."),
    "exit": ("exit", "Leave; so does Ctrl-D. Jobs are ended."),
}
STEPS = (
    ("expect COMMAND .path == value", "Look once; also != < <= > >= in contains matches."),
    ("within 5s: COMMAND .path == value", "Look until it holds."),
    ("always 5s: COMMAND .path == value", "It must hold whenever one looks."),
    ("COMMAND .path -> $name", "Keep a value; $name stands for it later."),
    ("COMMAND &name", "Go on in the background."),
    ("COMMAND | jq .", "Give the JSON to a command of sh."),
    ("! COMMAND", "It must fail; `!7` with code 7."),
)
"""What a line can be besides a command: for help."""
