"""hiera-mm predict: every task on files, folders, videos and streams, and what goes wrong with them."""

import csv
import json
import os
import shutil
import signal
import sys
import time

from hiera_mm.readers.videos import open_video
from hiera_mm.readers.write_video import write_video
from hiera_mm.synthetic.motions import make_motion_shapes
from hiera_mm.tasks import load

import av
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.helpers import (
    ACTIONS_CONFIG,
    ROOT,
    TINY,
    assert_explained,
    free_port,
    options,
    run_program,
    save_random_weights,
    start,
    start_program,
    wait_for_port,
)

CLIPS = ROOT / 'configs' / 'k400_hiera_t_shapes.py'


@pytest.fixture(scope='module')
def detector(tmp_path_factory):
    return save_random_weights(TINY, tmp_path_factory.mktemp('weights') / 'shapes.pth')


@pytest.fixture
def predict(run_command, tmp_path):
    """Gives the exit code, all that was printed, and the folder of the results."""

    def run(model, *arguments):
        code, printed = run_command('predict', model, *arguments, '--device', 'cpu', '--out-dir', tmp_path / 'out')
        return code, printed, tmp_path / 'out'

    return run


def read_json(path):
    return json.loads(path.read_text())


def average_precision(ann_file, results):
    truth = COCO(str(ann_file))
    evaluation = COCOeval(truth, truth.loadRes(str(results)), 'segm')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats[0]


def test_a_trained_detector_predicts_what_testing_scores(run_command, predict, shapes, tmp_path):
    """The run's folder alone names the model; numbers of images and categories are those of the annotation file."""
    more = options(shapes, 'train_cfg.max_iters=2', 'model.roi_head.test_cfg.score_thr=0.0')
    code, printed = run_command('train', TINY, '--work-dir', tmp_path / 'run', *more)
    assert code == 0, printed
    code, printed = run_command('test', TINY, tmp_path / 'run' / 'iter_2.pth', '--work-dir', tmp_path / 'test', *more)
    assert code == 0, printed
    ann_file = shapes / 'annotations' / 'instances_val.json'
    code, printed, out = predict(tmp_path / 'run', shapes / 'val', '--ann-file', ann_file, '--batch-size', 3)
    assert code == 0 and f'4 of 4 inputs; written to {out}.' in printed, printed
    found = read_json(out / 'predictions.json')
    assert {entry['image_id'] for entry in found} == {image['id'] for image in read_json(ann_file)['images']}
    (log,) = (tmp_path / 'test').glob('*/*.json')
    assert average_precision(ann_file, out / 'predictions.json') == pytest.approx(
        read_json(log)['coco/segm_mAP'], abs=1e-3
    )
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [
            'images.json',
            'predictions.json',
            'predictions.segm.json',
            *(path.name for path in (shapes / 'val').iterdir()),
        ]
    )


def test_results_without_an_annotation_file_are_whole_in_themselves(predict, detector, shapes, real_videos, tmp_path):
    """Pictures in folders and a video, whose frames are images of their own."""
    (tmp_path / 'mine' / 'deep').mkdir(parents=True)
    first, second, *_ = sorted((shapes / 'val').glob('*.png'))
    shutil.copy(first, tmp_path / 'mine' / 'one.png')
    shutil.copy(second, tmp_path / 'mine' / 'deep' / 'two.png')
    frames = open_video(real_videos / 'demo.mp4').frames(range(7))
    write_video(tmp_path / 'mine' / 'film.mp4', frames, 10)
    code, printed, out = predict(detector, tmp_path / 'mine', '--frame-interval', 3, '--pred-score-thr', 0)
    assert code == 0 and '3 of 3 inputs' in printed, printed
    images = COCO(str(out / 'images.json'))
    results = images.loadRes(str(out / 'predictions.json'))
    named = [(image['file_name'], image.get('frame'), image.get('time')) for image in images.dataset['images']]
    assert named == [('one.png', None, None), ('deep/two.png', None, None)] + [
        ('film.mp4', frame, frame / 10) for frame in (0, 3, 6)
    ]
    names = {category['id']: category['name'] for category in images.dataset['categories']}
    assert names == {1: 'circle', 2: 'bar', 3: 'triangle'}
    assert all(names[entry['category_id']] == entry['category_name'] for entry in results.anns.values())
    expected = load(detector, device='cpu').predict(first)
    (number,) = [image['id'] for image in images.dataset['images'] if image['file_name'] == 'one.png']
    found = results.loadAnns(results.getAnnIds(number))
    np.testing.assert_allclose([entry['score'] for entry in found], expected.scores, atol=1e-5)
    assert np.array_equal([results.annToMask(entry) for entry in found], expected.masks)
    assert len(open_video(out / 'film.mp4')) == 7
    # Small images are enlarged.
    drawn = np.array(Image.open(out / 'one.png'))[::4, ::4].astype(int)
    assert np.abs(drawn - np.array(Image.open(first))).max() > 50


def test_nothing_is_drawn_where_nobody_wants_it(predict, detector, shapes, real_videos):
    inputs = [shapes / 'val', real_videos / 'demo.mp4']
    code, printed, out = predict(detector, *inputs, '--no-save-vis', '--frame-interval', 100)
    assert code == 0, printed
    assert sorted(path.name for path in out.iterdir()) == ['images.json', 'predictions.json', 'predictions.segm.json']
    assert len(read_json(out / 'images.json')['images']) > 4


def test_broken_files_are_named_counted_and_tried_again(predict, detector, shapes, tmp_path):
    shutil.copytree(shapes / 'val', tmp_path / 'mine')
    (tmp_path / 'mine' / '000000.png').write_bytes(b'broken')
    (tmp_path / 'mine' / 'film.mp4').write_bytes(b'broken')
    code, printed, out = predict(detector, tmp_path / 'mine', '--batch-size', 2)
    assert code == 1, printed
    assert "Not read: The image '" in printed and "000000.png' can't be decoded" in printed
    assert "film.mp4' is damaged, truncated or not a video" in printed and '4 of 6 inputs' in printed
    assert len(read_json(out / 'images.json')['images']) == 4
    before = {path.name: path.stat().st_mtime_ns for path in out.glob('*.png')}
    shutil.copy(shapes / 'val' / '000001.png', tmp_path / 'mine' / '000000.png')
    (tmp_path / 'mine' / 'film.mp4').unlink()
    code, printed, out = predict(detector, tmp_path / 'mine', '--batch-size', 2)
    assert code == 0 and '5 of 5 inputs' in printed, printed
    assert len(read_json(out / 'images.json')['images']) == 5
    assert all(path.stat().st_mtime_ns == before.get(path.name, path.stat().st_mtime_ns) for path in out.glob('*.png'))
    assert not (out / 'unfinished.jsonl').exists()


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGINT])
def test_a_folder_that_was_half_done_is_gone_on_with(detector, shapes, tmp_path, number):
    """Killed or interrupted in the middle, the command gives in the end what it gives without."""
    (tmp_path / 'mine').mkdir()
    for place in range(40):
        shutil.copy(shapes / 'val' / f'{place % 4 + 1:06d}.png', tmp_path / 'mine' / f'{place:02d}.png')
    command = ['predict', detector, tmp_path / 'mine', '--device', 'cpu']
    process = start_program(*command, '--out-dir', tmp_path / 'killed')
    progress = tmp_path / 'killed' / 'unfinished.jsonl'
    until = time.monotonic() + 60
    while not progress.exists() or progress.read_text().count('"done"') < 5:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    os.kill(process.pid, number)
    printed, _ = process.communicate()
    if number == signal.SIGINT:
        assert process.returncode == 130 and 'Traceback' not in printed, printed
        assert 'the same command goes on from there' in printed and 'Interrupted.\n' in printed, printed
    (tmp_path / 'killed' / 'film.mp4.1.unfinished').touch()
    # A line that the kill cut.
    with progress.open('a') as file:
        file.write('{"input": "39.png", "wid')
    done = progress.read_text().count('"done"')
    assert 5 <= done < 40 and not (tmp_path / 'killed' / 'predictions.json').exists()
    stamps = {path.name: path.stat().st_mtime_ns for path in (tmp_path / 'killed').glob('*.png')}
    for name in ('killed', 'straight'):
        run_program(*command, '--out-dir', tmp_path / name)
    for name in ('images.json', 'predictions.json'):
        assert read_json(tmp_path / 'killed' / name) == read_json(tmp_path / 'straight' / name)
    kept = [name for name, stamp in stamps.items() if (tmp_path / 'killed' / name).stat().st_mtime_ns == stamp]
    assert len(kept) >= done and not list((tmp_path / 'killed').glob('*.unfinished'))


def test_other_settings_begin_anew(predict, detector, shapes, tmp_path):
    (tmp_path / 'mine').mkdir()
    shutil.copy(shapes / 'val' / '000001.png', tmp_path / 'mine')
    (tmp_path / 'mine' / 'broken.png').write_bytes(b'broken')
    code, _, out = predict(detector, tmp_path / 'mine')
    assert code == 1 and (out / 'unfinished.jsonl').exists()
    code, printed, _ = predict(detector, tmp_path / 'mine', '--tile', 64)
    assert code == 1 and (out / '000001.png').exists(), printed
    found = read_json(out / 'predictions.json')
    assert len(found) != len(load(detector, device='cpu').predict(shapes / 'val' / '000001.png'))


def test_inputs_that_changed_or_are_not_asked_for_any_more_are_no_results(predict, detector, shapes, tmp_path):
    for name in ('one', 'two'):
        (tmp_path / name).mkdir()
        shutil.copy(shapes / 'val' / '000001.png', tmp_path / name / f'{name}.png')
        (tmp_path / name / 'broken.png').write_bytes(b'broken')
    assert predict(detector, tmp_path / 'one')[0] == 1
    code, _, out = predict(detector, tmp_path / 'two')
    assert code == 1 and [image['file_name'] for image in read_json(out / 'images.json')['images']] == ['two.png']
    shutil.copy(shapes / 'val' / '000002.png', tmp_path / 'two' / 'two.png')
    assert predict(detector, tmp_path / 'two')[0] == 1
    scores = [entry['score'] for entry in read_json(out / 'predictions.json')]
    expected = load(detector, device='cpu').predict(shapes / 'val' / '000002.png')
    np.testing.assert_allclose(scores, expected.scores, atol=1e-5)


def test_clips_and_folders_of_frames_become_a_table(predict, tmp_path):
    make_motion_shapes(tmp_path / 'motion', train=6, val=6)
    weights = save_random_weights(CLIPS, tmp_path / 'clips.pth')
    names = [f'motion {number}' for number in range(6)]
    (tmp_path / 'names.txt').write_text('\n'.join(names))
    code, printed, out = predict(
        weights, tmp_path / 'motion' / 'val', '--batch-size', 4, '--topk', 2, '--classes', tmp_path / 'names.txt'
    )
    assert code == 0 and '6 of 6 inputs' in printed, printed
    with (out / 'predictions.csv').open() as file:
        rows = list(csv.DictReader(file))
    videos = sorted(path.name for path in (tmp_path / 'motion' / 'val').iterdir())
    assert [row['file'] for row in rows] == videos
    classifier = load(weights, device='cpu', classes=names)
    for row in rows:
        ((first, score), (second, other)) = classifier.predict(tmp_path / 'motion' / 'val' / row['file']).top(2)
        assert (row['class_1'], row['class_2']) == (first, second)
        assert float(row['score_1']) == pytest.approx(score, abs=2e-5) and float(row['score_2']) == pytest.approx(
            other, abs=2e-5
        )


@pytest.fixture(scope='module')
def actions(tmp_path_factory):
    """A model of random weights, and the option that names its actions."""
    folder = tmp_path_factory.mktemp('weights')
    weights = save_random_weights(ACTIONS_CONFIG, folder / 'actions.pth')
    names = ''.join(f'item {{\n  name: "action {number}"\n  id: {number}\n}}\n' for number in range(1, 8))
    (folder / 'actions.pbtxt').write_text(names)
    return [weights, '--classes', folder / 'actions.pbtxt']


def test_actions_of_given_persons_become_predictions_and_a_film(predict, actions, real_videos, tmp_path):
    boxes = {1: [[20, 30, 120, 250], [200, 40, 300, 250]], 2.5: [[30, 30, 130, 250]]}
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
    video = real_videos / 'demo_spatiotemporal_det.mp4'
    code, printed, out = predict(
        actions[0], video, *actions[1:], '--boxes', tmp_path / 'boxes.json', '--pred-score-thr', 0
    )
    assert code == 0 and '1 of 1 inputs' in printed, printed
    result = read_json(out / 'demo_spatiotemporal_det_actions.json')
    assert [len(prediction['persons']) for prediction in result['predictions']] == [2, 1]
    assert result['predictions'][1]['persons'][0]['bbox'] == [30, 30, 130, 250]
    film, source = open_video(out / 'demo_spatiotemporal_det_actions.mp4'), open_video(video)
    assert (len(film), film.rate) == (len(source), source.rate) == (57, 6)


def test_a_detector_looks_for_persons(predict, actions, detector, real_videos):
    finder = ['--det-checkpoint', detector, '--det-classes', 'circle', 'bar', '--step', '4', '--det-score-thr', '0']
    code, printed, out = predict(actions[0], real_videos / 'demo_spatiotemporal_det.mp4', *actions[1:], *finder)
    assert code == 0 and 'Looking for persons' in printed, printed
    assert len(read_json(out / 'demo_spatiotemporal_det_actions.json')['predictions']) == 3


@pytest.mark.parametrize('content', ['', '[1]', '{"one": []}', None])
def test_boxes_that_are_none_are_named(run_command, actions, real_videos, tmp_path, content):
    if content is not None:
        (tmp_path / 'boxes.json').write_text(content)
    video = real_videos / 'demo.mp4'
    more = ['--boxes', tmp_path / 'boxes.json', '--out-dir', tmp_path / 'out']
    result = run_command('predict', actions[0], video, *actions[1:], *more)
    assert_explained(result, f"The file '{tmp_path}/boxes.json' can't be read as boxes by seconds, such as")


@pytest.mark.parametrize(
    'arguments, said',
    [
        (['none.jpg'], "'none.jpg' does not exist; correct the path, or put a pattern in quotes."),
        (['.', '--topk', '3'], '1 (--topk) has no effect for'),
        (['.', '--config', 'none.py'], "The config 'none.py' does not exist"),
        (['.', '--ann-file', 'other.json'], "The annotation file 'other.json' lacks 3 (circle, bar, triangle) of"),
        (['.', '--out-dir', '.'], "The results would be written among the inputs, in '.'; choose another folder"),
        (['.', '--classes', 'names.txt'], 'has 3 classes, but there are 2 (a, b) names'),
    ],
)
def test_faults_of_the_command_are_told(run_command, detector, shapes, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    shutil.copy(shapes / 'val' / '000001.png', tmp_path)
    (tmp_path / 'names.txt').write_text('a\nb\n')
    other = dict(images=[], annotations=[], categories=[dict(id=1, name='cat')])
    (tmp_path / 'other.json').write_text(json.dumps(other))
    assert_explained(run_command('predict', detector, *arguments, '--device', 'cpu'), said)
    assert not (tmp_path / 'predictions').exists()


def test_a_picture_that_the_annotation_file_lacks_is_told_before_anything_is_computed(
    predict, detector, shapes, tmp_path
):
    ann_file = shapes / 'annotations' / 'instances_val.json'
    shutil.copytree(shapes / 'val', tmp_path / 'mine')
    shutil.copy(shapes / 'val' / '000001.png', tmp_path / 'mine' / 'other.png')
    result = predict(detector, tmp_path / 'mine', '--ann-file', ann_file)
    assert_explained(result[:2], f"The annotation file '{ann_file}' has no image 'other.png', but 4 (")
    assert not list(result[2].glob('*.png'))


def test_results_of_an_earlier_run_are_no_inputs(run_command, detector, shapes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(shapes / 'val' / '000001.png', tmp_path)
    for said in ('1 of 1 inputs', "Left out: 1 inputs in 'predictions', where results are written."):
        code, printed = run_command('predict', detector, '.', '--device', 'cpu')
        assert code == 0 and said in printed, printed


def test_a_stream_is_predicted_as_it_comes(predict, detector, real_videos, tmp_path):
    with av.open(str(real_videos / 'demo.mp4')) as source, av.open(str(tmp_path / 'sent.ts'), 'w') as target:
        stream = source.streams.video[0]
        copied = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copied
                target.mux(packet)
    port = free_port()
    server = start([sys.executable, '-m', 'http.server', port, '--bind', '127.0.0.1', '--directory', tmp_path])
    wait_for_port(port)
    code, printed, out = predict(detector, f'http://127.0.0.1:{port}/sent.ts', '--frame-interval', 50)
    server.kill()
    assert code == 0, printed
    (film,) = out.glob('*.mp4')
    assert len(open_video(film)) == len(open_video(real_videos / 'demo.mp4'))
    times = [image['time'] for image in read_json(out / 'images.json')['images']]
    assert times[0] == 0 and times == sorted(times)


def test_a_camera_that_is_not_there_is_told(predict, detector):
    code, printed, _ = predict(detector, 7)
    assert code == 1 and "The camera 7 can't be opened; check that it is there" in printed
