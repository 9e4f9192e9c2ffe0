# The verbs of the project. Bare `make` prints them. Nothing here needs root, except that
# `make test` as root on Debian installs the browser and ffmpeg that some tests want.

.DEFAULT_GOAL := help
.NOTPARALLEL:
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SLIPSTREAM := $(BIN)/slipstream
PYTEST := $(BIN)/pytest
COACH_VENV := .venv-coach
COACH_STAMP := $(COACH_VENV)/.installed
SOURCES := services libs tests examples

# The first Python that is new enough and not too new.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
	&& echo $$p && break; done)

# The one that rl-coach can be built with.
COACH_PYTHON ?= $(shell for p in python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo $$p && break; done)

# What pip is told by the environment, in uv's words.
UV_SETTINGS = UV_INDEX_STRATEGY=unsafe-best-match \
	$(if $(PIP_INDEX_URL),UV_DEFAULT_INDEX="$(PIP_INDEX_URL)") \
	$(if $(PIP_EXTRA_INDEX_URL),UV_INDEX="$(PIP_EXTRA_INDEX_URL)") \
	$(if $(PIP_FIND_LINKS),UV_FIND_LINKS="$(PIP_FIND_LINKS)") \
	$(if $(PIP_CERT),SSL_CERT_FILE="$(PIP_CERT)") \
	$(if $(PIP_NO_INDEX),UV_NO_INDEX=1)

MODEL ?= models/starter

# Real runs for `make calibrate`, folders or logs: effort controllers (2022), kinematic ones (2026).
RUNS ?= ../shared/data/runs
EFFORT_RUNS ?= $(RUNS)/single-worker $(RUNS)/console
KINEMATIC_RUNS ?= $(RUNS)/continuous-actions \
	$(RUNS)/cloud-solution/logs/training/training-simulation.log

.PHONY: help install install-coach install-peers up down status logs restart train test test-slow tests \
	system-parts lint format types imports docs docs-check bench calibrate lock clean

help: ## print these verbs
	@echo "Slipstream: DeepRacer training as event-driven services"
	@echo
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "First: make train"

install: $(STAMP) ## make the virtual environment, if pyproject.toml or constraints.txt changed

# uv installs the same pinned resolution four to five times as fast as pip (17 s against 79 s
# from an empty cache on two cores). Where it can't reach what pip can, pip does it.
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || test -n "$(PYTHON)" || \
		{ echo "No Python 3.11, 3.12 or 3.13 was found: install one, or name it: make PYTHON=..." >&2; exit 1; }
	@test -x $(BIN)/python || { echo "making $(VENV) with $(PYTHON)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	@$(UV_SETTINGS) $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python \
		-c constraints.txt -e '.[all,dev]' || \
		{ echo "uv could not; pip tries"; $(BIN)/python -m pip install --quiet \
		--disable-pip-version-check -c constraints.txt -e '.[all,dev]'; }
	@touch $@

install-peers: install ## MuJoCo, EnvPool, Box2D, PyTorch, onnxruntime, which make bench compares with
	@$(UV_SETTINGS) $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[peers]'
	@echo "MuJoCo draws with EGL; on Debian: apt-get install libegl1 libgl1 libgl1-mesa-dri"

install-coach: install $(COACH_STAMP) ## rl-coach with an environment of its own (1.9 GB): engine coach

$(COACH_STAMP): pyproject.toml constraints.txt constraints-coach.txt
	@test -x $(COACH_VENV)/bin/python || test -n "$(COACH_PYTHON)" || { echo \
		"No Python 3.11 was found, which rl-coach needs: install one, or: make install-coach COACH_PYTHON=..." >&2; exit 1; }
	@test -x $(COACH_VENV)/bin/python || { echo "making $(COACH_VENV) with $(COACH_PYTHON)"; \
		$(COACH_PYTHON) -m venv $(COACH_VENV); }
	@echo "installing into $(COACH_VENV)"
	@$(COACH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		-c constraints-coach.txt setuptools wheel
	@$(COACH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation -c constraints-coach.txt rl-coach
	@$(UV_SETTINGS) $(BIN)/uv pip install --quiet --compile-bytecode --python $(COACH_VENV)/bin/python \
		-c constraints.txt -e '.[coach]' || \
		{ echo "uv could not; pip tries"; $(COACH_VENV)/bin/python -m pip install --quiet \
		--disable-pip-version-check -c constraints.txt -e '.[coach]'; }
	@touch $@

up: install ## start NATS, S3 and all services here, and wait until they are ready
	@$(SLIPSTREAM) up

down: install ## stop them; data stay
	@$(SLIPSTREAM) down

status: install ## processes, ports, readiness, restarts
	@$(SLIPSTREAM) status

logs: install ## the log of one process: make logs SERVICE=trainer [FOLLOW=1]
	@test -n "$(SERVICE)" || { echo "which? make logs SERVICE=trainer" >&2; exit 2; }
	@$(SLIPSTREAM) logs "$(SERVICE)" $(if $(FOLLOW),--follow)

restart: install ## restart one process: make restart SERVICE=trainer
	@test -n "$(SERVICE)" || { echo "which? make restart SERVICE=trainer" >&2; exit 2; }
	@$(SLIPSTREAM) restart "$(SERVICE)"

train: install ## all of it: start, train the starter, evaluate it [MODEL=folder TRACK=name|file.npy]
	@$(SLIPSTREAM) up
	@$(SLIPSTREAM) train "$(MODEL)" --watch --evaluate $(if $(TRACK),--track "$(TRACK)")

test: install system-parts lint types imports docs-check tests ## every check and test but the slow ones

test-slow: install system-parts ## the heavier proofs
	$(PYTEST) -m slow

tests: install
	$(PYTEST) -m "not slow" -n 2 --dist loadfile tests/unit tests/contract
	$(PYTEST) -m "not slow" tests/integration tests/e2e

system-parts: # the browser and ffmpeg, which some tests want
	@sh deploy/system-parts.sh

lint: install ## style
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

format: install ## mend style
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

types: install ## mypy, strict
	$(BIN)/mypy

imports: install ## who may import whom
	$(BIN)/lint-imports

docs: install ## write docs/events.md anew
	$(BIN)/python -m libs.common.events.catalogue

docs-check: install
	$(BIN)/python -m libs.common.events.catalogue --check

bench: install ## measure: simulator, learner, their peers (make install-peers), the bus
	$(BIN)/python -m tests.bench

calibrate: install ## fit the car to real runs and write build/calibration [EFFORT_RUNS, KINEMATIC_RUNS]
	$(BIN)/python -m services.simulator.calibration $(addprefix --effort ,$(EFFORT_RUNS)) \
		$(addprefix --kinematic ,$(KINEMATIC_RUNS))

lock: install ## write constraints.txt anew: the newest versions that fit, for every platform
	@$(UV_SETTINGS) $(BIN)/uv pip compile --quiet --universal --upgrade --all-extras \
		--python-version 3.11 --no-annotate --no-header --no-emit-index-url \
		--output-file constraints.txt pyproject.toml
	@echo "constraints.txt is new; make test tells whether it holds"

clean: ## remove what can be made again; runs and models in .slipstream stay
	rm -rf $(VENV) $(COACH_VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
