#!/usr/bin/env bash
# Measure what docs/benchmarks.md shows of a GPU, in bfloat16 by autocast: bash benchmarks/gpu.sh
# What decides most comes first, and each table is printed again at the end. It stops after 12 minutes, for which such a
# machine is lent, and after 4 minutes for one table, names what failed or was not reached, and then exits with 1. Batches
# are as large as a GPU needs to be busy.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python}
log=$(mktemp)
missing=()
run() { # name, and a module with its options
    local left=$((12 * 60 - SECONDS))
    if ((left < 15)); then
        missing+=("$1 (no time left)")
    elif ! timeout "$((left < 240 ? left : 240))" "$python" -W ignore -m "${@:2}" --out "benchmarks/results/gpu_$1" | tee -a "$log"; then
        missing+=("$1")
    fi
}
measure() { # name, title, and what benchmarks.models takes
    run "$1" benchmarks.models "${@:3}" --device cuda --dtype bfloat16 --title "$2"
}

windowed=hiera_mm:b:8/4/16/8
swin='mmdet::swin/mask-rcnn_swin-s-p4-w7_fpn_amp-ms-crop-3x_coco.py'
few=(hiera_mm:b timm:hiera_base_224 timm:vit_base_patch16_224)
halves=("${few[@]/#/bfloat16:}")
with_and_without=(hiera_mm:b plain:b bfloat16:hiera_mm:b bfloat16:plain:b bfloat16:kernels:b)

measure image_224 '64 images of 224, on a GPU' "${few[@]}" "${halves[@]}" bfloat16:kernels:b plain:b bfloat16:plain:b \
    timm:convnext_base timm:swin_base_patch4_window7_224 timm:mvitv2_base --size 224 --batch 64 --repeats 15
measure image_224_graph '64 images of 224, as CUDA graphs' "${few[@]}" "${halves[@]}" bfloat16:kernels:b plain:b bfloat16:plain:b \
    --size 224 --batch 64 --graph --repeats 15
measure detector_step 'Whole detectors, a training step with four images of 1024, on a GPU' \
    configs/mask_rcnn_hiera_b.py "$swin" --batch 4 --mode step --repeats 9
measure detector_step_compiled 'Whole detectors, a training step, their static parts as CUDA graphs' \
    configs/mask_rcnn_hiera_b.py "$swin" --batch 4 --mode step --compile --graph --repeats 9
measure image_224_compiled '64 images of 224, compiled, as CUDA graphs' "${few[@]}" --size 224 --batch 64 \
    --compile --graph --repeats 15
measure image_1_224 'An image of 224, on a GPU' "${with_and_without[@]}" --size 224 --repeats 25
measure image_224_step '64 images of 224, training step, on a GPU' hiera_mm:b hiera-transformer:b timm:hiera_base_224 \
    timm:mvitv2_base --size 224 --batch 64 --mode step --repeats 15
measure image_224_step_compiled '64 images of 224, training step, compiled, as CUDA graphs' hiera_mm:b \
    timm:hiera_base_224 --size 224 --batch 64 --mode step --compile --graph --repeats 15
measure clip_16x224_backward 'Eight clips of 16 x 224, forward and backward, on a GPU' hiera_mm:b hiera-transformer:b \
    mmaction.MViT:arch=base,temporal_size=16 --size 224 --frames 16 --batch 8 --mode backward --repeats 9
measure image_224_batch256 '256 images of 224, on a GPU' "${with_and_without[@]}" timm:hiera_base_224 \
    timm:vit_base_patch16_224 --size 224 --batch 256 --repeats 9
measure image_1024_detectors 'Backbones of detectors, four images of 1024, on a GPU' "$windowed" "$swin:backbone" \
    mmdet.ResNet:depth=50 mmdet.ResNet:depth=101 timm:convnext_base hiera_mm:b hiera-transformer:b \
    --batch 4 --repeats 9
run training_memory benchmarks.training_memory in1k_hiera_b k400_hiera_b mask_rcnn_hiera_b --batch 8
run optimizer_step benchmarks.optimizer_step k400_hiera_l --device cuda --repeats 5

cat "$log"
rm "$log"
if ((${#missing[@]})); then
    printf 'Not measured: %s\n' "${missing[@]}"
    exit 1
fi
