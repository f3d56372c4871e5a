# Needs python3 (3.11, 3.12 or 3.13), pip and make; `make help` lists the targets.
# uv is put into .tools/ (`pip --target` works where a distribution's pip refuses to
# install, and uv makes the environment without the venv module).

UV := .tools/bin/uv
UV_VERSION := uv~=0.13.9
BIN := .venv/bin
INSTALLED := .venv/.installed
# Any of the three that is installed; `make install PYTHON=3.12` picks one.
PYTHON := >=3.11,<3.14
# Where pyenv's shims answer for a version that is not the active one, they only fail.
PYENVS := $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.1[123].*/bin
STUDY := specs/aipz_ulgue.yaml

# The interpreter is one that is installed; nothing is downloaded but packages.
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv
# Importing the engines takes three times as long without bytecode, so it is made at
# install, and kept for this project's own files whatever the shell says.
export UV_COMPILE_BYTECODE := 1
export PYTHONDONTWRITEBYTECODE :=
# A registry that does not answer for a moment is asked again: what comes is held against
# the lock's hashes, whenever it comes.
export UV_HTTP_RETRIES ?= 8
export UV_HTTP_TIMEOUT ?= 120
export PIP_RETRIES ?= 8
export PIP_DEFAULT_TIMEOUT ?= 60
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
# Another active environment must not leak into this one.
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH

.DEFAULT_GOAL := help
.PHONY: help install run test test-system kills lint format types schema bench
.PHONY: simulations wheel clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | \
	  awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'

install: $(INSTALLED) ## everything into .venv/ (the other targets do it when needed)

run: $(INSTALLED) ## a whole paper on AI pilot zones (simulated yearbooks): tables, figures, report
	@$(BIN)/estimand run $(STUDY)

test: $(INSTALLED) ## the tests that need nothing but this checkout
	@$(BIN)/python -m pytest -m "not system" -n auto --dist worksteal

test-system: $(INSTALLED) ## the wheel, PostgreSQL, LaTeX, a browser, clusters, kills
	@$(UV) sync --frozen --quiet --inexact --extra data --extra test --extra cluster
	@$(BIN)/python -m pytest -m system -rs

kills: $(INSTALLED) ## kill -9 at 100 random instants of a sweep (about 20 minutes)
	@ESTIMAND_KILLS=100 $(BIN)/python -m pytest tests/system/test_kill_sweep.py -s

lint: $(INSTALLED) ## ruff, its formatting, and that the lock is current
	@$(UV) lock --check --quiet
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(INSTALLED) ## rewrite the formatting
	@$(BIN)/ruff check --fix --exit-zero --quiet .
	@$(BIN)/ruff format .

types: $(INSTALLED) ## strict mypy
	@$(BIN)/mypy

schema: $(INSTALLED) ## schemas/study.json, from which editors complete a study
	@$(BIN)/estimand schema --output schemas/study.json

bench: $(INSTALLED) ## what it costs beside its peers; ONLY="startup cold" for a few
	@$(BIN)/python -m bench $(ONLY)

simulations: $(INSTALLED) ## panels with known effects; ONLY=did, double_ml or spatial, SEEDS="1060 1160"
	@for one in $(or $(ONLY),did double_ml spatial); do \
	  $(BIN)/python -m bench.$${one}_simulation $(SEEDS) || exit 1; done

wheel: $(UV) ## dist/estimand-*.whl
	@$(UV) build --wheel --quiet --out-dir dist && ls dist/*.whl

clean: ## remove what make installed and built; runs/ stays
	@rm -rf .venv .tools .bench .screenshots dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find bench estimators framework hydra_plugins tests -name __pycache__ \
	  -type d -prune -exec rm -rf {} +

$(UV):
	@echo "Installing uv into .tools/ ..."
	@export PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1; \
	for pip in "python3 -m pip" pip3 pip; do \
	  if $$pip --version >/dev/null 2>&1; then \
	    $$pip install --quiet --upgrade --target .tools "$(UV_VERSION)" && exit 0; \
	    exit 1; \
	  fi; \
	done; \
	echo "Estimand needs pip: python3 -m pip does not answer." >&2; exit 1

$(INSTALLED): pyproject.toml uv.lock | $(UV)
	@find() { $(UV) python find --no-project '$(PYTHON)' 2>/dev/null; }; \
	python=$$(find) || \
	  python=$$(PATH="$$(printf '%s:' $(PYENVS))$$PATH"; find) || { \
	  echo "Estimand needs Python 3.11, 3.12 or 3.13 ($(PYTHON) is asked for);" \
	    "python3 here is $$(python3 -V 2>&1). Install one of them and try again." >&2; \
	  exit 1; }; \
	echo "Installing the locked packages into .venv/ (once, 1.6 GB on disk)," \
	  "for $$python ..."; \
	$(UV) sync --frozen --quiet --python "$$python" --extra data --extra test
	@touch $@
