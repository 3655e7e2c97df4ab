"""Checks of a panoptic model's heads and evaluators, and counting its training images."""

from collections.abc import Iterator
from pathlib import Path

from hiera_mm.checks.coco import annotation_file
from hiera_mm.checks.fault import Fault, Severity, class_of, unwrapped
from hiera_mm.checks.panoptic import things_and_stuff, used_in_training
from hiera_mm.errors import UserError
from hiera_mm.evaluation.panoptic import require_panopticapi
from hiera_mm.readers.panoptic_files import read_panoptic

from mmengine.config import Config, ConfigDict

HEADS = ('panoptic_head', 'panoptic_fusion_head')
COUNTS = ('num_things_classes', 'num_stuff_classes')


def faults_of_model(model: ConfigDict) -> Iterator[Fault]:
    """A loss whose weights are for another number of classes."""
    head = model.panoptic_head
    count, weights = sum(head[key] for key in COUNTS), (head.get('loss_cls') or {}).get('class_weight')
    if isinstance(weights, list | tuple) and len(weights) != count + 1:
        yield Fault(
            Severity.BLOCKS,
            f'model.panoptic_head.loss_cls.class_weight has {len(weights)} weights, but the model has {count} classes '
            'and one weight for none of them; set thing_classes and stuff_classes at the top of the config, which sets '
            f'it, or class_weight=[1.0] * {count} + [0.1].',
        )


def faults_of_quality(key: str, evaluator: ConfigDict, config: Config) -> Iterator[Fault]:
    """Faults of the metric of panoptic quality: without its package, or with other files than the data set."""
    try:
        require_panopticapi()
    except UserError as error:
        yield Fault(Severity.BLOCKS, f'{key}: {error}')
    if not evaluator.get('ann_file') or evaluator.get('backend_args'):
        return
    loader = key.replace('evaluator', 'dataloader')
    for place, dataset in unwrapped(f'{loader}.dataset', config[loader].dataset):
        if not dataset.get('ann_file') or dataset.get('backend_args'):
            continue
        loaded = annotation_file(dataset)
        folder = Path(dataset.get('data_root') or '.', dataset.get('data_prefix', {}).get('seg') or '')
        for name, scored, own in (
            ('ann_file', evaluator.ann_file, loaded),
            ('seg_prefix', evaluator.get('seg_prefix'), folder),
        ):
            if scored and Path(scored).resolve() != own.resolve():
                yield Fault(
                    Severity.BLOCKS,
                    f"{key}.{name} is '{scored}', but {place} has '{own}'; set both to the same, preferably by "
                    'val_ann_file and val_data_prefix (test_ann_file and test_data_prefix) at the top of the config.',
                )
        return


def count_images(key: str, dataset: ConfigDict) -> int | None:
    """How many images of a data set are used in training, by its annotation file; None without a local file."""
    if dataset.get('backend_args') or not dataset.get('ann_file'):
        return None
    file = read_panoptic(annotation_file(dataset), f'{key}.ann_file')
    things, stuff = things_and_stuff(dataset, class_of(dataset, 'mmdet') or object)
    labels = file.labels(things, stuff)
    return len(used_in_training(file, labels, len(things), dataset.get('filter_cfg') or ConfigDict()))
