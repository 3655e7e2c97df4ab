"""``python -m benchmarks.recipes``: the best third goes on, and nothing is trained twice."""

import json
import sys

from hiera_mm.settings import read_config

import pytest
import yaml

from benchmarks import recipes
from tests.helpers import ROOT, SMALL_DETECTOR

SCORES = dict(a=0.1, b=0.4, c=0.3, d=0.2, e=0.0)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study of five trials, and the trainings that it asks for."""
    path, trained = tmp_path / 'study.yml', []
    trials = {name: f'name = {name!r}' for name in SCORES}
    path.write_text(yaml.safe_dump(dict(config='x.py', metric='AP', rounds=[2, 6], common='side = 1\n', trials=trials)))

    def train(config, lines, epochs, seed):
        name = lines.rpartition("'")[0].rpartition("'")[2]
        assert lines.startswith('side = 1\n')
        trained.append((name, epochs, seed))
        return dict(AP=SCORES[name])

    monkeypatch.setattr(recipes, 'train', train)
    monkeypatch.setattr(sys, 'argv', ['recipes', str(path), '--seed', '7'])
    return path, trained


def test_the_best_third_is_trained_longer(study):
    path, trained = study
    recipes.main()
    assert trained[:5] == [(name, 2, 7) for name in SCORES]
    assert trained[5:] == [(name, 6, 7) for name in 'bc']
    assert len(json.loads(path.with_suffix('.json').read_text())) == 7


def test_what_stands_in_the_record_is_not_trained_again(study, capsys):
    _, trained = study
    recipes.main()
    first = capsys.readouterr().out
    recipes.main()
    assert len(trained) == 7 and capsys.readouterr().out == first


@pytest.mark.parametrize('path', sorted((ROOT / 'benchmarks' / 'studies').glob('*.yml')), ids=lambda path: path.stem)
def test_shipped_studies_are_whole(path):
    study = yaml.safe_load(path.read_text())
    assert study['rounds'] == sorted(study['rounds']) and study['metric'] in ('coco/bbox_mAP', 'mIoU')


@pytest.mark.slow
def test_a_trial_is_a_training_of_the_config_with_its_lines(shapes, tmp_path):
    base = tmp_path / 'base.py'
    base.write_text(SMALL_DETECTOR.replace('NAME', 'mask_rcnn_hiera_t_shapes'))
    lines = f"data_root = '{shapes}/'\nmodel = dict(rpn_head=dict(num_convs=1))\n"
    found = recipes.train(str(base), lines, epochs=1, seed=0)
    assert 0 <= found['coco/bbox_mAP'] <= 1


BASES = dict(bccd='faster_rcnn_hiera_t', camvid='segformer_hiera_t_ade20k')
TRIALS = [
    (path, name)
    for path in sorted((ROOT / 'benchmarks' / 'studies').glob('*.yml'))
    for name in yaml.safe_load(path.read_text())['trials']
]


@pytest.mark.parametrize('study, name', TRIALS, ids=lambda value: str(getattr(value, 'stem', value)))
def test_the_trials_of_a_study_are_lines_of_a_config(study, name, tmp_path):
    content, own = yaml.safe_load(study.read_text()), tmp_path / 'trial.py'
    lines = f'{content["common"]}{content["trials"][name] or ""}'
    own.write_text(f"_base_ = 'hiera_mm::{BASES[study.stem]}.py'\nepochs = 8\nclasses = ('a', 'b')\n{lines}\n")
    config = read_config(str(own))
    assert config.image_size == (256, 192) and config.model.backbone.arch == 't'
