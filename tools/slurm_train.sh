#!/usr/bin/env bash
# Train under Slurm: bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of hiera-mm train]
# GPUS (8, one process each), GPUS_PER_NODE (8; 0 trains on CPUs), CPUS_PER_TASK (8) and SRUN_ARGS are mmdet's. It goes
# on with --resume, so the same line starts a job that was requeued; --signal=USR1@120 in SRUN_ARGS has it saved in time.
set -euo pipefail
gpus=${GPUS:-8} per_node=${GPUS_PER_NODE:-8}
tasks=$((per_node > 0 && per_node < gpus ? per_node : gpus))
resources=()
if ((per_node > 0)); then
    resources=(--gres="gpu:$tasks")
fi
# shellcheck disable=SC2086  (several arguments)
exec srun --partition="$1" --job-name="$2" "${resources[@]}" --ntasks="$gpus" --ntasks-per-node="$tasks" \
    --cpus-per-task="${CPUS_PER_TASK:-8}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$(dirname "${BASH_SOURCE[0]}")/train.py" "$3" --work-dir "$4" --launcher slurm --resume "${@:5}"
