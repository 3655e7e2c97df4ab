#!/usr/bin/env bash
# From a fresh clone to a trained and evaluated Mask R-CNN with Hiera on generated images: bash tools/quickstart.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
config=configs/mask_rcnn_hiera_t_shapes.py
folder=work_dirs/quickstart

bash tools/setup.sh
.venv/bin/hiera-mm check-env
.venv/bin/hiera-mm make-data data/shapes
.venv/bin/hiera-mm train "$config" --work-dir "$folder" --resume
checkpoint="$folder/$(cat "$folder/last_checkpoint")"
.venv/bin/hiera-mm test "$config" "$checkpoint" --work-dir "$folder" --show-dir "$folder/predictions"
.venv/bin/hiera-mm report "$folder"
