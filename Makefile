# A fresh machine needs python3 (3.11 or newer) and make; everything else is set up in .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo docs test check lint format types hooks clean

help:            ## this list
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 14

# TORCH=cpu installs PyTorch without the libraries of NVIDIA GPUs, out of PyTorch's own index.
TORCH ?=
CPU_INDEX := https://download.pytorch.org/whl/cpu
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check

# A stamp is written last: an interrupted installation is done again.
$(VENV)/.core: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "imagenet-nk needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "installing imagenet-nk and what it needs into $(VENV); PyTorch alone takes minutes (TORCH=cpu: a smaller one)"
	$(if $(filter cpu,$(TORCH)),$(PIP) --index-url $(CPU_INDEX) torch torchvision)
	$(PIP) --editable .
	@touch $@

# What the tests and checks need besides.
$(VENV)/.installed: $(VENV)/.core
	$(PIP) --editable '.[dev]'
	@touch $@

demo: $(VENV)/.core  ## the main job on drawn pictures, no network: 20 classes, 10 images each, centers of a resnet50
	$(BIN)/python src/imagenet.py source=demo

docs: $(VENV)/.installed  ## the guides as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

test: $(VENV)/.installed  ## all tests, in two processes; a file stays in one
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: lint types test    ## what CI runs

lint: $(VENV)/.installed  ## format and lint, nothing changed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(VENV)/.installed  ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/.installed  ## mypy, strict, on src
	$(BIN)/mypy

hooks: $(VENV)/.installed  ## run lint and types before each commit
	$(BIN)/pre-commit install

clean:           ## remove the environment and the caches; data sets and outputs stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
