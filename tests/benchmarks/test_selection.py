"""``python -m benchmarks.selection``: chosen images against random ones."""

import json

import pytest

from tests.helpers import assert_explained


@pytest.mark.slow
def test_chosen_and_random_images_are_learnt_from_the_same_first_ones(shapes, tmp_path, run_benchmark):
    arguments = ('selection', '--data', shapes, '--count', 2, '--seeds', 3, '--work-dir', tmp_path)
    code, printed = run_benchmark(*arguments, '--cfg-options', 'max_iters=1')
    assert code == 0, printed
    names = {}
    for kind in ('first', 'random', 'chosen'):
        content = json.loads((tmp_path / 'seed3' / kind / 'train.json').read_text())
        names[kind] = {image['file_name'] for image in content['images']}
        assert {a['image_id'] for a in content['annotations']} == {image['id'] for image in content['images']}
    assert [len(names[kind]) for kind in names] == [2, 4, 4]
    assert names['first'] < names['random'] and names['first'] < names['chosen']
    table = (tmp_path / 'selection.md').read_text()
    assert table.count('\n') == 8 and table in printed
    assert '| coco/bbox_mAP | 2 at random, 2 chosen | ' in table


def test_too_few_images_are_told(shapes, tmp_path, run_benchmark):
    result = run_benchmark('selection', '--data', shapes, '--count', 500, '--work-dir', tmp_path)
    assert_explained(result, 'fewer than twice 500')
