"""The step language of the shell, of recipes and of `shell -c`: commands with values, tests in time, and jobs."""
