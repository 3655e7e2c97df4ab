#!/usr/bin/env bash
# Make .venv and install what a requirements file names: bash tools/setup.sh [FILE ...]
# Safe to repeat: does nothing where the same files were installed before.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
    echo "Python 3.11, 3.12 or 3.13 is needed as 'python3'; install one, or name one with PYTHON=/path/to/python." >&2
    exit 1
fi
if [ ! -x .venv/bin/python ]; then
    echo "Making .venv ..."
    "$python" -m venv .venv || {
        echo "'$python -m venv' failed; on Debian and Ubuntu: apt-get install python3-venv" >&2
        rm -rf .venv
        exit 1
    }
fi

for file in requirements.txt "$@"; do
    stamp=".venv/installed-$(cat "$file" pyproject.toml | cksum | tr ' ' -)"
    if [ ! -e "$stamp" ]; then
        echo "Installing $file (a few minutes the first time) ..."
        .venv/bin/python -m pip install --disable-pip-version-check -r "$file"
        .venv/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --editable .
        # The OpenCV that pip put last wants libGL, which servers often lack; the headless one does not.
        .venv/bin/python -c 'import cv2' 2>/dev/null ||
            .venv/bin/python -m pip install --quiet --no-deps --force-reinstall \
                "$(grep '^opencv-python-headless' requirements.txt)"
        touch "$stamp"
    fi
done
