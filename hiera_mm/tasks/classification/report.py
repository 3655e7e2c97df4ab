"""Sections of a report about a classifier."""

from collections.abc import Iterator

from hiera_mm.inference.images import reader_of
from hiera_mm.inference.report import charts
from hiera_mm.inference.report.parts import IMAGE_SIDE, MAX_SHOWN, Section, Table, Tested, as_data_url, most_confused
from hiera_mm.readers.channels import ChannelReader, visible
from hiera_mm.readers.frames import FrameReader
from hiera_mm.readers.images import open_image, rgb_pixels
from hiera_mm.readers.videos import open_video

import numpy as np


def sections(tested: Tested) -> Iterator[Section]:
    """The accuracy of each class, confusions, and the mistakes with the highest scores."""
    scores = np.array([np.asarray(found['pred_score']) for found in tested.predictions])
    truth = np.array([int(found['gt_label']) for found in tested.predictions])
    guessed, count = scores.argmax(1), scores.shape[1]
    names = list((tested.dataset.metainfo or {}).get('classes') or map(str, range(count)))
    counts = np.zeros((count, count), int)
    np.add.at(counts, (truth, guessed), 1)
    totals = counts.sum(1)
    rows = sorted((counts[c, c] / totals[c], names[c], int(totals[c])) for c in range(count) if totals[c])
    table = Table(('class', 'samples', 'right'), [(name, total, f'{part:.3f}') for part, name, total in rows])
    yield Section('Classes', 'Accuracy of each class, the worst first.', [table])
    yield Section(
        'Confusion matrix',
        tables=[most_confused(counts, names, names)],
        charts=[('Confusion', charts.confusion_table(counts, names, names))],
    )
    by_score = np.where(guessed == truth, -1, scores.max(1)).argsort()[::-1]
    wrong = [int(place) for place in by_score[:MAX_SHOWN] if guessed[place] != truth[place]]
    reader = reader_of(tested.dataset)
    pictures = [
        (
            f'{names[truth[place]]}, classified as {names[guessed[place]]} with a score of {scores[place].max():.2f}',
            as_data_url(_shown_image(tested.dataset.get_data_info(place), reader), IMAGE_SIDE),
        )
        for place in wrong
    ]
    yield Section('Mistakes with the highest scores', pictures=pictures)


def _shown_image(sample: dict, images: ChannelReader | None) -> np.ndarray:
    """The image, or the middle frame of a clip."""
    if 'img_path' in sample and images is not None:
        return visible(images.read(sample['img_path'], as_displayed=False))
    if 'img_path' in sample:
        with open_image(sample['img_path']) as image:
            return rgb_pixels(image, sample['img_path'])
    reader: FrameReader = sample.get('video_reader') or open_video(sample['filename'])
    return reader.frames([len(reader) // 2])[0]
