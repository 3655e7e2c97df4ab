"""The model card: the README of a published model on the Hugging Face hub."""

from collections.abc import Mapping, Sequence
from typing import Any

from hiera_mm.errors import first_few
from hiera_mm.inference.trained import TrainedModel
from hiera_mm.weights.zoo import ZOO

import yaml
from mmengine.config import ConfigDict

USAGE_TEMPLATE = """\
With [hiera_mm](https://pypi.org/project/hiera_mm/), where FOLDER is this folder or its address on the hub,
`hf://OWNER/NAME`:

```bash
hiera-mm predict FOLDER my_files/
```

```python
import hiera_mm

model = hiera_mm.load('FOLDER')
print(model.predict({example}))
```"""


def card_of(described: Mapping[str, Any], trained: TrainedModel, example: str | None) -> str:
    """The README as Markdown, with the hub's metadata at the top.

    Args:
        described: The content of ``hiera_mm.json``.
        trained: The model.
        example: Name of an image next to it.
    """
    config, task = trained.config, trained.task
    names = list((described.get('actions') or {}).values()) or described['classes']
    parts = [
        _front_matter(described, config.get('default_scope'), task.pipeline_tag(trained)),
        f'# {config.model.type} with Hiera, {task.in_words(config)}',
        f'{described["parameters"] / 1e6:.1f}M parameters; {len(names)} classes: {first_few(names, 20)}.',
        f'![A prediction]({example})' if example else '',
        '## Use',
        USAGE_TEMPLATE.format(example=task.example(trained)),
        '## Results',
        _table(described['metrics'], described['iteration']),
        '## Input',
        _preparation(trained.test_pipeline, config.model.get('data_preprocessor') or {}),
        '## Licence',
        _licence(described),
        f'Made by hiera_mm {described["hiera_mm"]}.',
    ]
    return '\n\n'.join(part for part in parts if part) + '\n'


def _front_matter(described: Mapping[str, Any], scope: str | None, pipeline_tag: str | None) -> str:
    settings: dict[str, Any] = dict(library_name='hiera_mm', tags=['hiera', *([scope] if scope else [])])
    if pipeline_tag:
        settings['pipeline_tag'] = pipeline_tag
    settings['license'] = described['licence'] or 'other'
    if bases := [name for entry in described['weights_from'] if (name := _hub_name(entry['source']))]:
        settings['base_model'] = bases
    if described['metrics']:
        settings['model-index'] = [dict(name=f'Hiera, {described["task"]}', results=[_result(described)])]
    return f'---\n{yaml.safe_dump(settings, sort_keys=False)}---'


def _hub_name(source: str) -> str | None:
    if source in ZOO:
        return ZOO[source].hub_name
    return source.removeprefix('hf://') if source.startswith('hf://') else None


def _result(described: Mapping[str, Any]) -> dict:
    """The metrics in the hub's form, which wants a name for the data; paths of this machine are not published."""
    metrics = [dict(type=name, value=value) for name, value in described['metrics'].items() if value != -1]
    return dict(
        task=dict(type=described['task']),
        dataset=dict(type='custom', name='validation set of the training run'),
        metrics=metrics,
    )


def _table(metrics: Mapping[str, float], iteration: int | None) -> str:
    if not metrics:
        return 'There was no validation of exactly these weights when they were published.'
    # COCO writes -1 for object sizes that don't occur.
    rows = [f'| {name} | {value:.4g} |' for name, value in metrics.items() if value != -1]
    head = [f'On the validation set, after {iteration} iterations:', '', '| metric | value |', '| --- | --- |']
    return '\n'.join([*head, *rows])


def _preparation(pipeline: Sequence[ConfigDict], preprocessor: Mapping[str, Any]) -> str:
    steps = ', '.join(
        f'`{step.type}({_format_settings(step, without=("type", "meta_keys", "backend_args"))})`' for step in pipeline
    )
    kept = {key: preprocessor[key] for key in ('mean', 'std', 'bgr_to_rgb', 'pad_size_divisor') if key in preprocessor}
    return f'{steps}; then pixels are normalised by {_format_settings(kept)}. All of it is in `config.py`.'


def _format_settings(settings: Mapping[str, Any], without: Sequence[str] = ()) -> str:
    return ', '.join(f'{key}={value}' for key, value in settings.items() if key not in without)


def _licence(described: Mapping[str, Any]) -> str:
    origins = described['weights_from']
    if not origins:
        began = 'Training began with random weights.'
    else:
        listed = ', '.join(f'{entry["source"]} ({entry["licence"] or "licence not recorded"})' for entry in origins)
        began = f'It was trained from {listed}.'
    if described['licence'] == 'cc-by-nc-4.0':
        return f'CC BY-NC 4.0: no commercial use. {began} Models trained from it are under the same licence.'
    return f'{described["licence"] or "Not stated"}. {began}'
