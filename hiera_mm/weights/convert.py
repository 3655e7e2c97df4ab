"""Lists published weights, describes a checkpoint, and converts one to another publisher's format."""

from collections import Counter

from hiera_mm.version import __version__
from hiera_mm.weights.files import read_checkpoint, write_checkpoint
from hiera_mm.weights.formats import (
    FORMATS,
    Weights,
    count_beside,
    describe,
    part_of,
    to_our_names,
    to_their_names,
)
from hiera_mm.weights.load import refuse_updates
from hiera_mm.weights.origin import ORIGINS_KEY, origins_of
from hiera_mm.weights.zoo import ZOO


def show_zoo() -> None:
    rows = [(p.name, p.contents, p.figure or '-', p.licence, p.address) for p in ZOO.values()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print('  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show(source: str) -> None:
    weights: Weights = to_our_names(read_checkpoint(source), source)
    tensors = weights.tensors
    print(f'format:    {weights.format}')
    print(f'backbone:  {describe(tensors) or "incomplete"}')
    for key in sorted(key for key in tensors if key.startswith('pos_embed')):
        print(f'position:  {key} {tuple(tensors[key].shape)}')
    backbone = [value for key, value in tensors.items() if part_of(key) is None]
    print(f'tensors:   {len(backbone)} of the backbone, {sum(value.numel() for value in backbone) / 1e6:.3f}M numbers')
    for part, count in sorted(count_beside(tensors).items()):
        print(f'           {count} of the {part}')
    if weights.others:
        print(f'           {len(weights.others)} of the rest of its model')
    if 'head.projection.weight' in tensors:
        print(f'classes:   {len(tensors["head.projection.weight"])}')
    if source in ZOO:
        print(f'licence:   {ZOO[source].licence}')


def convert(source: str, destination: str, target: str) -> None:
    checkpoint = read_checkpoint(source)
    weights = to_our_names(checkpoint, source)
    refuse_updates(weights.tensors, source)
    content, left_out = to_their_names(weights.tensors, target)
    wrapper = FORMATS[target].wrapper
    if destination.endswith('.safetensors') or wrapper is None:
        write_checkpoint(content, destination)
    else:
        meta = {'hiera_mm': __version__, ORIGINS_KEY: origins_of(source, checkpoint)}
        write_checkpoint({wrapper: content} | (dict(meta=meta) if target == 'hiera_mm' else {}), destination)
    print(f"{destination}: {len(content)} tensors, from '{source}' (format {weights.format}) to {target}.")
    if left_out:
        parts = Counter(part_of(key) or 'norms of the output maps' for key in left_out)
        print(f'No place there for {", ".join(f"{count} of the {part}" for part, count in parts.items())}: left out.')
    if weights.others:
        print(f'Left out: {len(weights.others)} of the rest of its model.')
