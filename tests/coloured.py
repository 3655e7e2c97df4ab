"""A set in COCO's format whose rectangles have the colour of their class, so that pixels tell whether labels are "
"right."""

import json
from pathlib import Path

import cv2
import numpy as np
import torch

from tests.helpers import tiny_config

COLOURS = dict(cat=(40, 40, 220), dog=(60, 200, 40))
SIZE = (96, 128)
"""Height and width."""


def draw(folder, pictures=4, classes=('cat', 'dog')):
    """Two rectangles a picture, one in each half; the folders ``train`` and ``val``, and what their files would "
    "hold."""
    contents = {}
    for seed, part in enumerate(('train', 'val')):
        (folder / part).mkdir(parents=True)
        random = np.random.default_rng(seed)
        images, annotations = [], []
        for number in range(1, pictures + 1):
            picture = np.full((*SIZE, 3), 128, np.uint8)
            for half in range(2):
                kind = (number + half) % len(classes)
                width, height = (int(side) for side in random.integers(24, 44, 2))
                x, y = 64 * half + int(random.integers(0, 64 - width)), int(random.integers(0, 96 - height))
                picture[y : y + height, x : x + width] = COLOURS[classes[kind]]
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=number,
                        category_id=kind + 1,
                        bbox=[x, y, width, height],
                        area=width * height,
                        iscrowd=0,
                        segmentation=[[x, y, x + width, y, x + width, y + height, x, y + height]],
                    )
                )
            name = f'{number}.png'
            cv2.imwrite(str(folder / part / name), picture)
            images.append(dict(id=number, file_name=name, width=SIZE[1], height=SIZE[0]))
        categories = [dict(id=number, name=name) for number, name in enumerate(classes, start=1)]
        contents[part] = dict(images=images, annotations=annotations, categories=categories)
    return contents


def write(folder, contents):
    for part, content in contents.items():
        (folder / f'{part}.json').write_text(json.dumps(content))


def config_of(folder, classes=('cat', 'dog')):
    """The tiny detector on such a set, pictures unresized."""
    config = tiny_config()
    for part in ('train', 'val', 'test'):
        dataset = config[f'{part}_dataloader'].dataset
        source = 'train' if part == 'train' else 'val'
        dataset.update(data_root=str(folder), ann_file=f'{source}.json', metainfo=dict(classes=classes))
        dataset.data_prefix = dict(img=f'{source}/')
        for step in dataset.pipeline:
            if step.type == 'Resize':
                step.scale = (SIZE[1], SIZE[0])
            if step.type == 'RandomFlip':
                step.update(prob=0.0, direction='horizontal')
    for evaluator in (config.val_evaluator, config.test_evaluator):
        evaluator.ann_file = str(Path(folder, 'val.json'))
    for head in ('bbox_head', 'mask_head'):
        config.model.roi_head[head].num_classes = len(classes)
    return config


def worst_agreement(dataset):
    """The least share of the pixels under a box or mask, as the model gets them, that have the colour of its class; and
    how many objects there are."""
    shares = []
    for sample in dataset:
        pixels = sample['inputs'].permute(1, 2, 0).numpy().astype(int)
        truth = sample['data_samples'].gt_instances
        for box, label, mask in zip(truth.bboxes.tensor, truth.labels, truth.masks.masks, strict=True):
            near = np.abs(pixels - np.array(COLOURS[dataset.metainfo['classes'][int(label)]])).max(-1) < 60
            x1, y1, x2, y2 = (round(float(side)) for side in box)
            shares += [near[y1:y2, x1:x2].mean(), near[mask.astype(bool)].mean()]
    return min(shares, default=0.0), len(shares) // 2


def perfect_predictions(dataset, content):
    """What a model that knows all would predict on each picture of a data set, from the sound annotations, each with a
    label by the data set's classes."""
    names = {category['id']: category['name'] for category in content['categories']}
    classes = dataset.metainfo['classes']
    by_name = {image['file_name'].split('.')[0]: image['id'] for image in content['images']}
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        number = by_name[Path(info['img_path']).name.split('.')[0]]
        objects = [a for a in content['annotations'] if a['image_id'] == number]
        boxes = torch.tensor([a['bbox'] for a in objects], dtype=torch.float32).reshape(-1, 4)
        masks = torch.zeros(len(objects), *SIZE, dtype=torch.bool)
        for mask, (x, y, width, height) in zip(masks, boxes.int().tolist(), strict=True):
            mask[y : y + height, x : x + width] = True
        boxes[:, 2:] += boxes[:, :2]
        labels = torch.tensor([classes.index(names[a['category_id']]) for a in objects], dtype=torch.long)
        predicted = dict(bboxes=boxes, scores=torch.ones(len(objects)), labels=labels, masks=masks)
        yield dict(pred_instances=predicted, img_id=info['img_id'], ori_shape=SIZE)
