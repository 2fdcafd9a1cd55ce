# What is needed while developing. `make check` is what CI does, in the virtual environment that is already here.

.PHONY: venv check test bench format

venv:
	python3 -m venv .venv
	.venv/bin/pip install -q -e '.[dev]'

check:
	.ci/run --no-install

test:
	.venv/bin/pytest -n auto -m untimed && .venv/bin/pytest -n 2 -m timed

bench:
	.venv/bin/pytest -m bench

format:
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
