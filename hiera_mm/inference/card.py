"""The README of a published model, as the Hugging Face hub shows it."""

from collections.abc import Mapping, Sequence
from typing import Any

from hiera_mm.errors import first_few

import yaml
from mmengine.config import Config, ConfigDict

USE = """\
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

EXAMPLES = {
    'video-classification': "'clip.mp4'",
    'volume-segmentation': "'ct.nii.gz'",
    'action-detection': "'film.mp4', boxes={1.5: [[10, 20, 200, 400]]}",
}

HUB_NAMES = {'semantic-segmentation': 'image-segmentation', 'volume-segmentation': 'image-segmentation'}
"""Of tasks that the hub calls otherwise."""


def card_of(described: Mapping[str, Any], config: Config, pipeline: Sequence[ConfigDict], example: str | None) -> str:
    """Markdown, with the hub's settings at its top.

    Args:
        described: What ``hiera_mm.json`` holds.
        config: Of the model.
        pipeline: The steps that prepare an input.
        example: Name of a picture beside it.
    """
    names = list((described.get('actions') or {}).values()) or described['classes']
    parts = [
        _front_matter(described, config.get('default_scope')),
        f'# {config.model.type} with Hiera, {described["task"].replace("-", " ")}',
        f'{described["parameters"] / 1e6:.1f}M parameters; {len(names)} classes: {first_few(names, 20)}.',
        f'![What the model finds]({example})' if example else '',
        '## Use',
        USE.format(example=EXAMPLES.get(described['task'], "'photo.jpg'")),
        '## Results',
        _table(described['metrics'], described['iteration']),
        '## Input',
        _preparation(pipeline, config.model.get('data_preprocessor') or {}),
        '## Licence',
        _licence(described),
        f'Made by hiera_mm {described["hiera_mm"]}.',
    ]
    return '\n\n'.join(part for part in parts if part) + '\n'


def _front_matter(described: Mapping[str, Any], scope: str | None) -> str:
    settings: dict[str, Any] = dict(library_name='hiera_mm', tags=['hiera', *([scope] if scope else [])])
    if described['task'] != 'action-detection':
        settings['pipeline_tag'] = HUB_NAMES.get(described['task'], described['task'])
    settings['license'] = described['licence'] or 'other'
    return f'---\n{yaml.safe_dump(settings, sort_keys=False)}---'


def _table(metrics: Mapping[str, float], iteration: int | None) -> str:
    if not metrics:
        return 'No validation of these very weights lay beside them when they were published.'
    # COCO writes -1 for sizes of which there is no object.
    rows = [f'| {name} | {value:.4g} |' for name, value in metrics.items() if value != -1]
    head = [f'On the validation set, after {iteration} iterations:', '', '| metric | value |', '| --- | --- |']
    return '\n'.join([*head, *rows])


def _preparation(pipeline: Sequence[ConfigDict], preprocessor: Mapping[str, Any]) -> str:
    steps = ', '.join(
        f'`{step.type}({_words(step, without=("type", "meta_keys", "backend_args"))})`' for step in pipeline
    )
    kept = {key: preprocessor[key] for key in ('mean', 'std', 'bgr_to_rgb', 'pad_size_divisor') if key in preprocessor}
    return f'{steps}; then pixels are prepared by {_words(kept)}. All of it is in `config.py`.'


def _words(settings: Mapping[str, Any], without: Sequence[str] = ()) -> str:
    return ', '.join(f'{key}={value}' for key, value in settings.items() if key not in without)


def _licence(described: Mapping[str, Any]) -> str:
    origins = described['weights_from']
    if not origins:
        began = 'Training began with random weights.'
    else:
        listed = ', '.join(
            f'{entry["source"]} ({entry["licence"] or "whose licence is not recorded"})' for entry in origins
        )
        began = f'It was made from {listed}.'
    if described['licence'] == 'cc-by-nc-4.0':
        return f'CC BY-NC 4.0: no commercial use. {began} Its licence passes on to what is trained from it.'
    return f'{described["licence"] or "Not stated"}. {began}'
