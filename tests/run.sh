#!/usr/bin/env bash
# Set up, check style and types, and run the whole test suite: bash tests/run.sh [pytest options]
# The ten slowest tests are printed. Where CI is set, as on GitHub, daily tests that take longer than MINUTES (12, on two
# cores) fail; elsewhere the machine may have other work.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash tools/setup.sh tests/requirements.txt
# SAM 2 comes as a source package that builds against the torch at hand; without its CUDA kernels.
.venv/bin/python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("sam2") is None)' ||
    SAM2_BUILD_CUDA=0 .venv/bin/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation sam2==1.1.0
# Its requirements name an older numpy, which its code does not need.
.venv/bin/python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("panopticapi") is None)' ||
    .venv/bin/python -m pip install --disable-pip-version-check --no-deps panopticapi-lite==0.2.0
.venv/bin/python -m hiera_mm check-env
.venv/bin/ruff check --quiet .
.venv/bin/ruff format --check --quiet .
.venv/bin/mypy --no-error-summary
# Two at a time, each on one core.
export OMP_NUM_THREADS=1
# Memory that is freed is kept: giving it back and asking for it again takes a tenth of the time.
export MALLOC_TRIM_THRESHOLD_=2000000000 MALLOC_MMAP_THRESHOLD_=1000000000
began=$SECONDS
.venv/bin/python -m pytest -n 2 --dist worksteal --durations=10 "$@"
minutes=$(((SECONDS - began + 59) / 60))
if [[ -n ${CI:-} && $# == 0 && $minutes -gt ${MINUTES:-12} ]]; then
    echo "Error: the tests took $minutes minutes, more than ${MINUTES:-12}; the slowest ones are listed above." >&2
    exit 1
fi
