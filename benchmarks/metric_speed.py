"""COCO metrics timed on generated predictions, and compared."""

import json
import time
from pathlib import Path

import numpy as np
import pycocotools.mask
import torch
from mmengine.registry import METRICS

SIDE = 640
CLASSES = tuple(f'class{number}' for number in range(80))


def time_metrics(folder: Path, images: int, types: tuple[str, ...]) -> dict[str, tuple[float, dict[str, float]]]:
    """Seconds and results of each type of metric, boxes and masks, on the same 100 predictions an image.

    Args:
        folder: Where the annotations are written to.
        images: Their number, with 7 objects each.
        types: Of metrics, such as ``mmdet.CocoMetric``.
    """
    annotations, predictions = _made_up(images)
    path = folder / 'annotations.json'
    path.write_text(json.dumps(annotations))
    found = {}
    for name in types:
        start = time.perf_counter()
        metric = METRICS.build(dict(type=name, ann_file=str(path), metric=['bbox', 'segm'], format_only=False))
        metric.dataset_meta = dict(classes=CLASSES)
        metric.process({}, predictions)
        results = metric.evaluate(images)
        found[name] = (time.perf_counter() - start, results)
    return found


def _made_up(images: int) -> tuple[dict, list[dict]]:
    """COCO annotations, and predictions of which some are close to an object and most are not."""
    rng = np.random.default_rng(0)
    annotations, predictions = [], []
    for image in range(1, images + 1):
        boxes, labels = _boxes(rng, 7), rng.integers(len(CLASSES), size=7)
        for box, label, mask in zip(boxes, labels, _masks(boxes), strict=True):
            x1, y1, x2, y2 = map(float, box)
            mask['counts'] = mask['counts'].decode()
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image,
                    category_id=int(label) + 1,
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    area=float((x2 - x1) * (y2 - y1)),
                    segmentation=mask,
                    iscrowd=0,
                )
            )
        near = np.clip(boxes.repeat(5, axis=0) + rng.normal(0, 8, (35, 4)), 0, SIDE)
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        guessed = np.concatenate([near, _boxes(rng, 65)])
        guesses = dict(
            bboxes=torch.from_numpy(guessed).float(),
            scores=torch.from_numpy(rng.random(100)).float(),
            labels=torch.from_numpy(np.concatenate([labels.repeat(5), rng.integers(len(CLASSES), size=65)])),
            masks=_masks(guessed),
        )
        predictions.append(dict(pred_instances=guesses, img_id=image, ori_shape=(SIDE, SIDE)))
    content = dict(
        images=[dict(id=image, width=SIDE, height=SIDE, file_name=f'{image}.jpg') for image in range(1, images + 1)],
        categories=[dict(id=number + 1, name=name) for number, name in enumerate(CLASSES)],
        annotations=annotations,
    )
    return content, predictions


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    sizes = rng.uniform(8, 300, (count, 2))
    corners = rng.uniform(0, SIDE - sizes)
    return np.concatenate([corners, corners + sizes], axis=1)


def _masks(boxes: np.ndarray) -> list[dict]:
    """The boxes' ellipses in COCO's run-length code."""
    masks = []
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    for x1, y1, x2, y2 in boxes:
        xs = (x1 + x2) / 2 + (x2 - x1) / 2 * np.cos(angles)
        ys = (y1 + y2) / 2 + (y2 - y1) / 2 * np.sin(angles)
        polygon = np.stack([xs, ys], axis=1).reshape(-1).tolist()
        masks.append(pycocotools.mask.frPyObjects([polygon], SIDE, SIDE)[0])
    return masks
