# Every target sets up what it needs; a fresh machine wants only python3 (3.11 or newer), venv and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: .venv demo test test-slow lint bench bench-smoke clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

.venv: $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/sim2real run launch/quickstart.yaml --executor ray

test: $(VENV)/.installed
	$(BIN)/pytest

# Tests that take a minute or more, and the 150 MB of MuJoCo Warp that they want.
test-slow: $(VENV)/.installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,gpu]'
	$(BIN)/pytest -m slow

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.training --tier ci
	$(BIN)/python -m benchmarks.simulation --tier ci
	$(BIN)/python -m benchmarks.transfer --part bodies --tier ci
	$(BIN)/python -m benchmarks.transfer --part map --tier ci

bench-smoke: $(VENV)/.installed
	$(BIN)/python -m benchmarks.training --tier smoke
	$(BIN)/python -m benchmarks.simulation --tier smoke
	$(BIN)/python -m benchmarks.transfer --part bodies --tier smoke
	$(BIN)/python -m benchmarks.transfer --part map --tier smoke

clean:
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache
