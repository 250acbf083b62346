# The verbs of the project, the same for a person and for CI: make setup serve test check fix bench train export image.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := bash
PYTHON ?= python3
# ONNX Runtime build to install: cpu or gpu.
ORT ?= cpu
# Where pip finds torch, for instance a CPU build: make test TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
# What to measure, of those that `python -m bench --help` lists; all by default: make bench BENCH=websocket
BENCH ?=
# What ships, to be trained and exported; python -m training budget tells how long each takes.
MODELS ?= sentiment sentiment-bidirectional generation generation-mingru forecasting forecasting-window tagging \
	tagging-streaming entities translation-de translation-fr chorales folk caption
# What is trained for the sake of comparison only.
COMPARED ?= forecasting-ettm1 forecasting-exchange forecasting-illness forecasting-m4-hourly \
	forecasting-window-ettm1 forecasting-window-exchange forecasting-window-illness forecasting-window-m4-hourly
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help setup serve test chaos check fix bench bench-servers bench-gpu train train-compared export image image-test clean

# Trainings at a time: each keeps one core busy.
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "Unrolled needs Python 3.11, 3.12 or 3.13; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
		|| { echo "$(PYTHON) lacks the venv module; on Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/serving-$(ORT): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing what serving needs (onnxruntime for $(ORT))"
	@$(PIP) --editable '.[$(ORT)]'
	@touch $@

$(VENV)/development: pyproject.toml constraints.txt | $(VENV)/serving-$(ORT)
	@echo "Installing what training and testing need"
	@$(if $(TORCH_INDEX),$(PIP) --index-url $(TORCH_INDEX) torch,$(PIP) "$$(grep '^torch==' constraints.txt)")
	@$(PIP) --editable '.[$(ORT),train,dev]'
	@touch $@

setup: $(VENV)/development ## install everything: serving, training, tests

serve: $(VENV)/serving-$(ORT) ## import the shipped bundles and serve on port 3000
	@exec $(BIN)/python -m service

test: $(VENV)/development ## run every test
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

chaos: $(VENV)/development ## kill the service 20 times under load and look for every acknowledged step
	@CHAOS_KILLS=$${CHAOS_KILLS:-20} $(BIN)/python -m pytest tests/e2e/test_chaos.py --log-cli-level=INFO $(PYTEST_ARGS)

check: $(VENV)/development ## lint, formatting, types, import arrows
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fix: $(VENV)/development ## mend what the linter and the formatter can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/development ## measure what is promised of speed: make bench BENCH=websocket
	@$(BIN)/python -m bench $(BENCH)

# Other servers, each in an environment of its own.
SERVERS := $(patsubst bench/others/requirements/%.txt,$(VENV)-servers/%/installed,$(wildcard bench/others/requirements/*.txt))

$(VENV)-servers/%/installed: bench/others/requirements/%.txt | $(BIN)/python
	@echo "Installing $*"
	@$(BIN)/python -c 'import sys, venv; venv.create(sys.argv[1], with_pip=True)' $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

bench-servers: $(VENV)/development $(SERVERS) ## compare with Triton, Ray Serve, LitServe, MLServer, mosec and BentoML
	@$(BIN)/python -m bench servers

bench-gpu: $(VENV)/development ## measure rows a second by batch on a GPU: make bench-gpu ORT=gpu
	@$(BIN)/python -m bench.gpu

train: $(VENV)/development ## train shipped models, or go on with them: make train MODELS="chorales folk"
	@$(MAKE) --no-print-directory --jobs $(JOBS) $(MODELS:%=runs/%/best)

train-compared: $(VENV)/development ## train what serves comparison only
	@$(MAKE) --no-print-directory --jobs $(JOBS) $(COMPARED:%=runs/%/best)

# A run that was interrupted goes on; one that is finished is only measured again. Lines bear the name of their run.
RUNS := $(patsubst %,runs/%/best,$(sort $(MODELS) $(COMPARED)))
.PHONY: $(RUNS)
$(RUNS): runs/%/best:
	@set -o pipefail; $(BIN)/python -m training $* $$(test ! -e runs/$*/last/resume.ckpt || echo --resume) 2>&1 \
		| (trap '' INT; sed -u 's|^|$*: |')

export: $(VENV)/development ## export the best checkpoint of each shipped model to models/
	@for name in $(MODELS); do $(BIN)/python -m export runs/$$name/best --name $$name || exit 1; done

image: ## build the container image: docs/container.md
	@deploy/image.sh

image-test: $(VENV)/development ## start, ask, kill and start again the image that was built
	@IMAGE=$${IMAGE:-unrolled:latest} $(BIN)/python -m pytest tests/image $(PYTEST_ARGS)

clean: ## remove the virtual environment and caches
	@rm -rf $(VENV) $(VENV)-servers .mypy_cache .ruff_cache .pytest_cache .hypothesis
