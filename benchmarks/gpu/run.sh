#!/usr/bin/env bash
# The whole kit on this machine: run.sh [MINUTES] [further options of kit.py].
# PYTHON names the interpreter that has torch; WHEELS a folder of what it lacks (see wheels.sh).
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
python="${PYTHON:-python3}"
site="${SITE:-${TMPDIR:-/tmp}/unnoise-gpu-site}"
wheels="${WHEELS:-$here/wheels}"
if compgen -G "$wheels/*.whl" >/dev/null && [ ! -d "$site" ]; then
  "$python" -m pip install -q --no-index --no-deps --no-compile --target "$site" "$wheels"/*.whl
fi
export PYTHONPATH="$here/../../src:$site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
exec "$python" "$here/kit.py" --minutes "${1:-12}" "${@:2}"
