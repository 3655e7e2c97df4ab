#!/usr/bin/env bash
# From a fresh clone to a trained and evaluated Mask R-CNN with Hiera on generated images: bash tools/quickstart.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
config=configs/mask_rcnn_hiera_t_shapes.py
folder=work_dirs/quickstart

bash tools/setup.sh
.venv/bin/python tools/check_env.py
.venv/bin/python tools/make_shapes.py data/shapes
.venv/bin/python tools/train.py "$config" --work-dir "$folder" --resume
checkpoint="$folder/$(cat "$folder/last_checkpoint")"
.venv/bin/python tools/test.py "$config" "$checkpoint" --work-dir "$folder" --show-dir "$folder/predictions"
.venv/bin/python tools/plot_log.py "$folder"
