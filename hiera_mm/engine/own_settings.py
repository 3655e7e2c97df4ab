"""Settings at the top of a user's config that stand for many keys, and the schedule that follows from them.

They are ordinary names of the config file: a user who never writes one gets the recipe as it is.
"""

import inspect
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

from hiera_mm.checks.fault import class_of, unwrapped
from hiera_mm.config import (
    dicts_in,
    evaluators_of,
    heads_of,
    heads_of_masks,
    read_config_file,
    top_level_names,
)
from hiera_mm.errors import UserError
from hiera_mm.readers.class_names import classes_from
from hiera_mm.readers.coco_files import read_annotations

from mmengine.config import Config, ConfigDict
from mmengine.runner import FlexibleRunner, Runner

PARTS = ('train', 'val', 'test')
SETTINGS = (
    *('classes', 'image_size', 'batch_size', 'learning_rate', 'epochs', 'max_iters', 'data_root'),
    *(f'{part}_{kind}' for part in PARTS for kind in ('ann_file', 'data_prefix')),
)
"""Those of this suite."""

OF_VOLUMES = ('classes', 'crop_size', 'data_root', *(f'{part}_ann_file' for part in PARTS))
"""Those of configs of volumes."""

RUNNER_SETTINGS = (
    *(name for runner in (Runner, FlexibleRunner) for name in inspect.signature(runner).parameters),
    *('runner_type', 'model_wrapper_cfg', 'find_unused_parameters', 'sync_bn', 'activation_checkpointing'),
    *('efficient_conv_bn_eval', 'state_dict_config', 'log_name', 'custom_imports', 'tta_model', 'tta_pipeline'),
)
"""What mmengine's runners look for at the top of a config."""

OF_PICTURES = ('mmdet', 'mmseg')
"""The scopes of configs that have all of these; others have ``epochs``, and some the classes and the folder."""

SIDES = ('scale', 'scales', 'crop_size', 'size', 'img_scale', 'pad_size')
"""Keys of pipeline steps that hold the size of images."""

SIDES_OF_VOLUMES = ('spatial_size', 'roi_size')
"""The same of steps of volumes, with three sides."""

LONG_SIDE = 4
"""Segmentation resizes to the short side of ``image_size``, with a long side of at most so many times as much."""

STRIDE = 32
"""What padded sides must be multiples of."""

WARM_UP_SHARE = 0.05
"""Of a short run, at most this goes into the warm-up."""

TOP = 5
"""Kinetics' second figure: whether the right class is among so many."""

VALIDATIONS = 20
"""The most of a run whose intervals are chosen here."""


def own_settings(path: str, options: Sequence[str] = ()) -> tuple[set[str], Config | None]:
    """What a config's own files and ``KEY=VALUE`` options set at the top, and the config of the suite beneath, None if
    there is nothing of either."""
    names, shipped = top_level_names(path)
    given = {option.partition('=')[0] for option in options}
    names |= {name for name in given if '.' not in name}
    if 'train_cfg.max_epochs' in given:
        # The command line has the last word.
        names.discard('epochs')
    return names, read_config_file(shipped) if shipped and (names or given) else None


def refuse_without_effect(config: Config, options: Sequence[str]) -> None:
    """Refuse ``KEY=VALUE`` options at the top of a config that nothing reads.

    Raises:
        UserError: naming the one that was probably meant, or the one that only the config file itself uses.
    """
    known = {*RUNNER_SETTINGS, *_settings_of(config)}
    for key in (option.partition('=')[0] for option in options if '=' in option):
        name = key.partition('.')[0]
        if name in known:
            continue
        if name in config:
            raise UserError(
                f"--cfg-options sets '{key}', but '{name}' is a name that only the config file itself uses, so that "
                'would have no effect; set the keys that it is used for, such as train_dataloader.dataset.pipeline.'
            )
        close = get_close_matches(name, known, n=1)
        hint = f'did you mean {key.replace(name, close[0], 1)}?' if close else 'correct its spelling.'
        raise UserError(f"--cfg-options sets '{key}', but nothing reads '{name}'; {hint}")


def _settings_of(config: Config) -> Sequence[str]:
    """Which of :data:`SETTINGS` have an effect on a config."""
    if config.get('default_scope') in OF_PICTURES:
        return SETTINGS
    of_run: tuple[str, ...] = ('epochs',) if 'max_epochs' in config.get('train_cfg', {}) else ()
    of_data = dict(ClipDataset=('classes',), VolumeDataset=OF_VOLUMES)
    return of_run + of_data.get(_type_of_data(config), ())


def _type_of_data(config: Config) -> str:
    return config.get('train_dataloader', {}).get('dataset', {}).get('type', '')


def apply_own_settings(config: Config, names: set[str], base: Config | None) -> None:
    """Give the settings at the top of a user's config their effect.

    Args:
        config: To change.
        names: What the user's own files and options set, see :func:`hiera_mm.config.top_level_names`.
        base: The config of the suite that it inherits from.

    Raises:
        UserError: for a setting that would have no effect.
    """
    if base is None or 'train_dataloader' not in config:
        return
    names = names.intersection(_settings_of(config))
    if config.get('default_scope') not in OF_PICTURES:
        _set_files(config, names, base)
        if 'crop_size' in names:
            _set_crop_size(config, base)
        if 'classes' in names:
            volumes = _type_of_data(config) == 'VolumeDataset'
            (_set_classes_of_volumes if volumes else _set_classes_of_clips)(config)
        return
    _set_files(config, names, base)
    if 'classes' in names:
        (_set_classes_of_masks if 'decode_head' in config.model else _set_classes)(config)
    if 'image_size' in names:
        _set_image_size(config, base)
    if 'batch_size' in names:
        _set(config.train_dataloader, 'batch_size', config.batch_size, base.train_dataloader, 'train_dataloader')
    if 'learning_rate' in names:
        optimizer = config.optim_wrapper.optimizer
        _set(optimizer, 'lr', config.learning_rate, base.optim_wrapper.optimizer, 'optim_wrapper.optimizer')


def scale_schedule(config: Config, names: set[str], base: Config | None) -> None:
    """Make the schedule as long as ``epochs``, ``max_iters`` or ``train_cfg`` of a user's config say: rates, warm-up,
    validations and checkpoints keep their places in the run, unless the user set them.

    Raises:
        UserError: for settings that contradict each other, or an annotation file that can't be used.
    """
    if base is None:
        return
    if 'max_epochs' in base.get('train_cfg', {}):
        if 'epochs' in names:
            _scale_epochs(config, base)
        return
    if config.get('default_scope') not in OF_PICTURES or 'max_iters' not in base.get('train_cfg', {}):
        return
    # Counted once, and only where it is asked for: a large annotation file takes seconds to read.
    pictures = cache(lambda: training_pictures(config))
    iterations = _iterations(config, names, base, pictures)
    if iterations is None:
        return
    before = base.train_cfg.max_iters
    if config.get('param_scheduler') == base.get('param_scheduler'):
        config.param_scheduler = _all_scaled(config.param_scheduler, before, iterations)
    interval = _interval(config, iterations, pictures())
    if config.train_cfg.get('val_interval') == base.train_cfg.val_interval:
        config.train_cfg.val_interval = interval
    if config.train_cfg.get('dynamic_intervals') == base.train_cfg.get('dynamic_intervals'):
        config.train_cfg.dynamic_intervals = None
    hooks = config.get('default_hooks', {})
    if hooks.get('checkpoint', {}).get('interval') == base.default_hooks.checkpoint.get('interval'):
        hooks.checkpoint.interval = config.train_cfg.val_interval
    config.train_cfg.max_iters = config.max_iters = iterations


def _scale_epochs(config: Config, base: Config) -> None:
    """Make a run by epochs as long as ``epochs`` at the top of the config says, with its parts in their places.

    Raises:
        UserError: for a schedule that has no places to move, or another length in ``train_cfg``.
    """
    before, after = base.train_cfg.max_epochs, config.epochs
    inner = config.train_cfg.max_epochs
    if inner not in (before, after):
        raise UserError(f'The config sets epochs = {after} and train_cfg.max_epochs = {inner}; leave one of them out.')
    if config.get('param_scheduler') == base.get('param_scheduler'):
        if any(not scheduler.get('by_epoch', True) or 'timescale' in scheduler for scheduler in config.param_scheduler):
            raise UserError(
                'epochs at the top of the config has no effect on its param_scheduler, which does not count whole '
                'epochs; set train_cfg.max_epochs and param_scheduler.'
            )
        config.param_scheduler = _all_scaled(config.param_scheduler, before, after)
    for owner, former, key in (
        (config.train_cfg, base.train_cfg, 'val_interval'),
        (config.train_cfg, base.train_cfg, 'val_begin'),
        (config.default_hooks.checkpoint, base.default_hooks.checkpoint, 'interval'),
    ):
        if former.get(key) and owner.get(key) == former[key]:
            owner[key] = max(1, round(former[key] * after / before))
    config.train_cfg.max_epochs = after


def training_pictures(config: Config) -> int | None:
    """How many pictures an epoch of training has; None where that is not known without building the data set."""
    count = _count_of_masks if config.default_scope == 'mmseg' else _count_of_annotated
    counted = [count(*part) for part in unwrapped('train_dataloader.dataset', config.train_dataloader.dataset)]
    return None if None in counted else sum(filter(None, counted))


def _count_of_masks(key: str, dataset: ConfigDict) -> int | None:
    from hiera_mm.checks.masks import pairs_of, reads_masks

    kind = class_of(dataset, 'mmseg')
    if kind is None or not reads_masks(kind) or dataset.get('backend_args'):
        return None
    return len(pairs_of(dataset, kind))


def _count_of_annotated(key: str, dataset: ConfigDict) -> int | None:
    if dataset.get('backend_args') or not dataset.get('ann_file'):
        return None
    file = read_annotations(os.path.join(dataset.get('data_root') or '', dataset.ann_file), f'{key}.ann_file')
    chosen = dataset.get('metainfo', {}).get('classes')
    names = {category['id'] for category in file.categories if not chosen or category['name'] in chosen}
    settings = dataset.get('filter_cfg') or {}
    annotated = {a['image_id'] for a in file.annotations if a['category_id'] in names}
    smallest = settings.get('min_size', 0)
    return sum(
        (not settings.get('filter_empty_gt') or image['id'] in annotated)
        and min(image.get('width', smallest), image.get('height', smallest)) >= smallest
        for image in file.images
    )


def rows_first(config: Config, key: str) -> bool:
    """Whether a key of pipeline steps means (height, width), as mmsegmentation's crops do; others are width first."""
    return key == 'crop_size' and config.get('default_scope') == 'mmseg'


def global_batch(config: Config) -> int:
    """Images that all processes together take in an iteration."""
    return config.train_dataloader.batch_size * int(os.environ.get('WORLD_SIZE', 1))


def _datasets(config: Config, parts: Iterable[str] = PARTS) -> Iterator[ConfigDict]:
    for part in parts:
        if config.get(f'{part}_dataloader'):
            yield from (dataset for _, dataset in unwrapped('', config[f'{part}_dataloader'].dataset))


def _set(part: ConfigDict, key: str, value: object, former: ConfigDict, place: str) -> None:
    """Set a key that the user did not set otherwise.

    Raises:
        UserError: if the user did.
    """
    if part.get(key) not in (value, former.get(key)):
        raise UserError(
            f'The config sets {place}.{key} = {part[key]}, and at its top {value} for the same; leave one of them out.'
        )
    part[key] = value


def _set_files(config: Config, names: set[str], base: Config) -> None:
    for part in PARTS:
        # A test set of its own is the exception; mmdet's configs test on the validation set.
        source = part if part != 'test' or f'{part}_ann_file' in names else 'val'
        former = next(iter(_datasets(base, [part])), ConfigDict())
        for dataset in _datasets(config, [part]):
            if 'data_root' in names and dataset.get('data_root') == former.get('data_root'):
                dataset.data_root = config.data_root
            if f'{source}_ann_file' in names:
                dataset.ann_file = config[f'{source}_ann_file']
            if f'{source}_data_prefix' in names:
                dataset.data_prefix = _prefix(config[f'{source}_data_prefix'])
            inherited = [metric.get('ann_file') for metric in evaluators_of(base, f'{part}_evaluator')]
            for metric in evaluators_of(config, f'{part}_evaluator'):
                if 'ann_file' in metric and metric.ann_file in inherited:
                    metric.ann_file = os.path.join(dataset.get('data_root') or '', dataset.ann_file)


def _prefix(given: str | dict) -> ConfigDict:
    """A folder of pictures, or several by what they hold, as sets with masks have them."""
    return ConfigDict(img=given) if isinstance(given, str) else ConfigDict(given)


def _name_classes(config: Config) -> int:
    """Give all data sets the classes at the top of the config; their number."""
    classes = classes_from(config.classes)
    for dataset in _datasets(config):
        dataset.metainfo = ConfigDict(classes=classes)
    return len(classes)


def _set_classes(config: Config) -> None:
    number = _name_classes(config)
    for _, head in heads_of(config.model):
        head.num_classes = number
    if 'panoptic_head' in config.model:
        _set_classes_of_queries(config.model, number)


def _set_classes_of_queries(model: ConfigDict, number: int) -> None:
    """Of Mask2Former and its kind, whose loss has a weight for each class and one for none.

    Raises:
        UserError: for a model of things and stuff, which one list of classes does not tell apart.
    """
    head = model.panoptic_head
    if head.num_stuff_classes:
        raise UserError(
            'classes at the top of the config does not tell things from stuff; set num_things_classes and '
            'num_stuff_classes of model.panoptic_head and model.panoptic_fusion_head, and metainfo of the data sets.'
        )
    weights = head.loss_cls.get('class_weight')
    if isinstance(weights, list | tuple):
        head.loss_cls.class_weight = [weights[0]] * number + [weights[-1]]
    head.num_things_classes = model.panoptic_fusion_head.num_things_classes = number


def _set_classes_of_masks(config: Config) -> None:
    """Of one's own masks, in which 0 is the first class; a published set's class numbers them in its own way."""
    number = _name_classes(config)
    for dataset in _datasets(config):
        for step in dicts_in(dataset.get('pipeline', ())):
            if step.get('type') == 'LoadAnnotations':
                # Of the published set.
                step.pop('reduce_zero_label', None)
        kind: Any = class_of(dataset, 'mmseg')
        if kind is not None and kind.METAINFO:
            dataset.type = 'SegmentationDataset'
    for _, head in heads_of_masks(config.model):
        head.num_classes = number


def _set_classes_of_volumes(config: Config) -> None:
    config.model.decoder.num_classes = _name_classes(config)


def _set_crop_size(config: Config, base: Config) -> None:
    """Of volumes, ``(X, Y, Z)``; models have the slices first."""
    former, size = tuple(base.crop_size), tuple(config.crop_size)
    steps = [step for dataset in _datasets(config) for step in dicts_in(dataset.get('pipeline', ()))]
    if size[0] != size[1] and any(step.get('name') == 'RandRotate90d' for step in steps):
        raise UserError(
            f'crop_size = {size} at the top of the config is not as wide as high, but the pipeline turns crops by '
            'quarters (RandRotate90d), which then would not fit together; make both the same, or take the step out.'
        )
    for key in SIDES_OF_VOLUMES:
        for step in steps:
            if _sides(step.get(key)) == former:
                step[key] = size
    for owner, key in ((config.model, 'input_size'), (config.model.get('test_cfg') or {}, 'crop_size')):
        if _sides(owner.get(key)) == former[::-1]:
            owner[key] = size[::-1]


def _set_classes_of_clips(config: Config) -> None:
    head = config.model.cls_head
    head.num_classes = _name_classes(config)
    if head.num_classes > TOP:
        return
    # That the right one is among the first 5 says nothing here.
    head.setdefault('topk', (1,))
    for metric in (metric for part in PARTS for metric in evaluators_of(config, f'{part}_evaluator')):
        if metric.type == 'AccMetric':
            metric.setdefault('metric_options', ConfigDict(top_k_accuracy=dict(topk=(1,))))


def _set_image_size(config: Config, base: Config) -> None:
    size = config.image_size
    size = (size, size) if isinstance(size, int) else tuple(size)
    former = base.get('image_size')
    if former is None:
        raise UserError(
            'image_size at the top of the config has no effect, as the config that it inherits from has none; change '
            'the pipelines.'
        )
    changed = 0
    for step in (step for dataset in _datasets(config) for step in dicts_in(dataset.get('pipeline', ()))):
        for key in SIDES:
            if key in step and _sides(step[key]) in (tuple(former), size):
                step[key] = size[::-1] if rows_first(config, key) else size
                changed += 1
            elif key in step and _sides(step[key]) == (LONG_SIDE * former[0], former[1]):
                step[key] = (LONG_SIDE * size[0], size[1])
                changed += 1
    if not changed:
        raise UserError(
            f'image_size = {size} at the top of the config has no effect, as the pipelines have other sizes; leave it '
            'out, or the sizes in the pipelines.'
        )
    padding = config.model.get('data_preprocessor', {})
    if padding.get('pad_size_divisor') == max(former):
        padding.pad_size_divisor = math.ceil(max(size) / STRIDE) * STRIDE
    # mmsegmentation's sizes are (height, width).
    if _sides(padding.get('size')) == tuple(former)[::-1]:
        padding.size = size[::-1]
    windows = config.model.get('test_cfg', {})
    if windows.get('mode') == 'slide' and _sides(windows.crop_size) == tuple(former)[::-1]:
        windows.crop_size, windows.stride = size[::-1], tuple(side * 2 // 3 for side in size[::-1])


def _sides(value: object) -> object:
    return tuple(value) if isinstance(value, list | tuple) else value


def _iterations(config: Config, names: set[str], base: Config, pictures: Callable[[], int | None]) -> int | None:
    """How long a run is to be whose length the user changed; None for one that is as long as the recipe."""
    if 'epochs' in names and 'max_iters' in names:
        raise UserError('The config sets both epochs and max_iters; leave one of them out.')
    if config.train_cfg.get('type') != base.train_cfg.get('type'):
        return None
    if 'epochs' in names:
        counted = pictures()
        if not counted:
            raise UserError(
                'epochs at the top of the config needs a training set whose pictures can be counted; set max_iters.'
            )
        return max(1, math.ceil(config.epochs * counted / global_batch(config)))
    wanted = config.max_iters if 'max_iters' in names else config.train_cfg.max_iters
    inner = config.train_cfg.max_iters
    if 'max_iters' in names and inner not in (wanted, base.train_cfg.max_iters):
        raise UserError(
            f'The config sets max_iters = {wanted} and train_cfg.max_iters = {inner}; leave one of them out.'
        )
    return wanted if wanted != base.train_cfg.max_iters else None


def _all_scaled(schedulers: Sequence[ConfigDict], before: int, after: int) -> list[ConfigDict]:
    scaled = [_scaled(each, before, after) for each in schedulers]
    # In a short run nothing is left after the warm-up.
    return [each for each in scaled if each.get('begin', 0) < each.get('end', math.inf)]


def _scaled(scheduler: ConfigDict, before: int, after: int) -> ConfigDict:
    """A schedule of a run of ``before`` iterations or epochs, for one of ``after``."""
    scheduler, ratio = ConfigDict(scheduler), after / before
    longest = max(1, round(WARM_UP_SHARE * after))

    def place(iteration: int) -> int:
        # What begins or ends early belongs to the warm-up, which need not be longer in a longer run.
        early = iteration <= WARM_UP_SHARE * before
        return max(1, min(iteration, longest) if early else round(iteration * ratio))

    whole = scheduler.get('T_max') and scheduler.T_max == scheduler.get('end', 0) - scheduler.get('begin', 0)
    for key in ('begin', 'end', 'T_max'):
        if scheduler.get(key):
            scheduler[key] = place(scheduler[key])
    if whole:
        scheduler.T_max = scheduler.end - scheduler.get('begin', 0)
    if 'milestones' in scheduler:
        scheduler.milestones = [place(milestone) for milestone in scheduler.milestones]
    return scheduler


def _interval(config: Config, iterations: int, pictures: int | None) -> int:
    """An epoch, or longer where that would be too many validations."""
    epoch = math.ceil(pictures / global_batch(config)) if pictures else 1
    return min(iterations, max(epoch, math.ceil(iterations / VALIDATIONS)))
