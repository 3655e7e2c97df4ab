"""Give masks to objects that have boxes alone, by SAM 2, so that detectors can learn masks from them.

hiera-mm label-masks my_config.py --model sam2.1_hiera_bp

Writes ANN_FILE_masks.json beside each annotation file of the config: every object with its mask, the score that SAM 2
gives it, and 'source'. Masks that are there already stay as they are. Objects whose new mask is empty, leaves its box
or scores low stay boxes and are listed. Repeat the command to continue an interrupted run. Needs pip install
'hiera_mm[sam2]'; the weights (Apache-2.0) are downloaded on first use. The exit code is 1 if an image can't be read.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from hiera_mm.commands.options import add_common_options, add_config_argument, read_config

if TYPE_CHECKING:
    from hiera_mm.tasks.detection.mask_labels import MaskLabels

    from mmengine.config import Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_argument(parser)
    parser.add_argument('--model', default='sam2.1_hiera_bp', help='weights of SAM 2: name, path or URL (%(default)s)')
    parser.add_argument('--least-score', type=float, default=0.6, help='lowest score of a mask (%(default)s)')
    parser.add_argument('--device', help='such as cuda:0 or cpu (default: a GPU if there is one)')
    add_common_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from hiera_mm.inference.segment_anything import SegmentAnything
    from hiera_mm.tasks.detection.mask_labels import label_masks

    config = read_config(arguments)
    maker = SegmentAnything(arguments.model, arguments.device)
    found = label_masks(config, maker, arguments.least_score, Path(config.work_dir, 'masks'))
    for labels in found:
        _say(labels)
    _say_settings(config, found)
    return 1 if any(labels.broken for labels in found) else 0


def _say(labels: MaskLabels) -> None:
    from hiera_mm.errors import examples

    alone = f', {labels.left_alone} left as they were' if labels.left_alone else ''
    print(f'{labels.written}: {labels.made} objects with a new mask{alone}.')
    for sentence in labels.broken:
        print(f'Not read: {sentence}')
    if labels.doubtful:
        listed = [f'{image}, {name}: {reason}' for image, _, name, reason in labels.doubtful]
        print(f'{examples(listed)} of the objects stay boxes.')
    if labels.sheet:
        print(f'Samples with their masks: {labels.sheet}')


def _say_settings(config: Config, found: list[MaskLabels]) -> None:
    """What to set in a config that learns the masks."""
    print('To learn them, in a config of masks such as mask_rcnn_hiera_t.py:')
    for labels in found:
        for key in labels.keys:
            loader, part = key.partition('.')[0], key.partition('_')[0]
            root = config[loader].dataset.get('data_root') or '.'
            print(f'{part}_ann_file = {os.path.relpath(labels.written, root)!r}')
            if labels.doubtful or labels.broken:
                print(f'{loader} = dict(dataset=dict(fill_masks_from_boxes=False))  # those that stay boxes')
