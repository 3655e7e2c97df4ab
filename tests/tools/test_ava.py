"""hiera-mm train and test on AVA's own annotations and on generated ones, frames and videos."""

import json
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

from hiera_mm.readers.ava_files import read_exclusions
from hiera_mm.readers.videos import open_video
from hiera_mm.synthetic.actions import make_acting_shapes

import numpy as np
import pytest
import torch
from mmaction.evaluation import AVAMetric
from mmengine.config import Config

from tests.coded_videos import is_upright, write_with_pyav
from tests.helpers import ROOT, assert_explained, extract_as_ffmpeg, losses_of, run, run_program

FILMS = {'0f39OWEqJ24': 'demo', '_-Z6wFjXtGQ': 'demo_spatiotemporal_det'}
"""Of AVA's films only the annotations are at hand; two other videos stand for them."""

OWN = """
_base_ = '{base}'
files = dict(
    ann_file='{sample}/ava_sample.csv',
    label_file='{sample}/action_list.txt',
    proposal_file='{sample}/ava_proposals_sample.pkl',
    data_prefix=dict(_delete_=True, {prefix}),
    filename_tmpl='img_{{:05}}.png',
)
train_dataloader = dict(dataset=dict(**files, exclude_file=None))
val_dataloader = dict(dataset=dict(**files, exclude_file='{sample}/ava_excluded_timestamps_sample.csv'))
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file=files['ann_file'], label_file=files['label_file'], exclude_file=val_dataloader['dataset']['exclude_file']
)
test_evaluator = val_evaluator
"""


@pytest.fixture(scope='module')
def configs(ava_sample, real_videos, tmp_path_factory):
    """Of the tiny detector on the sample: from extracted frames, and from the videos as they are."""
    folder = tmp_path_factory.mktemp('ava')
    (folder / 'videos').mkdir()
    for film, name in FILMS.items():
        shutil.copy(real_videos / f'{name}.mp4', folder / 'videos' / f'{film}.mp4')
        extract_as_ffmpeg(real_videos / f'{name}.mp4', folder / 'rawframes' / film, 30)
    base = ROOT / 'tests' / 'data' / 'tiny_ava.py'
    for kind, prefix in (('frames', f"img='{folder}/rawframes'"), ('videos', f"video='{folder}/videos'")):
        (folder / f'{kind}.py').write_text(OWN.format(base=base, sample=ava_sample, prefix=prefix))
    return {kind: folder / f'{kind}.py' for kind in ('frames', 'videos')}


@pytest.fixture(scope='module')
def checkpoint(configs, tmp_path_factory):
    """Of two epochs on AVA's sample: one from frames, and after resuming one from videos."""
    folder = tmp_path_factory.mktemp('runs')
    command = ['train', configs['frames'], '--work-dir', folder]
    run_program(*command, '--cfg-options', 'train_cfg.max_epochs=1')
    command = ['train', configs['videos'], '--work-dir', folder, '--resume']
    run_program(*command, '--cfg-options', 'train_cfg.max_epochs=2')
    log = max(folder.glob('*/*.log')).read_text()
    assert 'Epoch(train) [2]' in log and 'Epoch(train) [1]' not in log and 'mAP/overall' in log
    return folder / 'epoch_2.pth'


def test_a_detector_trained_on_avas_sample_is_tested_alike_from_frames_and_from_videos(
    checkpoint, configs, tmp_path, run_command, monkeypatch
):
    found = []
    monkeypatch.chdir(tmp_path)
    for kind in ('frames', 'videos'):
        out = tmp_path / f'{kind}.pkl'
        code, printed = run_command('test', configs[kind], checkpoint, '--work-dir', tmp_path / kind, '--out', out)
        assert code == 0, printed
        assert 'mAP/overall' in printed
        (sample,) = pickle.loads(out.read_bytes())
        found.append(sample['pred_instances'])
    frames, videos = found
    np.testing.assert_allclose(frames['bboxes'], [[0.011, 0.157, 0.655, 0.983]], rtol=1e-6)
    assert frames['scores'].shape == (1, 81)
    torch.testing.assert_close(frames['scores'], videos['scores'])
    torch.testing.assert_close(frames['bboxes'], videos['bboxes'])


def test_the_map_is_mmaction2s_of_the_dumped_predictions(checkpoint, configs, tmp_path, run_command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / 'out.pkl'
    code, printed = run_command('test', configs['videos'], checkpoint, '--work-dir', tmp_path / 'run', '--out', out)
    assert code == 0, printed
    settings = Config.fromfile(configs['videos']).test_evaluator
    excluded = read_exclusions(settings.exclude_file)
    rows = Path(settings.ann_file).read_text().splitlines(keepends=True)
    scored = [row for row in rows if ','.join(row.split(',')[:2]) not in excluded]
    assert 0 < len(scored) < len(rows)
    # mmaction2's counts what is annotated in excluded seconds as missed; the official evaluation takes it out.
    (tmp_path / 'scored.csv').write_text(''.join(scored))
    metric = AVAMetric(str(tmp_path / 'scored.csv'), None, settings.label_file)
    metric.process(None, pickle.loads(out.read_bytes()))
    expected = metric.evaluate(1)['mAP/overall']
    assert f'mAP/overall: {expected:.4f}' in printed


def test_avas_sample_has_no_fault_but_an_action_that_is_not_scored(configs, run_command):
    code, printed = run_command('check-data', configs['videos'])
    assert code == 0 and '0 faults, ' in printed, printed
    assert "1 (74) of the actions in '" in printed and 'they are trained, but not scored' in printed
    assert '2 (0f39OWEqJ24 with 28, _-Z6wFjXtGQ with 6) of the videos' in printed


@pytest.fixture(scope='module')
def actions(tmp_path_factory):
    """Folder of a generated set of three films and one for validation."""
    folder = tmp_path_factory.mktemp('data') / 'actions'
    make_acting_shapes(folder, train=3, val=1)
    return folder


TWICE_THE_SAME = """
_base_ = '{base}'
films = dict(
    ann_file='{data}/same.csv',
    proposal_file=None,
    data_prefix=dict(video='{data}/same'),
    label_file='{data}/actions.pbtxt',
)
train_pipeline = _base_.train_pipeline
train_pipeline[4] = dict(type='CenterCrop', crop_size=128)
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(**films, pipeline=train_pipeline))
val_dataloader = val_cfg = val_evaluator = None
train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=1)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.1))
param_scheduler = None
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(save_best=None))
"""


@pytest.mark.slow
def test_two_processes_have_the_loss_and_the_step_of_one_with_the_same_global_batch(actions, tmp_path):
    """The set is one film under two names, so that the logged loss of the first process is everyone's."""
    data = tmp_path / 'data'
    shutil.copytree(actions, data)
    (data / 'same').mkdir()
    lines = [line for line in (data / 'train.csv').read_text().splitlines() if line.startswith('train00000,0901')]
    both = []
    for name in ('first', 'second'):
        shutil.copy(data / 'train' / 'train00000.mp4', data / 'same' / f'{name}.mp4')
        both += [line.replace('train00000', name) for line in lines]
    (data / 'same.csv').write_text('\n'.join(both))
    config = tmp_path / 'config.py'
    config.write_text(TWICE_THE_SAME.format(base=ROOT / 'configs' / 'ava_hiera_t_shapes.py', data=data))
    batches = ('--cfg-options', 'train_dataloader.batch_size=')
    run_program('train', config, '--work-dir', tmp_path / '1', batches[0], f'{batches[1]}2')
    run(['bash', 'tools/dist_train.sh', config, '2', '--work-dir', tmp_path / '2', batches[0], f'{batches[1]}1'])
    assert losses_of(tmp_path / '1') == pytest.approx(losses_of(tmp_path / '2'), rel=1e-4)
    one, two = (torch.load(tmp_path / n / 'epoch_1.pth', weights_only=False)['state_dict'] for n in '12')
    for name, weights in one.items():
        torch.testing.assert_close(two[name], weights, rtol=1e-3, atol=1e-5)


def test_a_test_batch_of_several_clips_is_refused(configs, checkpoint, tmp_path, run_command):
    options = ['--cfg-options', 'test_dataloader.batch_size=4']
    result = run_command('test', configs['videos'], checkpoint, '--work-dir', tmp_path, *options)
    assert_explained(result, 'predicts one clip at a time, but batch_size is 4; set test_dataloader.batch_size=1.')


@pytest.mark.slow
def test_actions_without_examples_in_validation_do_not_stop_the_evaluation(actions, tmp_path, run_command, monkeypatch):
    """As in small sets of one's own: a listed action is predicted, but nobody does it in the validation part."""
    monkeypatch.chdir(tmp_path)
    done = {int(line.split(',')[6]) for line in (actions / 'val.csv').read_text().splitlines()}
    assert done < set(range(1, 8)), 'some action is missing'
    config = tmp_path / 'config.py'
    paths = {
        part: dict(
            label_file=f'{actions}/actions.pbtxt',
            ann_file=f'{actions}/{part}.csv',
            proposal_file=f'{actions}/{part}_proposals.pkl',
            data_prefix=dict(video=f'{actions}/{part}'),
        )
        for part in ('train', 'val')
    }
    files = {key: paths['val'][key] for key in ('label_file', 'ann_file')}
    config.write_text(
        f"_base_ = '{ROOT}/configs/ava_hiera_t_shapes.py'\n"
        f'train_dataloader = dict(dataset=dict({paths["train"]}))\n'
        f'val_dataloader = test_dataloader = dict(dataset=dict({paths["val"]}))\n'
        f'evaluators = _base_.val_evaluator\n'
        f'for evaluator in evaluators:\n    evaluator.update({files})\n'
        f'val_evaluator = test_evaluator = evaluators\n'
        f'train_cfg = dict(max_epochs=1, val_begin=1)\n'
    )
    code, printed = run_command('train', config, '--work-dir', tmp_path / 'run')
    assert code == 0, printed
    assert 'mAP/overall' in printed and 'nan' not in printed and 'Mean of empty slice' not in printed
    assert not list(tmp_path.glob('AVA_*.csv'))


def blocks_of_the_page(language):
    page = (ROOT / 'docs' / 'action_detection.md').read_text()
    return re.findall(rf'```{language}\n(.*?)```', page, re.DOTALL)


@pytest.mark.slow
def test_videos_of_phones_become_a_model_named_predictions_and_an_annotated_video(run_command, tmp_path):
    """docs/action_detection.md word for word: its files and its config, on a rotated video of a variable rate."""
    rows, actions = blocks_of_the_page('')[:2]
    proposals, config = blocks_of_the_page('python')[:2]
    # Thirty frames a second, then ten, for seven seconds; on its side with a rotation in the metadata.
    times = [*np.arange(90) / 30, *(3 + np.arange(40) / 10)]
    for part in ('train', 'val'):
        (tmp_path / part).mkdir()
        video = tmp_path / part / 'kitchen.MOV'
        write_with_pyav(video.with_suffix('.mov'), times=times, rotation=90)
        video.with_suffix('.mov').rename(video)
        (tmp_path / f'{part}.csv').write_text(rows)
    (tmp_path / 'actions.pbtxt').write_text(actions)
    subprocess.run([sys.executable, '-c', proposals], cwd=tmp_path, check=True)
    shutil.copy(tmp_path / 'train_proposals.pkl', tmp_path / 'val_proposals.pkl')
    config = config.replace('/path/to/', f'{tmp_path}/')
    config = config.replace("'hiera_mm::ava_hiera_b.py'", repr(str(ROOT / 'tests' / 'data' / 'tiny_ava.py')))
    mine = tmp_path / 'my_config.py'
    mine.write_text(f'{config}train_cfg = dict(max_epochs=1, val_begin=1)\n')
    code, printed = run_command('check-data', mine, '--videos', 'all')
    assert code == 0, printed
    code, printed = run_command('train', mine, '--work-dir', tmp_path / 'run')
    assert code == 0 and 'mAP/overall' in printed, printed
    checkpoint, out = tmp_path / 'run' / 'epoch_1.pth', tmp_path / 'predictions.pkl'
    code, printed = run_command('test', mine, checkpoint, '--work-dir', tmp_path / 'run', '--out', out)
    assert code == 0, printed
    (tmp_path / 'boxes.json').write_text('{"4": [[10, 20, 60, 70]], "2": [[10, 20, 60, 70]]}')
    arguments = ['--boxes', tmp_path / 'boxes.json', '--pred-score-thr', 0, '--out-dir', tmp_path / 'shown']
    code, printed = run_command('predict', checkpoint, tmp_path / 'val' / 'kitchen.MOV', *arguments)
    assert code == 0, printed
    result = json.loads((tmp_path / 'shown' / 'kitchen_actions.json').read_text())
    assert [prediction['timestamp'] for prediction in result['predictions']] == [2, 4]
    said = {action['name'] for p in result['predictions'] for person in p['persons'] for action in person['actions']}
    assert said and said <= {'stand', 'cook', 'talk'}
    shown, original = open_video(tmp_path / 'shown' / 'kitchen_actions.mp4'), open_video(video)
    assert len(shown) == len(original) == len(times)
    assert np.allclose(shown.times - shown.times[0], times, atol=0.002)
    assert is_upright(shown.frames([0])[0]), 'turned as a player turns the original'
