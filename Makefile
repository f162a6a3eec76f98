# Two commands are all: `make demo` and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Processes that run the tests.
WORKERS ?= 2

# Results of `make faults`: cases that it has are not done again.
RESULTS ?= build/faults.jsonl

.PHONY: install demo test test-slow faults soak lint format bench clean

install: $(STAMP)

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	# torch and torchvision together, from the ordinary index: their builds must match.
	$(BIN)/python -m pip install --quiet --upgrade "torch>=2.6" "torchvision>=0.21"
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

demo: install
	$(BIN)/gauntlet run demo

# A file of tests a worker at a time, each on one thread: two small cores are then kept busy. In
# the order of their names: files of few tests are those that start Ray, and would come last.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# These start Ray clusters and many processes each: one after the other.
test-slow: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

# Everything that can happen to a run, 30 times each: hours. The table of docs/reliability.md.
faults: install
	-OMP_NUM_THREADS=1 GAUNTLET_FAULTS_RESULTS=$(RESULTS) \
		$(BIN)/python -m pytest -m "" tests/faults/test_faults.py
	$(BIN)/python -m tests.faults.results $(RESULTS)

# 20 minutes with a fault every few seconds, packed and pinned.
soak: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m soak tests/faults/test_soak.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install
	$(BIN)/python -m bench.engine
	$(BIN)/python -m bench.combination
	$(BIN)/python -m bench.step
	$(BIN)/python -m bench.interactions
	$(BIN)/python -m bench.memory
	$(BIN)/python -m bench.throughput
	$(BIN)/python -m bench.devices --table
	$(BIN)/python -m bench.overheads
	$(BIN)/python -m bench.reading --rows 100000

clean:
	rm -rf $(VENV) build *.egg-info
