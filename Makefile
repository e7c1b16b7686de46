# `make demo` and `make test` each work alone on a machine with Python 3.11+, git and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test test-all check bench clean

demo: $(READY)
	$(BIN)/unnoise demo

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2  # a thread each: two workers with two would fight

test-all: $(READY)
	$(BIN)/python -m pytest

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(MAKE) test

# The peers have an environment of their own; --no-deps leaves out the torchvision that two of them ask for.
bench:
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install -q -c constraints.txt torch -e '.[bench]'
	.venv-bench/bin/pip install -q --no-deps denoising-diffusion-pytorch ema-pytorch pytorch-fid azula
	.venv-bench/bin/python benchmarks/training.py

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt torch
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $(READY)

clean:
	rm -rf .venv .venv-bench
