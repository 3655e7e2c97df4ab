"""List the shipped configs, or those that hold a word, with what they train."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('word', nargs='?', default='', help='part of a name or of what it trains, such as ava')


def run(arguments: argparse.Namespace) -> int:
    from hiera_mm.config import shipped_configs

    rows = [
        (name, path.read_text(encoding='utf-8').splitlines()[0].lstrip('# '))
        for name, path in shipped_configs().items()
    ]
    found = [(name, words) for name, words in rows if arguments.word.lower() in f'{name} {words}'.lower()]
    for name, words in found:
        print(f'{name:32}{words}')
    if not found:
        print(f"None of the {len(rows)} configs has '{arguments.word}' in its name or in what it trains.")
    return 0 if found else 1
