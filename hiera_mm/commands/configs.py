"""List the shipped configs, or those that match a word, with what they train."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('word', nargs='?', default='', help='part of a name or of what it trains, such as ava')


def run(arguments: argparse.Namespace) -> int:
    from hiera_mm.config import described_configs

    models = described_configs()
    found = [model for model in models if arguments.word.lower() in f'{model["Name"]} {model["Trains"]}'.lower()]
    for model in found:
        metrics = model['Results'][0]['Metrics'] if 'Results' in model else {}
        reported = ', '.join(f'{name} {value}' for name, value in metrics.items())
        paper = f' (reported in the paper: {reported})' if reported else ''
        print(f'{model["Name"]:28}{model["Metadata"]["Parameters (M)"]:6.1f}M  {model["Trains"]}{paper}')
    if not found:
        print(f"No config out of {len(models)} has '{arguments.word}' in its name or in what it trains.")
    return 0 if found else 1
