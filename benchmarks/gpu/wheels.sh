#!/usr/bin/env bash
# Fetches, for a machine without a network that has torch, numpy, pillow, scipy, scikit-learn, matplotlib, rich, jinja2,
# safetensors, filelock and pytest: what unnoise needs besides, and the libraries it is compared with.
# wheels.sh [FOLDER] [PYTHON VERSION]
set -euo pipefail
folder="${1:-$(dirname "$0")/wheels}"
version="${2:-3.12}"
mkdir -p "$folder"
python3 -m pip download -q --no-deps --only-binary=:all: --python-version "$version" -d "$folder" \
  cyclopts tomli-w docstring-parser rich-rst docutils attrs \
  diffusers importlib-metadata denoising-diffusion-pytorch ema-pytorch pytorch-fid
