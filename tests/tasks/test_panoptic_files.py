"""A panoptic model from the file of its weights to results that panopticapi scores: prediction, test, report, page."""

import json

from hiera_mm.errors import UserError
from hiera_mm.readers.inputs import Kind
from hiera_mm.tasks import load, task_of

import numpy as np
import pytest
from mmengine.config import Config
from panopticapi.evaluation import pq_compute

from tests.helpers import run_program
from tests.panoptic import NAMES, change, config_file, copied, ids_of


@pytest.fixture(scope='module')
def run(panoptic, tmp_path_factory):
    """The folder of a run of two iterations, whose model takes any score, so that it finds something."""
    folder = tmp_path_factory.mktemp('panoptic')
    more = 'max_iters, batch_size = 2, 2\nmodel = dict(test_cfg=dict(object_mask_thr=0.0, iou_thr=0.0))'
    run_program('train', config_file(panoptic, folder, more), '--work-dir', folder / 'run')
    return folder / 'run'


@pytest.fixture(scope='module')
def model(run):
    return load(run, device='cpu')


def test_a_prediction_has_a_map_and_its_segments(panoptic, model):
    path = panoptic / 'val' / '000001.png'
    found = model.predict(str(path))
    assert model.names == NAMES and found.names == NAMES and len(found) > 0
    assert set(np.unique(found.segment_map)) - {0} == {segment.id for segment in found.segments}
    for segment in found.segments:
        mask = found.mask_of(segment)
        rows, columns = np.nonzero(mask)
        assert segment.area == mask.sum() and segment.name == NAMES[segment.label]
        assert segment.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert segment.is_thing == (segment.label < 3) and 0 < segment.score <= 1
    assert json.dumps(found.to_json()) and len(found.rows(0)) == len(found)
    again, array = model.predict([path, model.decoded(path)])
    assert (again.segment_map == found.segment_map).all() and (array.segment_map == found.segment_map).all()


def test_written_results_are_scored_by_panopticapi_as_they_are(panoptic, run, model, tmp_path, run_command):
    ann_file = panoptic / 'annotations' / 'panoptic_val.json'
    code, printed = run_command(
        'predict', run, panoptic / 'val', '--out-dir', tmp_path, '--ann-file', ann_file, '--device', 'cpu'
    )
    assert code == 0 and '3 of 3' in printed, printed
    content = json.loads((tmp_path / 'predictions.json').read_text())
    assert [category['isthing'] for category in content['categories']] == [1, 1, 1, 0, 0]
    for annotation in content['annotations']:
        found = model.predict(panoptic / 'val' / f'{annotation["image_id"]:06d}.png')
        ids = ids_of(tmp_path / 'predictions' / annotation['file_name'])
        assert (ids == found.segment_map).all()
        for segment in annotation['segments_info']:
            assert segment['area'] == (ids == segment['id']).sum()
    assert 0 <= pq_compute(str(ann_file), str(tmp_path / 'predictions.json'))['All']['pq'] < 1
    assert (tmp_path / '000001.png').is_file()


def test_an_annotation_file_gives_its_ids(panoptic, run, tmp_path, run_command):
    folder = copied(panoptic, tmp_path)

    def renumber(content):
        content['categories'].reverse()
        for category in content['categories']:
            category['id'] += 100
        for annotation in content['annotations']:
            annotation['image_id'] += 1000
            for segment in annotation['segments_info']:
                segment['category_id'] += 100
        for image in content['images']:
            image['id'] += 1000

    change(folder, renumber, 'val')
    ann_file = folder / 'annotations' / 'panoptic_val.json'
    out = tmp_path / 'out'
    code, printed = run_command(
        *('predict', run, folder / 'val', '--out-dir', out, '--ann-file', ann_file),
        *('--no-save-vis', '--device', 'cpu'),
    )
    assert code == 0, printed
    content = json.loads((out / 'predictions.json').read_text())
    assert [c['id'] for c in content['categories']] == [101, 102, 103, 104, 105]
    assert [a['image_id'] for a in content['annotations']] == [1001, 1002, 1003]
    assert {s['category_id'] for a in content['annotations'] for s in a['segments_info']} <= {101, 102, 103, 104, 105}


def test_it_is_tested_drawn_and_reported(panoptic, run, tmp_path, run_command):
    config = config_file(panoptic, tmp_path)
    code, printed = run_command('test', config, run, '--work-dir', tmp_path / 'test', '--show-dir', tmp_path / 'shown')
    assert code == 0 and 'PQ' in printed, printed
    assert len(list((tmp_path / 'shown').rglob('*.png'))) == 3
    code, printed = run_command('report', run, '--out', tmp_path / 'report.html')
    assert code == 0, printed
    page = (tmp_path / 'report.html').read_text()
    assert all(name in page for name in (*NAMES, 'RQ', 'SQ', 'Ground truth on the left'))


def test_the_web_page_shows_it_and_export_refuses_it(panoptic, model, tmp_path):
    result = model.trained.task.page_result(model, str(panoptic / 'val' / '000001.png'), Kind.IMAGE, None)
    assert result.results()['segments_info'] and result.rows(0)
    assert result.write(tmp_path / 'drawn', 0).is_file()
    with pytest.raises(UserError, match="panoptic segmentors, which can't be exported yet"):
        model.trained.task.graph(model, None)


def test_instances_alone_belong_to_detection():
    for name, task in (('', 'detectors'), ('_panoptic', 'panoptic segmentors')):
        assert task_of(Config.fromfile(f'configs/mask2former_hiera_t_coco{name}.py')).name == task
