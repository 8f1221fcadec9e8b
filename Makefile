# Two commands for a newcomer: `make demo` and `make test`. Both make their own .venv.
PYTHON ?= python3
BIN := .venv/bin
# One more than there are cores: many tests wait, for processes of their own or for the embedded model.
WORKERS ?= $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)
# Where a machine forbids bytecode, each of the many processes of the tests would compile the package anew.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test lint format clean aa calibration bench-compare bench-calls bench-scale bench-reliability bench-peers

demo: .venv/installed
	$(BIN)/python examples/demo.py

# deepeval has a virtual environment of its own: its pytest plugin would load into every test run.
test:
	$(MAKE) -j2 .venv/installed .venv-deepeval/installed
	$(MAKE) lint
	$(BIN)/llmops pull
	.venv-deepeval/bin/python -m pytest -p no:deepeval tests/deepeval
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The A/A check: how often an unchanged prompt is called regressed.
aa: .venv/installed
	$(BIN)/llmops pull
	$(BIN)/python -m benchmarks.aa

# The calibration of the rule: false alarms, power, coverage, beside other rules; about 10 minutes.
calibration: .venv/installed
	$(BIN)/python -m benchmarks.calibration

# How long comparisons of large runs take, and the memory; fails where a limit is broken.
bench-compare: .venv/installed
	$(BIN)/python -m benchmarks.compare_speed

# A run whose every case is a call, beside the plain official client and beside tests without calls.
bench-calls: .venv/installed
	$(BIN)/python -m benchmarks.reliability server
	$(BIN)/python -m benchmarks.cold_speed

# Many cases beside as many trivial parametrized items, and 100,000 cases in one golden set.
bench-scale: .venv/installed
	$(BIN)/python -m benchmarks.scale

# Calls and sessions under faults, silence and a rate limit, held against the server's own log; 3 minutes.
bench-reliability: .venv/installed
	$(BIN)/python -m benchmarks.reliability never_cached faults hang storm

# One small suite in other tools, each installed in build/peers; needs npm for promptfoo.
bench-peers: .venv/installed
	$(BIN)/python -m benchmarks.peers

.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pytest-llmops needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[local,similarity]' --group dev
	touch .venv/installed

.venv-deepeval/installed: pyproject.toml
	$(PYTHON) -m venv .venv-deepeval
	.venv-deepeval/bin/python -m pip install --quiet --upgrade pip
	.venv-deepeval/bin/python -m pip install --quiet --editable '.[local,deepeval]' 'hypothesis>=6'
	touch .venv-deepeval/installed

clean:
	rm -rf .venv .venv-deepeval build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
