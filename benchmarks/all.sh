#!/usr/bin/env bash
# Measure all that docs/benchmarks.md shows, and write it: bash benchmarks/all.sh [--device cuda --dtype bfloat16]
# On 2 cores of a CPU it takes an hour and a half. Options go to each run of benchmarks.models;
# with any, results are written to files named after them. benchmarks.step and benchmarks.data need data and stand in
# docs/detection.md and docs/video.md. Nothing is measured while other processes use the machine, nor in bfloat16 by a
# processor that has no instructions for it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
options=("$@")
ending=$(printf '%s' "$*" | tr -cd 'a-z0-9')
measure() { # name, title, and what benchmarks.models takes
    local out="benchmarks/results/$1${ending:+_$ending}"
    python -W ignore -m benchmarks.quiet
    python -W ignore -m benchmarks.models "${@:3}" "${options[@]}" --title "$2" --out "$out"
}

measure_bfloat16() {
    if ((${#options[@]})) || grep -qE 'avx512_bf16|amx_bf16' /proc/cpuinfo; then
        measure "$@" --dtype bfloat16
    else
        echo "Not measured, as this processor has no instructions for bfloat16: $1"
    fi
}

windowed=hiera_mm:b:8/4/16/8
swin='mmdet::swin/mask-rcnn_swin-s-p4-w7_fpn_amp-ms-crop-3x_coco.py'
images=(hiera_mm:b hiera-transformer:b timm:hiera_base_224 transformers:b timm:mvitv2_base
    timm:swin_base_patch4_window7_224 timm:vit_base_patch16_224 timm:convnext_base mmdet.ResNet:depth=101
    timm:mixer_b16_224 timm:xcit_small_24_p16_224 timm:convmixer_768_32)
clips=(hiera_mm:b hiera-transformer:b mmaction.MViT:arch=base,temporal_size=16)

measure image_224_batch8 'Eight images of 224' "${images[@]}" --size 224 --batch 8
measure image_1024 'An image of 1024' hiera_mm:b hiera-transformer:b timm:hiera_base_224 --repeats 5
measure image_1024_backward 'An image of 1024, forward and backward' hiera_mm:b hiera-transformer:b \
    timm:hiera_base_224 --mode backward --repeats 3
measure image_1024_windows 'An image of 1024, windows' hiera_mm:bp:8/4/14/7 sam2:bp:8/4/14/7 --repeats 5
measure image_1024_windows_backward 'An image of 1024, windows, forward and backward' \
    hiera_mm:bp:8/4/14/7 sam2:bp:8/4/14/7 --mode backward --repeats 9
measure clip_16x224 'A clip of 16 x 224' "${clips[@]}" \
    mmaction::recognition/videomae/vit-base-p16_videomae-k400-pre_16x4x1_kinetics-400.py:backbone \
    mmaction.TimeSformer:num_frames=16,img_size=224,patch_size=16 \
    mmaction::recognition/slowfast/slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb.py:backbone \
    --size 224 --frames 16 --repeats 5
measure clip_16x224_backward 'A clip of 16 x 224, forward and backward' "${clips[@]}" --size 224 --frames 16 \
    --mode backward --repeats 5
measure image_224_l 'Eight images of 224, large models' hiera_mm:l hiera-transformer:l timm:mvitv2_large \
    timm:vit_large_patch16_224 --size 224 --batch 8 --repeats 3
measure image_1024_detectors 'Backbones of detectors, an image of 1024' "$windowed" "$swin:backbone" \
    mmdet.ResNet:depth=50 mmdet.ResNet:depth=101 timm:samvit_base_patch16 timm:convnext_base --repeats 3
measure image_800x1344 'Backbones of detectors, an image of 800 x 1344' "$windowed" sam2:b:8/4/16/8 \
    "$swin:backbone" --size 800x1344 --repeats 3
measure image_512 'An image of 512' "$windowed" sam2:b:8/4/16/8 "$swin:backbone" timm:samvit_base_patch16 \
    hiera_mm:b hiera-transformer:b --size 512 --repeats 5
measure growth_frames 'Growth with the frames of the clip' hiera-transformer:b hiera_mm:b \
    --size 224 --frames 8 16 32 64 --repeats 3
measure detector_step 'Whole detectors, a training step at 1024' configs/mask_rcnn_hiera_b.py "$swin" \
    --mode step --repeats 3
measure compiled_224 'Eight images of 224, compiled' hiera_mm:b hiera-transformer:b timm:hiera_base_224 \
    --size 224 --batch 8 --compile --repeats 5
measure_bfloat16 image_224_bfloat16 'Four images of 224, in bfloat16' bfloat16:hiera_mm:b hiera_mm:b \
    bfloat16:timm:hiera_base_224 timm:hiera_base_224 bfloat16:timm:mvitv2_base \
    --size 224 --batch 4 --repeats 15
measure_bfloat16 detector_step_bfloat16 'Whole detectors, a training step at 1024, in bfloat16' \
    configs/mask_rcnn_hiera_b.py "$swin" --mode step --repeats 3
measure_bfloat16 clip_16x224_backward_bfloat16 'A clip of 16 x 224, forward and backward, in bfloat16' hiera_mm:b \
    hiera-transformer:b --size 224 --frames 16 --mode backward --repeats 7
measure image_224_step 'Eight images of 224, training step' hiera_mm:b hiera-transformer:b timm:hiera_base_224 \
    timm:mvitv2_base --size 224 --batch 8 --mode step --repeats 3
measure masking_224_backward 'Masking, eight images of 224, forward and backward' masked:b:0.6 dense:b:0.6 --size 224 \
    --batch 8 --mode backward
measure growth_side 'Growth with the side of the image' hiera-transformer:b hiera_mm:b "$windowed" \
    --size 256 512 1024 2048 --repeats 1
measure image_224_batch1 'One image of 224' "${images[@]}" --size 224 --repeats 21

if ((${#options[@]} == 0)); then
    python -W ignore -m benchmarks.metric --out benchmarks/results/metric
    python -W ignore -m benchmarks.training_memory in1k_hiera_b k400_hiera_b mask_rcnn_hiera_t \
        --out benchmarks/results/training_memory
    python -W ignore -m benchmarks.optimizer_step k400_hiera_l --repeats 5 --out benchmarks/results/optimizer_step
fi
python -m benchmarks.docs
