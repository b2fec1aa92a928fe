# A fresh machine needs python3 (3.11 or newer) and make; everything else is set up in .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo docs test check lint format types hooks clean

help:            ## this list
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 14

# The stamp is written last: an interrupted installation is done again.
$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "imagenet-nk needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(VENV)/.installed  ## the main job on drawn pictures, no network: 20 classes, 10 images each, centers of a resnet50
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
