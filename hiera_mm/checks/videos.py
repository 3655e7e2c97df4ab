"""Checks lists of labelled videos."""

from collections.abc import Iterator
from pathlib import Path

from hiera_mm.checks.fault import DataPart, Fault, Severity, sample
from hiera_mm.errors import BrokenFileError, UserError, examples
from hiera_mm.readers.class_names import class_names_of_list, with_class_names
from hiera_mm.readers.labelled_lists import check_labels, read_named_list
from hiera_mm.readers.videos import open_video

from mmengine.config import ConfigDict


def faults(part: DataPart) -> Iterator[Fault]:
    """All faults of a ``ClipDataset``."""
    entries = _entries(part)
    for wrong in (_wrong_collate(part), other_size_at_reading(part)):
        if wrong:
            yield Fault(Severity.BLOCKS, wrong)
    if part.before_training:
        return
    folder = _folder(part)
    missing = [name for name, _ in entries if not (folder / name).is_file()]
    if missing:
        names = examples(missing)
        yield Fault(
            Severity.FAULT,
            f"{part.key}: {names} of '{part.dataset.ann_file}' are not in '{folder}'; correct data_prefix or the list.",
        )
    yield from _faults_of_videos(part, sorted({name for name, _ in entries} - set(missing)))


def _entries(part: DataPart) -> list[tuple[str, int]]:
    """The names and labels in the list.

    Raises:
        UserError: for a missing list or folder, a malformed line, or labels beyond the head's classes.
    """
    entries, _ = read_named_list(part.dataset.ann_file, _classes(part.dataset))
    if not _folder(part).is_dir():
        raise UserError(
            f"The video folder '{_folder(part)}' of {part.key} does not exist; put the videos there or set the folder "
            f'with --cfg-options {part.key}.data_prefix.video=FOLDER.'
        )
    check_labels(entries, part.class_count, 'videos', part.dataset.ann_file, part.key)
    return entries


def classes_of_list(dataset: ConfigDict) -> list[str] | None:
    """The class names of a ``ClipDataset``, from the config or beside its list; None if neither has them."""
    classes = _classes(dataset) or class_names_of_list(dataset.ann_file)
    return None if classes is None else list(classes)


def _classes(dataset: ConfigDict) -> tuple[str, ...] | None:
    return (with_class_names(dataset.get('metainfo')) or {}).get('classes')


def _folder(part: DataPart) -> Path:
    return Path(part.dataset.get('data_prefix', {}).get('video', ''))


def other_size_at_reading(part: DataPart) -> str:
    """The fault of a pipeline that reads frames in one size and resizes them to another; empty without that fault."""
    sizes = [step.short_side for step in part.dataset.pipeline if step.get('short_side')]
    scales = [step.scale for step in part.dataset.pipeline if step.get('type') == 'Resize' and step.get('scale')]
    if not sizes or not scales or scales[0][0] != -1 or scales[0][1] == sizes[0]:
        return ''
    return (
        f'The pipeline of {part.key} reads frames with a short side of {sizes[0]} (ReadFrames) and then resizes them '
        f'to {scales[0][1]}, which would blur them; give both the same size, or leave out short_side.'
    )


def _wrong_collate(part: DataPart) -> str:
    repeats = part.dataset.get('num_repeats', 1)
    collate = part.loader.get('collate_fn', {}).get('type', 'pseudo_collate')
    needed = 'repeat_pseudo_collate' if repeats > 1 else 'pseudo_collate'
    if collate == needed or collate not in ('pseudo_collate', 'repeat_pseudo_collate'):
        return ''
    return (
        f'{part.key}.num_repeats is {repeats}, but {collate} cannot collate its samples; set '
        f"{part.loader_key}.collate_fn.type='{needed}'."
    )


def _faults_of_videos(part: DataPart, names: list[str]) -> Iterator[Fault]:
    clip = max(step.get('clip_len', 1) for step in part.dataset.pipeline)
    short = []
    for name in sample(names, part.count):
        try:
            reader = open_video(_folder(part) / name)
            reader.frames([0, len(reader) // 2, len(reader) - 1])
        except BrokenFileError as error:
            yield Fault(Severity.FAULT, f'{part.key}: {error}')
            continue
        if len(reader) < clip:
            short.append(f'{name} with {len(reader)}')
    if short:
        yield Fault(
            Severity.NOTE,
            f'{part.key}: {examples(short)} of the videos have fewer frames than the {clip} of a clip; frames are '
            'repeated there.',
        )
