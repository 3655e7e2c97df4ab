"""Published weights: ``convert_weights.py list``, ``info SRC``, ``convert SRC DST --to FORMAT``."""

import argparse
from collections import Counter

import hiera_mm  # noqa: F401  (first: it mends what the imports below need)
from hiera_mm.cli import faults_as_sentences
from hiera_mm.version import __version__
from hiera_mm.weights.files import read_checkpoint, write_checkpoint
from hiera_mm.weights.formats import (
    FORMATS,
    TARGETS,
    Weights,
    count_beside,
    describe,
    part_of,
    to_our_names,
    to_their_names,
)
from hiera_mm.weights.zoo import ZOO


def main() -> None:
    arguments = parse_arguments()
    if arguments.command == 'list':
        show_zoo()
    elif arguments.command == 'info':
        show(to_our_names(read_checkpoint(arguments.source), arguments.source), arguments.source)
    else:
        convert(arguments.source, arguments.destination, arguments.to)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    commands.add_parser('list', help='every published checkpoint')
    source = argparse.ArgumentParser(add_help=False)
    source.add_argument('source', metavar='SRC', help='path, address, or a name that "list" shows')
    commands.add_parser('info', parents=[source], help='what a checkpoint holds')
    conversion = commands.add_parser('convert', parents=[source], help='write a checkpoint in another format')
    conversion.add_argument('destination', metavar='DST', help='new file, in .pth, .pt or .safetensors')
    conversion.add_argument('--to', required=True, choices=TARGETS, help='format')
    return parser.parse_args()


def show_zoo() -> None:
    rows = [(p.name, p.contents, p.figure or '-', p.licence, p.address) for p in ZOO.values()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print('  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show(weights: Weights, source: str) -> None:
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
    weights = to_our_names(read_checkpoint(source), source)
    content, left_out = to_their_names(weights.tensors, target)
    wrapper = FORMATS[target].wrapper
    if destination.endswith('.safetensors') or wrapper is None:
        write_checkpoint(content, destination)
    else:
        meta = dict(meta=dict(hiera_mm=__version__)) if target == 'hiera_mm' else {}
        write_checkpoint({wrapper: content} | meta, destination)
    print(f"{destination}: {len(content)} tensors, from '{source}' (format {weights.format}) to {target}.")
    if left_out:
        parts = Counter(part_of(key) or 'norms of the output maps' for key in left_out)
        print(f'No place there for {", ".join(f"{count} of the {part}" for part, count in parts.items())}: left out.')
    if weights.others:
        print(f'Left out: {len(weights.others)} of the rest of its model.')


if __name__ == '__main__':
    with faults_as_sentences():
        main()
