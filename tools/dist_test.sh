#!/usr/bin/env bash
# Evaluate on several GPUs or processes: bash tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [options of hiera-mm test]
# On several machines, run it on each with NNODES, NODE_RANK (0 on the first) and MASTER_ADDR (the first one's).
exec bash "$(dirname "${BASH_SOURCE[0]}")/launch.sh" "$3" test.py "$1" "$2" "${@:4}"
