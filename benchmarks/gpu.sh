#!/usr/bin/env bash
# Measure what docs/benchmarks.md shows of a GPU, in bfloat16 by autocast: bash benchmarks/gpu.sh
# Batches are as large as a GPU needs to be busy. On an H200 three minutes were enough for the first four tables.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
measure() { # name, title, and what benchmarks.models takes
    "${PYTHON:-python}" -W ignore -m benchmarks.models "${@:3}" --device cuda --dtype bfloat16 \
        --title "$2" --out "benchmarks/results/gpu_$1"
}

windowed=hiera_mm:b:8/4/14/7
swin='mmdet::swin/mask-rcnn_swin-s-p4-w7_fpn_amp-ms-crop-3x_coco.py'

measure image_224 '64 images of 224, on a GPU' hiera_mm:b hiera-transformer:b timm:hiera_base_224 transformers:b \
    timm:mvitv2_base timm:swin_base_patch4_window7_224 timm:vit_base_patch16_224 timm:convnext_base \
    --size 224 --batch 64 --repeats 15
measure image_224_step '64 images of 224, training step, on a GPU' hiera_mm:b hiera-transformer:b timm:hiera_base_224 \
    timm:mvitv2_base --size 224 --batch 64 --mode step --repeats 15
measure detector_step 'Whole detectors, a training step with four images of 1024, on a GPU' \
    configs/mask_rcnn_hiera_b.py "$swin" --batch 4 --mode step --repeats 9
measure clip_16x224_backward 'Eight clips of 16 x 224, forward and backward, on a GPU' hiera_mm:b hiera-transformer:b \
    mmaction.MViT:arch=base,temporal_size=16 --size 224 --frames 16 --batch 8 --mode backward --repeats 9
measure image_1024_detectors 'Backbones of detectors, four images of 1024, on a GPU' "$windowed" "$swin:backbone" \
    mmdet.ResNet:depth=50 mmdet.ResNet:depth=101 timm:convnext_base hiera_mm:b hiera-transformer:b \
    --batch 4 --repeats 9
measure compiled_224_step '64 images of 224, training step, compiled, on a GPU' hiera_mm:b timm:hiera_base_224 \
    --size 224 --batch 64 --mode step --compile --repeats 15
"${PYTHON:-python}" -W ignore -m benchmarks.training_memory in1k_hiera_b k400_hiera_b mask_rcnn_hiera_b --batch 8 \
    --out benchmarks/results/gpu_training_memory
"${PYTHON:-python}" -W ignore -m benchmarks.optimizer_step k400_hiera_l --device cuda --repeats 5 \
    --out benchmarks/results/gpu_optimizer_step
