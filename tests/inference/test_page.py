"""The web page of a model, in a real browser and by requests: what is shown, what is refused, what stays hidden."""

import io
import json
import re
import shutil
from contextlib import contextmanager
from functools import partial

from hiera_mm.errors import UserError
from hiera_mm.inference.page import opened_page
from hiera_mm.inference.page_results import Limits, result_for
from hiera_mm.inference.visualization import enlarged, enlargement
from hiera_mm.readers.ava_files import read_action_list
from hiera_mm.readers.videos import open_video
from hiera_mm.readers.write_video import write_video
from hiera_mm.synthetic.actions import make_acting_shapes
from hiera_mm.tasks import load
from hiera_mm.tasks.actions import PersonFinder

import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from tests.helpers import ACTIONS_CONFIG, ROOT, TINY, free_port, save_random_weights

MEGABYTE = 2**20


@contextmanager
def page_of(predictor, **more):
    limits = Limits(pixels=1_000_000, seconds=5)
    look, port = partial(result_for, predictor, limits=limits, **more), free_port()
    with opened_page(predictor, look, '127.0.0.1', port, MEGABYTE):
        yield f'http://127.0.0.1:{port}'


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return load(save_random_weights(TINY, tmp_path_factory.mktemp('weights') / 'shapes.pth'), device='cpu')


@pytest.fixture(scope='module')
def address(model):
    with page_of(model) as address:
        yield address


@pytest.fixture(scope='module')
def browser():
    program = shutil.which('chromium') or shutil.which('google-chrome')
    if program is None:
        pytest.skip('there is no Chromium (apt-get install chromium)')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Opens a page and drops a file on it."""
    opened = []

    def drop(address, file):
        page = browser.new_page(accept_downloads=True)
        opened.append(page)
        page.goto(address)
        page.locator('input[type=file]').set_input_files(file)
        return page

    yield drop
    for page in opened:
        page.close()


@pytest.fixture(scope='module')
def picture(shapes):
    return min((shapes / 'val').glob('*.png'))


@pytest.fixture
def film(picture, tmp_path):
    write_video(tmp_path / 'film.mp4', [np.array(Image.open(picture).convert('RGB'))] * 4, 8)
    return tmp_path / 'film.mp4'


def ask(address, file, score=0.0):
    """By the page's own interface: what it answers, or its error."""
    with file.open('rb') as content:
        uploaded = httpx.post(f'{address}/gradio_api/upload', files=dict(files=(file.name, content)))
    return call(address, dict(path=uploaded.json()[0], orig_name=file.name), score)


def call(address, file, score=0.0):
    data = [dict(file, meta=dict(_type='gradio.FileData')), score]
    event = httpx.post(f'{address}/gradio_api/call/predict', json=dict(data=data)).json()['event_id']
    answer = httpx.get(f'{address}/gradio_api/call/predict/{event}', timeout=120).text
    name, content = [line.partition(': ')[2] for line in answer.strip().splitlines()[-2:]]
    return name, json.loads(content)


def shown(page, address):
    """The picture on a page, as an array."""
    image = page.locator('#found img')
    expect(image).to_be_visible(timeout=60_000)
    return pixels_at(image.get_attribute('src'))


def pixels_at(url):
    return np.array(Image.open(io.BytesIO(httpx.get(url).content)).convert('RGB'))


def test_a_dropped_picture_shows_its_objects(visit, address, model, picture, tmp_path):
    """Small ones enlarged, drawn by the slider's score without computing anew, with all results to download."""
    page = visit(address, picture)
    pixels = np.array(Image.open(picture).convert('RGB'))
    original = enlarged(pixels, enlargement(pixels.shape[:2]))
    assert shown(page, address).shape == original.shape
    with page.expect_download() as download:
        page.get_by_text('Download all results').click()
    download.value.save_as(tmp_path / 'results.json')
    found = json.loads((tmp_path / 'results.json').read_text())
    assert found['objects'] == list(model.predict(picture).to_coco()) and found['objects']
    # Untrained weights find nothing of a high score.
    assert (shown(page, address) == original).all()
    before = page.locator('#found img').get_attribute('src')
    page.locator('input[type=range]').press('Home')
    expect(page.locator('#found img')).not_to_have_attribute('src', before, timeout=30_000)
    assert (shown(page, address) != original).any()
    expect(page.get_by_role('gridcell', name=model.names[0]).first).to_be_visible()
    expect(page.locator('#original img')).to_be_visible()
    expect(page.get_by_text('predicted in')).to_be_visible()


def test_a_dropped_video_shows_its_objects(visit, address, film):
    page = visit(address, film)
    video = page.locator('video')
    expect(video).to_be_visible(timeout=60_000)
    page.wait_for_function('document.querySelector("video").readyState > 0')
    assert video.evaluate('video => video.duration') == pytest.approx(0.5, abs=0.1)


def test_the_page_has_no_serious_fault_of_accessibility(visit, address, picture):
    page = visit(address, picture)
    shown(page, address)
    page.locator('input[type=range]').press('Home')
    expect(page.get_by_role('gridcell').first).to_be_visible()
    violations = Axe().run(page).response['violations']
    assert not [fault['id'] for fault in violations if fault['impact'] in ('serious', 'critical')]


def test_the_page_fits_a_phone(visit, address, picture):
    page = visit(address, picture)
    page.set_viewport_size(dict(width=390, height=800))
    shown(page, address)
    assert page.evaluate('document.documentElement.scrollWidth') <= 390


def test_the_page_asks_nothing_of_other_machines(browser, address):
    page, asked = browser.new_page(), []
    page.on('request', lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector('h1')
    page.close()
    assert asked and not [url for url in asked if not url.startswith((address, 'data:', 'blob:'))]


@pytest.mark.parametrize(
    'name, content, sentence',
    [
        ('holiday.png', b'nonsense', "'holiday.png' is damaged or not an image"),
        ('cut.png', None, "'cut.png'"),
        ('holiday.mp4', b'nonsense', "'holiday.mp4'"),
        ('large.png', bytes(2 * MEGABYTE), 'exceed the maximum allowed size'),
        ('text.txt', b'words', 'Invalid file type'),
    ],
)
def test_a_bad_upload_gets_a_sentence(visit, address, picture, tmp_path, name, content, sentence):
    whole = picture.read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2] if content is None else content)
    page = visit(address, tmp_path / name)
    told = page.get_by_test_id('toast-body')
    expect(told).to_be_visible(timeout=60_000)
    assert sentence in told.inner_text() and str(tmp_path) not in told.inner_text()
    assert 'hiera_mm_page_' not in told.inner_text()


def test_what_would_take_too_much_is_refused(model, shapes, picture, tmp_path):
    Image.new('1', (20_000, 20_000)).save(tmp_path / 'bomb.png')
    Image.new('L', (1001, 1000)).save(tmp_path / 'wide.png')
    frame = np.zeros((32, 32, 3), np.uint8)
    write_video(tmp_path / 'long.mp4', [frame] * 12, 2)
    write_video(tmp_path / 'wide.mp4', [np.zeros((1002, 1000, 3), np.uint8)], 2)
    limits = Limits(pixels=1_000_000, seconds=5)
    for name, sentence in {
        'bomb.png': 'too large',
        'wide.png': '1001 x 1000 pixels, but 1 million are allowed',
        'long.mp4': 'takes 6.0 seconds, but 5 are allowed',
        'wide.mp4': '1000 x 1002 pixels',
    }.items():
        with pytest.raises(UserError, match=sentence):
            result_for(model, str(tmp_path / name), limits)
    assert len(result_for(model, str(picture), limits).results()['objects']) == len(model.predict(picture))


@pytest.mark.parametrize(
    'hidden', ['/etc/passwd', str(ROOT / 'README.md'), '../../etc/passwd', '{weights}', 'file:///etc/passwd']
)
def test_no_file_of_the_server_can_be_read(address, model, hidden):
    """By its address, or as the input of the model."""
    path = hidden.format(weights=model.trained.source)
    for route in ('/gradio_api/file=', '/file=', '/'):
        assert httpx.get(address + route + path).status_code in (403, 404)
    name, answer = call(address, dict(path=path))
    assert name == 'error' and 'root:' not in str(answer)


@pytest.mark.parametrize('name', ['list.mp4', 'list.avi'])
def test_a_list_of_other_videos_opens_none_of_them(address, film, tmp_path, name):
    """FFmpeg would take these for videos, and open what they name."""
    shutil.copy(film, tmp_path / 'other.mp4')
    for text in ('ffconcat version 1.0\nfile other.mp4\n', f'#EXTM3U\n#EXTINF:1,\n{film}\n#EXT-X-ENDLIST\n'):
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError, match=name):
            open_video(tmp_path / name)


def test_classes_are_listed(tmp_path, film):
    model = load(save_random_weights(ROOT / 'configs/k400_hiera_t_shapes.py', tmp_path / 'clips.pth'), device='cpu')
    with page_of(model) as address:
        name, (*_, picture, video, table, scores, file, took) = ask(address, film)
    best = model.predict(film).top(1)[0]
    assert name == 'complete' and picture['visible'] is video['visible'] is table['visible'] is False
    assert re.fullmatch(r'film.mp4: predicted in \d+\.\d\d seconds\.', took)
    assert scores['label'] == best[0] and scores['confidences'][0]['confidence'] == pytest.approx(best[1], abs=1e-4)
    assert file['value']['orig_name'] == 'film_predictions.json'


def test_actions_are_drawn(tmp_path, model):
    make_acting_shapes(tmp_path / 'actions', train=1, val=1)
    names = read_action_list(tmp_path / 'actions' / 'actions.pbtxt')
    actor = load(save_random_weights(ACTIONS_CONFIG, tmp_path / 'actions.pth'), device='cpu', classes=names)
    video = min((tmp_path / 'actions').rglob('*.mp4'))
    persons = PersonFinder(model, score_thr=0.0, classes=model.names)
    found = result_for(actor, str(video), Limits(10**6, 60), persons)
    scores = [a['score'] for second in found.results()['predictions'] for p in second['persons'] for a in p['actions']]
    assert scores and found.results()['video'] == video.name
    assert [row['confidence'] for row in found.rows(0.0)] == [round(score, 2) for score in scores]
    assert not found.rows(1.1)
    pictures = []
    for score_thr in (0, 1.0):
        path = found.write(tmp_path / f'drawn_{score_thr}', score_thr)
        pictures.append(open_video(path).frames([10])[0].astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() > 100


@pytest.mark.parametrize(
    ('host', 'known'),
    [
        *(
            (name, True)
            for name in ('localhost', 'LOCALHOST:7860', '127.0.0.1', '192.168.1.2:80', '[::1]:7860', 'my.proxy')
        ),
        *(
            (name, False)
            for name in ('evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', 'a b', '', '[::1')
        ),
    ],
)
def test_the_page_answers_only_to_its_own_names(model, named_address, host, known):
    answer = httpx.get(named_address, headers=dict(host=host))
    assert answer.status_code == (200 if known else 421)
    assert known or '--allowed-hosts' in answer.text


@pytest.fixture(scope='module')
def named_address(model):
    port = free_port()
    with opened_page(model, None, '127.0.0.1', port, MEGABYTE, ['my.proxy']):
        yield f'http://127.0.0.1:{port}'
