# `make demo` and `make test` each work alone on a machine with Python 3.11+, git and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test test-all test-oldest lint check fuzz mutants bench clean

demo: $(READY)
	$(BIN)/unnoise demo

# A thread each: two workers with two would fight. The libraries that results are compared with must be there.
test: $(READY)
	OMP_NUM_THREADS=1 UNNOISE_PEERS=required $(BIN)/python -m pytest -m "not slow" -n 2

test-all: $(READY)
	$(BIN)/python -m pytest

# The lowest versions that pyproject.toml allows of what unnoise itself needs. TORCH names the torch to test with: its own
# lowest version comes with gigabytes of CUDA on Linux, so by default it is the one of constraints.txt, without CUDA.
TORCH ?= torch==2.13.0+cpu
OLDEST := tests/process tests/io tests/cli/test_tables.py tests/samplers/test_spec.py tests/models/test_tensor_files.py \
	tests/networks/test_linear_attention_unet.py
test-oldest:
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/pip install -q uv
	.venv-oldest/bin/uv pip install -q --python .venv-oldest/bin/python $(addprefix --find-links ,$(PIP_FIND_LINKS)) \
		--resolution lowest-direct '$(TORCH)' . 'pytest>=8' 'hypothesis>=6.100'
	# An old matplotlib is warned by a new pyparsing: that is between the two. Every other warning is an error.
	OMP_NUM_THREADS=1 .venv-oldest/bin/python -m pytest -m "not slow" $(OLDEST) \
		-W ignore::pyparsing.warnings.PyparsingDeprecationWarning

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

check: lint test

# MINUTES of hypothesis on every reader of files and text: how many inputs, how many refused, how many crashed.
MINUTES ?= 60
fuzz: $(READY)
	$(BIN)/python tools/fuzz.py --minutes $(MINUTES)

# N small changes of formulas, one at a time: how many do the tests notice?
N ?= 200
mutants: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python tools/mutants.py -n $(N)

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
	# Without their dependencies: torchvision asks for the one torch that it was built with, and the tests need none of it;
	# denoising-diffusion-pytorch asks for pytorch-fid, which asks for torchvision.
	$(BIN)/pip install -q -c constraints.txt --no-deps torch-fidelity torchvision denoising-diffusion-pytorch ema-pytorch
	touch $(READY)

clean:
	rm -rf .venv .venv-bench .venv-oldest
