# Every target sets up what it needs; a fresh machine wants only python3 (3.11 or newer), venv and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: .venv demo test lint bench bench-smoke clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

.venv: $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/sim2real run launch/quickstart.yaml --executor ray

test: $(VENV)/.installed
	$(BIN)/pytest

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.training --tier ci

bench-smoke: $(VENV)/.installed
	$(BIN)/python -m benchmarks.training --tier smoke

clean:
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache
