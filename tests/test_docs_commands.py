"""The command lines of the docs' blocks, run in their order: ``pytest -m slow tests/test_docs_commands.py``.

Each page has a folder with the inputs that it speaks of, and the package as pip installs it; lines that need a clone
are run in one. Configs of one's own get a tiny model and one epoch; nothing else differs from what the page says.
"""

import contextlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

from hiera_mm.models import Hiera
from hiera_mm.readers.found_sets import LAYOUTS
from hiera_mm.synthetic.classes import make_class_shapes
from hiera_mm.synthetic.masks import NAMES as MASK_NAMES
from hiera_mm.synthetic.masks import make_mask_shapes
from hiera_mm.synthetic.panoptic import STUFF, THINGS, make_panoptic_shapes
from hiera_mm.synthetic.shapes import CLASSES, make_coco_shapes
from hiera_mm.synthetic.volumes import NAMES as VOLUME_NAMES
from hiera_mm.synthetic.volumes import make_volume_shapes

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets import CocoDataset

from tests.coded_videos import write_with_pyav
from tests.helpers import ROOT, free_port, read_until, save_random_weights, start, wait_for_port
from tests.hub import TOKEN

PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
NOT_RUN = {
    'bash tests/run.sh': 'these tests',
    'panopticapi-lite': 'installed already, by tests/run.sh',
    "pip install 'hiera_mm[openmmlab]'": 'installed already; tests/test_packaging.py',
    'bash tools/quickstart.sh': 'run by the workflow of this name in a fresh clone',
    'mask_rcnn_hiera_b': 'all of COCO and its weights',
    'sam2.1_hiera_bp': "Meta's file",
    'dist_train.sh CONFIG': 'stands for any config; tests/tools/test_two_processes.py, test_machines.py',
    'slurm_train.sh PARTITION': "needs Slurm's programs; tests/tools/test_slurm.py has stand-ins",
    **{f'init --{layout} my_data': 'another way to the same config; tests/readers/found_sets' for layout in LAYOUTS},
    'hiera-mm start': 'minutes; tests/tools/test_start.py and test_from_an_empty_folder.py',
    'configs/*.py': 'hours; tests/rehearsal/test_rehearse.py takes some of them',
    'FILE_OR_ADDRESS_OR_NAME': 'stands for any; tests/tools/test_convert_weights.py',
    'train CONFIG': 'stands for any config; tests/tools/test_two_processes.py, test_machines.py',
    'convert SRC DST': 'stands for any; tests/tools/test_convert_weights.py',
}
IN_A_CLONE = ('python -m benchmarks', 'python docs/', 'bash tools/', 'pytest')
STEPS = ['1. The data', '2. A config', '3. Check', '4. Train', '5. Evaluate', '6. Use']
TASK_PAGES = [
    'own_data',
    'segmentation',
    'panoptic',
    'volumes',
    'classification',
    'video',
    'action_detection',
    'mae',
    'channels',
]
TINY = 'arch=dict(_delete_=True, embed_dim=16, num_heads=1, depths=(1, 1, 1, 1)), init_cfg=None'
DETECTOR = f"""
model = dict(
    backbone=dict({TINY}, window_sizes=None, global_blocks=()), neck=dict(in_channels=[16, 32, 64, 128])
)
epochs = 1
"""
SEGMENTOR = f"""
model = dict(
    backbone=dict({TINY}),
    decode_head=dict(in_channels=[16, 32, 64, 128], channels=16),
)
image_size, epochs = (128, 128), 1
"""
PANOPTIC = f"""
layer = dict(self_attn_cfg=dict(embed_dims=32, num_heads=2), ffn_cfg=dict(embed_dims=32, feedforward_channels=32))
model = dict(
    backbone=dict({TINY}, window_sizes=None, global_blocks=(), pos_embed='resized', drop_path_rate=0.0),
    panoptic_head=dict(
        in_channels=[16, 32, 64, 128],
        feat_channels=32,
        out_channels=32,
        num_queries=8,
        pixel_decoder=dict(encoder=dict(num_layers=1, layer_cfg=layer), positional_encoding=dict(num_feats=16)),
        positional_encoding=dict(num_feats=16),
        transformer_decoder=dict(num_layers=1, layer_cfg=dict(layer, cross_attn_cfg=layer['self_attn_cfg'])),
    ),
    test_cfg=dict(max_per_image=8),
)
image_size, epochs = (128, 128), 1
"""
VOLUMES = f"""
model = dict(backbone=dict({TINY}), decoder=dict(in_channels=[16, 32, 64, 128], channels=4))
"""
CLASSIFIER = f"""
model = dict(backbone=dict({TINY}), cls_head=dict(in_channels=128))
weights, epochs, batch_size = None, 1, 2
"""
ACTIONS = f"""
model.update(backbone=dict({TINY}))
model['roi_head']['bbox_head']['in_channels'] = 128
weights, epochs, batch_size = None, 1, 2
"""
AUTOENCODER = f"""
weights = None
model = dict(backbone=dict({TINY}), decoder_embed_dim=32, decoder_depth=1, decoder_num_heads=2)
epochs = 1
"""
DISTILLATION = f"""
model = dict(
    backbone=dict({TINY}),
    teacher=dict(arch=dict(_delete_=True, embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))),
)
epochs, batch_size = 1, 2
"""


def blocks(page):
    """Language and text of each block of a page, in their order."""
    return re.findall(r'```(bash|python)\n(.*?)```', (ROOT / page).read_text(), re.DOTALL)


def lines_of(text):
    return [line for line in text.replace('\\\n', ' ').splitlines() if line.split('#')[0].strip()]


def reason_not_to_run(line):
    return next((reason for part, reason in NOT_RUN.items() if part in line), None)


class Reader:
    """Somebody who does what a page says, in a folder that holds what it speaks of, with the package installed."""

    def __init__(self, folder, installed, shrinking):
        self.folder, self.shrinking = folder, shrinking
        python = Path(sys.executable).parent
        path = f'{installed / "bin"}:{python}:{os.environ["PATH"]}'
        self.environment = dict(os.environ, PATH=path, PYTHONPATH=str(installed), OMP_NUM_THREADS='2')

    def shrink(self, name='my_config.py'):
        path = self.folder / name
        path.write_text(path.read_text() + self.shrinking)

    def write_config(self, text, name='my_config.py'):
        (self.folder / name).write_text(text.replace('/path/to/', f'{self.folder}/'))
        self.shrink(name)

    def run(self, line):
        whole = re.search(r'train (?!mae)\w+_shapes\b', line) and '--cfg-options' not in line
        assert not whole, f'{line} takes a quarter of an hour: shorten it'
        line = self.with_checkpoints_at_hand(line).replace('/path/to/', f'{self.folder}/')
        with self.clone(any(part in line for part in IN_A_CLONE)) as environment:
            settings = dict(cwd=self.folder, env=environment, capture_output=True, text=True)
            done = subprocess.run(['bash', '-ec', line], **settings)
        assert done.returncode == 0, f'{line}\n{done.stdout[-5000:]}{done.stderr[-5000:]}'
        return done.stdout + done.stderr

    @contextlib.contextmanager
    def clone(self, needed):
        """The environment of commands; if needed, the folder is a clone of the repository while they run."""
        names = ('tools', 'configs', 'benchmarks', 'hiera_mm', 'docs') if needed else ()
        for name in names:
            (self.folder / name).symlink_to(ROOT / name)
        yield self.environment | (dict(PYTHONPATH=str(ROOT)) if needed else {})
        for name in names:
            (self.folder / name).unlink()

    def run_lines(self, text):
        for line in lines_of(text):
            if reason_not_to_run(line):
                continue
            if 'hiera-mm serve' in line:
                self.serve(line)
            elif not line.startswith('source '):
                self.run(line)
            if 'hiera-mm init' in line:
                named = re.search(r'--out (\S+)', line)
                self.shrink(named[1] if named else 'my_config.py')

    def serve(self, line):
        words = line.split('#')[0].split()
        process = start(['env', '-C', self.folder, *words, '--port', free_port()], **self.environment)
        read_until(process, 'The page is at http')

    def with_checkpoints_at_hand(self, line):
        """A shorter run has checkpoints of other numbers than the page says."""

        def at_hand(found):
            if '*' in found[0] or (self.folder / found[0]).exists():
                return found[0]
            (newest,) = sorted(self.folder.glob(f'{found[1]}_*.pth'), key=os.path.getmtime)[-1:]
            return str(newest.relative_to(self.folder))

        return re.sub(r'(work_dirs/[\w/]+/(?:best_\w+_)?(?:iter|epoch))_\d+\.pth', at_hand, line)


def film(path, count=40):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_with_pyav(path, times=np.arange(count) / 10)


def photograph(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (96, 128, 3), dtype=np.uint8))


def detection_inputs(folder):
    make_coco_shapes(folder / 'my_data', train=4, val=2)
    for part in ('train', 'val'):
        (folder / f'my_data/{part}.json').symlink_to(folder / f'my_data/annotations/instances_{part}.json')
    (folder / 'val.json').symlink_to(folder / 'my_data/val.json')
    for name in ('photo.jpg', 'photos/1.jpg', 'photos/2.jpg', 'more/3.jpg'):
        photograph(folder / name, seed=len(name))
    film(folder / 'film.mp4', 5)


@pytest.fixture
def detecting(tmp_path, installed):
    detection_inputs(tmp_path)
    return Reader(tmp_path, installed, DETECTOR)


@pytest.fixture(scope='module')
def trained(tmp_path_factory, installed):
    """Folder of a detector that was trained by ``init`` and ``train``."""
    folder = tmp_path_factory.mktemp('trained')
    detection_inputs(folder)
    reader = Reader(folder, installed, DETECTOR)
    reader.run_lines('hiera-mm init my_data\nhiera-mm train my_config.py')
    return folder


@pytest.fixture
def with_detector(trained, tmp_path, installed):
    shutil.copytree(trained, tmp_path / 'work', symlinks=True)
    return Reader(tmp_path / 'work', installed, DETECTOR)


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_line_is_run_here_or_says_why_not(page):
    """New lines of a page without a test below would be left out silently otherwise."""
    source = Path(__file__).read_text()
    lines = [line for language, text in blocks(page) if language == 'bash' for line in lines_of(text)]
    if not all(reason_not_to_run(line) for line in lines):
        assert f"blocks('{page.relative_to(ROOT)}')" in source


@pytest.mark.parametrize('name', TASK_PAGES)
def test_every_task_has_the_same_six_steps(name):
    headings = re.findall(r'^## (\d\. .*)$', (ROOT / f'docs/{name}.md').read_text(), re.MULTILINE)
    assert headings == STEPS


@pytest.mark.slow
def test_readme(detecting):
    for language, text in blocks('README.md'):
        if language == 'bash':
            detecting.run_lines(text)


@pytest.mark.slow
def test_own_data(detecting):
    own = [text for language, text in blocks('docs/own_data.md') if language == 'python'][0]
    for language, text in blocks('docs/own_data.md'):
        if language == 'bash':
            detecting.run_lines(text)
        if text == own:
            # The page's other way to a config: written by oneself.
            names = ', '.join(map(repr, CLASSES))
            detecting.write_config(re.sub(r"\('cat', 'dog'\)", f'({names})', text))


@pytest.mark.slow
def test_predict(with_detector, tmp_path):
    port = free_port()
    start([sys.executable, '-m', 'tests.hub', port], PYTHONPATH=str(ROOT))
    wait_for_port(port)
    with_detector.environment.update(
        HF_ENDPOINT=f'http://127.0.0.1:{port}', HF_HOME=str(tmp_path / 'cache'), HF_HUB_DISABLE_XET='1', HF_TOKEN=TOKEN
    )
    for language, text in blocks('docs/predict.md'):
        if language == 'bash':
            with_detector.run_lines(text)
        elif 'COCOeval' not in text:
            with_detector.run(f"python - <<'END'\n{text}\nEND")


@pytest.mark.slow
def test_install(with_detector):
    coco = with_detector.folder / 'data' / 'coco'
    make_coco_shapes(coco, train=2, val=2)
    categories = [dict(id=number, name=name) for number, name in enumerate(CocoDataset.METAINFO['classes'], start=1)]
    for part in ('train', 'val'):
        (coco / part).rename(coco / f'{part}2017')
        drawn = json.loads((coco / f'annotations/instances_{part}.json').read_text())
        named = coco / f'annotations/instances_{part}2017.json'
        named.write_text(json.dumps(drawn | dict(categories=categories)))
    with_detector.run('hiera-mm test my_config.py work_dirs/my_config/iter_1.pth --out predictions.pkl')
    for language, text in blocks('docs/install.md'):
        if language == 'bash':
            with_detector.run_lines(text)


@pytest.mark.slow
def test_rehearsal(with_detector):
    config = with_detector.folder / 'my_config.py'
    # A run of one iteration has nothing to resume.
    config.write_text(config.read_text().replace('epochs = 1\n', 'epochs = 4\n'))
    for _, text in blocks('docs/rehearsal.md'):
        with_detector.run_lines(text)


@pytest.mark.slow
def test_scaling_and_weights(detecting):
    for _, text in [*blocks('docs/scaling.md'), *blocks('docs/weights.md')]:
        detecting.run_lines(text)


@pytest.mark.slow
def test_segmentation(tmp_path, installed):
    make_mask_shapes(tmp_path / 'my_data', train=4, val=2)
    for name in ('photos/1.jpg', 'photos/2.jpg', 'photo.jpg'):
        photograph(tmp_path / name, seed=len(name))
    film(tmp_path / 'film.mp4', 3)
    reader = Reader(tmp_path, installed, SEGMENTOR)
    for language, text in blocks('docs/segmentation.md'):
        if 'num_classes' in text or '_base_' in text:
            reader.write_config(re.sub(r"\('background', 'road', 'car'\)", repr(MASK_NAMES), text))
        elif language == 'python':
            reader.run(f"python - <<'END'\n{text}\nEND")
        else:
            text = re.sub('(make-data.*--kind masks)', r'\1 --train 8 --val 2', text)
            reader.run_lines(re.sub(r'(train \w+_shapes)', r'\1 --cfg-options train_cfg.max_iters=2', text))


@pytest.mark.slow
def test_channels(tmp_path, installed):
    shrinking = f"""
model = dict(
    backbone=dict({TINY}),
    decode_head=dict(in_channels=[16, 32, 64, 128], channels=16),
    auxiliary_head=dict(in_channels=64, channels=16),
)
max_iters = 2
"""
    reader = Reader(tmp_path, installed, shrinking)
    for language, text in blocks('docs/channels.md'):
        if '_base_' in text:
            reader.write_config(text)
        elif language == 'bash':
            reader.run_lines(re.sub('(make-data.*--kind bands)', r'\1 --train 8 --val 2', text))


@pytest.mark.slow
def test_panoptic(tmp_path, installed):
    make_panoptic_shapes(tmp_path / 'my_data', train=4, val=2)
    for name in ('photos/1.jpg', 'photos/2.jpg', 'photo.jpg'):
        photograph(tmp_path / name, seed=len(name))
    film(tmp_path / 'film.mp4', 3)
    reader = Reader(tmp_path, installed, PANOPTIC)
    for language, text in blocks('docs/panoptic.md'):
        if '_base_' in text:
            own = text.replace("('car', 'person')", repr(THINGS)).replace("('road', 'sky')", repr(STUFF))
            reader.write_config(own)
        elif language == 'python':
            reader.run(f"python - <<'END'\n{text}\nEND")
        else:
            text = re.sub('(make-data.*--kind panoptic)', r'\1 --train 8 --val 2', text)
            reader.run_lines(re.sub(r'(train \w+_shapes_panoptic)', r'\1 --cfg-options train_cfg.max_iters=2', text))


@pytest.mark.slow
def test_volumes(tmp_path, installed):
    """The page's config, with the steps that it changes for MRI."""
    data = tmp_path / 'my_data'
    make_volume_shapes(data, train=2, val=1)
    shutil.copytree(data / 'images', data / 'imagesTs')
    shutil.copy(next((data / 'images').iterdir()), tmp_path / 'ct.nii.gz')
    texts = [text for language, text in blocks('docs/volumes.md') if language == 'python']
    own = re.sub(r"\('background', 'liver', 'tumour'\)", repr(VOLUME_NAMES), texts[0])
    own = own.replace('(96, 96, 96)', '(64, 64, 32)').replace('epochs = 1000', 'epochs = 1')
    reader = Reader(tmp_path, installed, VOLUMES)
    for language, text in blocks('docs/volumes.md'):
        if text == texts[0]:
            reader.write_config(own + texts[1])
        if language == 'bash':
            text = re.sub('(make-data.*--kind volumes)', r'\1 --train 4 --val 2', text)
            reader.run_lines(re.sub(r'(train \w+_shapes)', r'\1 --cfg-options train_cfg.max_epochs=1', text))
    assert 'NormalizeIntensityd' in (tmp_path / 'work_dirs/my_config/my_config.py').read_text()
    reader.run(f"python - <<'END'\n{texts[2]}\nEND")


@pytest.mark.slow
def test_detectors(tmp_path, installed):
    reader = Reader(tmp_path, installed, DETECTOR)
    for language, text in blocks('docs/detectors.md'):
        if language == 'bash':
            text = re.sub('(make-data data/shapes)', r'\1 --train 8 --val 2', text)
            reader.run_lines(re.sub(r'(train \w+_shapes)', r'\1 --cfg-options train_cfg.max_iters=2', text))


@pytest.mark.slow
def test_features(tmp_path, installed):
    make_class_shapes(tmp_path / 'my_images', train=36, val=3)
    tiny = dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))
    (tmp_path / 'work_dirs' / 'my_mae').mkdir(parents=True)
    text = f"model = dict(backbone=dict(type='Hiera', arch={tiny}))"
    state = {f'backbone.{key}': value for key, value in Hiera(tiny).state_dict().items()}
    torch.save(dict(state_dict=state, meta=dict(cfg=text)), tmp_path / 'work_dirs/my_mae/epoch_1.pth')
    (tmp_path / 'work_dirs/my_mae/last_checkpoint').write_text('epoch_1.pth')
    reader = Reader(tmp_path, installed, '')
    for language, text in blocks('docs/features.md'):
        if language == 'bash':
            reader.run_lines(text)
        elif 'work_dirs' in text:
            reader.run(f"python - <<'END'\n{text}\nEND")


@pytest.mark.slow
def test_labels(with_detector, tmp_path):
    photograph(tmp_path / 'work' / 'new_photos' / '1.jpg')
    for language, text in blocks('docs/labels.md'):
        if language == 'bash':
            with_detector.run_lines(text)


@pytest.mark.slow
def test_distillation(tmp_path, installed):
    """The comparison that the page reports is made with a few pictures, all else as there."""
    make_class_shapes(tmp_path / 'my_images', train=6, val=3)
    tiny = dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))
    torch.save(dict(state_dict=Hiera(tiny).state_dict()), tmp_path / 'teacher.pth')
    reader = Reader(tmp_path, installed, DISTILLATION)
    few = {'--train 4000': '--train 64 --val 2', 'data/shapes ': '--train 8 --val 2 '}
    for language, text in blocks('docs/distillation.md'):
        if 'distill_hiera_t_from_l.py' in text:
            text = text.replace('my_images/', 'my_images/train').replace('hiera_l.mae_in1k', 'teacher.pth')
            reader.write_config(text, 'my_distillation.py')
        elif language == 'bash':
            for part, more in few.items():
                text = re.sub(f'(make-data[^\n&]*{re.escape(part.strip())})', rf'\1 {more}', text)
            text = re.sub(r'(train mask_rcnn_hiera_s_shapes)', r'\1 --cfg-options max_iters=2', text)
            text = re.sub(r'(train distill_hiera_t_shapes)', r'\1 --cfg-options epochs=1', text)
            reader.run_lines(re.sub('(benchmarks.compare.*)', r'\1 --cfg-options max_iters=2', text))


@pytest.mark.slow
def test_video(tmp_path, installed):
    for name in ('train/a/1.mp4', 'train/b/1.mp4', 'val/a/2.mp4', 'val/b/2.mp4'):
        film(tmp_path / name)
        film(tmp_path / 'my_videos' / name)
    film(tmp_path / 'film.mp4')
    for name in ('000001', '000002'):
        film(tmp_path / f'data/kinetics400/videos_train/clap/{name}_000000_000010.mp4')
    for name in ('1', '2'):
        film(tmp_path / f'data/sthv2/videos/{name}.webm'.replace('.webm', '.mp4'))
    rows = [f'clap,{name},0,10,train\n' for name in ('000001', '000002')]
    (tmp_path / 'train.csv').write_text(''.join(['label,youtube_id,time_start,time_end,split\n', *rows]))
    entries = [dict(id=name, template='Moving [something] up') for name in ('1', '2')]
    (tmp_path / 'something-something-v2-train.json').write_text(json.dumps(entries))
    (tmp_path / 'something-something-v2-labels.json').write_text(json.dumps({'Moving something up': '0'}))
    reader = Reader(tmp_path, installed, CLASSIFIER)
    reader.run('hiera-mm make-data data/motion --kind motion --train 2 --val 1')
    reader.run('hiera-mm train k400_hiera_t_shapes --cfg-options train_cfg.max_epochs=1')
    for language, text in blocks('docs/video.md'):
        reader.run_lines(text) if language == 'bash' else reader.write_config(text)


@pytest.mark.slow
def test_classification(tmp_path, installed):
    make_class_shapes(tmp_path / 'my_images', train=6, val=3)
    photograph(tmp_path / 'photos/1.jpg')
    reader = Reader(tmp_path, installed, CLASSIFIER)
    for language, text in blocks('docs/classification.md'):
        text = text.replace("('cat', 'cow', 'dog')", "('triangle', 'bar', 'circle')")
        reader.run_lines(text) if language == 'bash' else reader.write_config(text)


@pytest.mark.slow
def test_action_detection(tmp_path, installed):
    """With the page's annotation lines and proposals; its validation set is its training set."""
    reader = Reader(tmp_path, installed, ACTIONS)
    page = (ROOT / 'docs/action_detection.md').read_text()
    lines, names = [text for text in re.findall(r'```\n(.*?)```', page, re.DOTALL)][:2]
    assert lines.startswith('kitchen') and names.startswith('item')
    for part in ('train', 'val'):
        film(tmp_path / part / 'kitchen.mp4', 100)
        (tmp_path / f'{part}.csv').write_text(lines)
    (tmp_path / 'actions.pbtxt').write_text(names)
    # The same videos in one folder, those for validation under another name.
    for part, video in dict(train='kitchen', val='garden').items():
        film(tmp_path / 'my_data' / part / f'{video}.mp4', 100)
        (tmp_path / 'my_data' / f'{part}.csv').write_text(lines.replace('kitchen', video))
    (tmp_path / 'my_data' / 'actions.pbtxt').write_text(names)
    shutil.copy(tmp_path / 'train' / 'kitchen.mp4', tmp_path / 'my_video.mp4')
    detector = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_2x_coco.py'
    (tmp_path / 'det.py').write_text(f"_base_ = '{detector}'\nmodel = dict(backbone=dict(init_cfg=None))\n")
    save_random_weights(tmp_path / 'det.py', tmp_path / 'faster_rcnn.pth')
    for language, text in blocks('docs/action_detection.md'):
        if language == 'bash':
            text = re.sub(r'(train \w+_shapes)', r'\1 --cfg-options train_cfg.max_epochs=1', text)
            reader.run_lines(re.sub('(make-data.*--kind actions)', r'\1 --train 2 --val 4', text))
        elif 'my_detector.pth' in text:
            shutil.copy(tmp_path / 'faster_rcnn.pth', tmp_path / 'my_detector.pth')
            (tmp_path / 'epoch_30.pth').symlink_to(next((tmp_path / 'work_dirs/my_config').glob('epoch_*.pth')))
            reader.run(f"python - <<'END'\n{text}\nEND")
        elif 'num_classes = ' in text:
            reader.write_config(text)
        elif '_base_' not in text:
            reader.run(f"python - <<'END'\n{text}\nEND")
            if 'train_proposals' in text:
                assert pickle.loads((tmp_path / 'train_proposals.pkl').read_bytes())
                shutil.copy(tmp_path / 'train_proposals.pkl', tmp_path / 'val_proposals.pkl')


@pytest.mark.slow
def test_mae(tmp_path, installed):
    """The comparisons that the page reports train with a few pictures and videos, all else as there."""
    make_class_shapes(tmp_path / 'my_images', train=6, val=3)
    for name in ('some.jpg', 'other.jpg'):
        photograph(tmp_path / name)
    reader = Reader(tmp_path, installed, AUTOENCODER)
    few = {
        '--kind motion': '--train 32 --val 2',
        '--train 4000': '--train 256 --val 2',
        'data/shapes': '--train 8 --val 2',
    }
    for language, text in blocks('docs/mae.md'):
        if 'mae_hiera_b.py' in text:
            reader.write_config(text.replace('my_images/', 'my_images/train'), 'my_mae.py')
        elif language == 'bash':
            for part, more in few.items():
                text = re.sub(f'(make-data[^\n&]*{re.escape(part)}[^\n&]*)', rf'\1 {more}', text)
            whole = ' '.join(f'train_cfg.{key}=1' for key in ('max_epochs', 'val_begin', 'val_interval'))
            short = whole if 'k400' in text else 'epochs=1'
            reader.run_lines(re.sub('(benchmarks.compare.*)', rf'\1 --cfg-options {short}', text))
