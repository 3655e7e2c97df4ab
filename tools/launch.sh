#!/usr/bin/env bash
# What dist_train.sh and dist_test.sh share: bash tools/launch.sh PROCESSES TOOL.py [arguments of the tool]
# On one machine any free port will do, unless PORT names one; several machines agree on PORT, 29500 by default.
# After a fault in one process all are started again, MAX_RESTARTS times (0), and go on from the newest checkpoint.
set -euo pipefail
processes=$1 python=${PYTHON:-python} nodes=${NNODES:-1}
if [[ $nodes == 1 && -z ${PORT:-} ]]; then
    PORT=$("$python" -c 'import socket; probe = socket.create_server(("127.0.0.1", 0)); print(probe.getsockname()[1])')
elif [[ ${NODE_RANK:-0} == 0 ]] && (: <"/dev/tcp/127.0.0.1/${PORT:=29500}") 2>/dev/null; then
    echo "Error: port $PORT is in use on this machine; set PORT to another one, on all machines the same." >&2
    exit 1
fi
exec "$python" -m torch.distributed.run --nnodes="$nodes" --node_rank="${NODE_RANK:-0}" \
    --nproc_per_node="$processes" --max_restarts="${MAX_RESTARTS:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    "$(dirname "${BASH_SOURCE[0]}")/$2" --launcher pytorch "${@:3}"
