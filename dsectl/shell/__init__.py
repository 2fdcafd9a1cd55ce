"""`dsectl shell`: the step language at a prompt, from a file, or from one line."""
