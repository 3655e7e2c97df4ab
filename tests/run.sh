#!/usr/bin/env bash
# Set up and run the whole test suite: bash tests/run.sh [pytest options]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash tools/setup.sh tests/requirements.txt
.venv/bin/python tools/check_env.py
exec .venv/bin/python -m pytest --durations=10 "$@"
