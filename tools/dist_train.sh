#!/usr/bin/env bash
# Train on several GPUs or processes: bash tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]
# On several machines, run it on each with NNODES, NODE_RANK (0 on the first) and MASTER_ADDR (the first one's).
set -euo pipefail
config=$1 processes=$2
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$processes" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    "$(dirname "${BASH_SOURCE[0]}")/train.py" "$config" --launcher pytorch "${@:3}"
