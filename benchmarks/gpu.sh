#!/usr/bin/env bash
# Measure what docs/benchmarks.md shows of a GPU, in bfloat16 by autocast: bash benchmarks/gpu.sh
# What decides most comes first, and each table is printed again at the end, so that a machine that is lent for 12
# minutes gives most of it. Batches are as large as a GPU needs to be busy.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python}
log=$(mktemp)
trap 'cat "$log"' EXIT
measure() { # name, title, and what benchmarks.models takes
    "$python" -W ignore -m benchmarks.models "${@:3}" --device cuda --dtype bfloat16 \
        --title "$2" --out "benchmarks/results/gpu_$1" | tee -a "$log"
}

windowed=hiera_mm:b:8/4/16/8
swin='mmdet::swin/mask-rcnn_swin-s-p4-w7_fpn_amp-ms-crop-3x_coco.py'
few=(hiera_mm:b timm:hiera_base_224 timm:vit_base_patch16_224)
halves=(bfloat16:hiera_mm:b bfloat16:timm:hiera_base_224 bfloat16:timm:vit_base_patch16_224)

measure image_224 '64 images of 224, on a GPU' "${few[@]}" "${halves[@]}" timm:convnext_base \
    timm:swin_base_patch4_window7_224 timm:mvitv2_base --size 224 --batch 64 --repeats 15
measure image_224_graph '64 images of 224, as CUDA graphs' "${few[@]}" "${halves[@]}" --size 224 --batch 64 \
    --graph --repeats 15
measure detector_step 'Whole detectors, a training step with four images of 1024, on a GPU' \
    configs/mask_rcnn_hiera_b.py "$swin" --batch 4 --mode step --repeats 9
measure image_224_compiled_graph '64 images of 224, compiled, as CUDA graphs' "${few[@]}" "${halves[@]}" --size 224 \
    --batch 64 --compile --graph --repeats 15
measure image_224_step '64 images of 224, training step, on a GPU' hiera_mm:b hiera-transformer:b timm:hiera_base_224 \
    timm:mvitv2_base --size 224 --batch 64 --mode step --repeats 15
measure clip_16x224_backward 'Eight clips of 16 x 224, forward and backward, on a GPU' hiera_mm:b hiera-transformer:b \
    mmaction.MViT:arch=base,temporal_size=16 --size 224 --frames 16 --batch 8 --mode backward --repeats 9
measure compiled_224_step '64 images of 224, training step, compiled, on a GPU' hiera_mm:b timm:hiera_base_224 \
    --size 224 --batch 64 --mode step --compile --repeats 15
measure image_224_batch256 '256 images of 224, on a GPU' "${few[@]}" "${halves[@]}" --size 224 --batch 256 --repeats 9
measure image_1024_detectors 'Backbones of detectors, four images of 1024, on a GPU' "$windowed" "$swin:backbone" \
    mmdet.ResNet:depth=50 mmdet.ResNet:depth=101 timm:convnext_base hiera_mm:b hiera-transformer:b \
    --batch 4 --repeats 9
"$python" -W ignore -m benchmarks.training_memory in1k_hiera_b k400_hiera_b mask_rcnn_hiera_b --batch 8 \
    --out benchmarks/results/gpu_training_memory
"$python" -W ignore -m benchmarks.optimizer_step k400_hiera_l --device cuda --repeats 5 \
    --out benchmarks/results/gpu_optimizer_step
