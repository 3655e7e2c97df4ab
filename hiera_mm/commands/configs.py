"""List the shipped configs by task, or those that match a word, with what they train."""

import argparse
import re
from collections import defaultdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('word', nargs='?', default='', help='part of a name, or of the task and what it trains: ava')


def run(arguments: argparse.Namespace) -> int:
    from hiera_mm.shipped import described_configs

    models = described_configs()
    by_task = defaultdict(list)
    for model in matching(models, arguments.word.lower()):
        by_task[model['Task']].append(model)
    for task, found in by_task.items():
        print(f'{task}:')
        for model in found:
            metrics = model['Results'][0]['Metrics'] if 'Results' in model else {}
            reported = ', '.join(f'{name} {value}' for name, value in metrics.items())
            paper = f' (reported in the paper: {reported})' if reported else ''
            print(f'  {model["Name"]:32}{model["Metadata"]["Parameters (M)"]:6.1f}M  {model["Trains"]}{paper}')
    if not by_task:
        print(f"No config out of {len(models)} has '{arguments.word}' in its name, its task or in what it trains.")
    return 0 if by_task else 1


def matching(models: list[dict], word: str) -> list[dict]:
    """Those whose name holds a word, or whose description has it as a whole word; without any, as part of one."""
    texts = {model['Name']: f'{model["Task"]} {model["Trains"]}'.lower() for model in models}
    whole = [model for model in models if word in model['Name'] or word in re.findall(r'[\w-]+', texts[model['Name']])]
    return whole or [model for model in models if word in texts[model['Name']]]
