#!/usr/bin/env bash
# Set up, check the style, and run the whole test suite: bash tests/run.sh [pytest options]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash tools/setup.sh tests/requirements.txt
.venv/bin/python tools/check_env.py
.venv/bin/ruff check --quiet .
.venv/bin/ruff format --check --quiet .
exec .venv/bin/python -m pytest --durations=10 "$@"
