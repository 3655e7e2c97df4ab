#!/usr/bin/env bash
# Train on several GPUs or processes: bash tools/dist_train.sh CONFIG PROCESSES [options of hiera-mm train]
# On several machines, run it on each with NNODES, NODE_RANK (0 on the first) and MASTER_ADDR (the first one's).
exec bash "$(dirname "${BASH_SOURCE[0]}")/launch.sh" "$2" train.py "$1" "${@:3}"
