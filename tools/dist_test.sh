#!/usr/bin/env bash
# Evaluate on several GPUs or processes: bash tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [options of tools/test.py]
# On several machines, run it on each with NNODES, NODE_RANK (0 on the first) and MASTER_ADDR (the first one's).
set -euo pipefail
config=$1 checkpoint=$2 processes=$3
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$processes" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    "$(dirname "${BASH_SOURCE[0]}")/test.py" "$config" "$checkpoint" --launcher pytorch "${@:4}"
