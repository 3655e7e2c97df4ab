"""Images that show the same, among others."""

import io

from hiera_mm.readers.thumbnails import directions, near_duplicates, packed, thumbnail, unpacked

import numpy as np
import pytest
from PIL import Image, ImageEnhance


def jpeg(image):
    file = io.BytesIO()
    image.save(file, 'JPEG', quality=40)
    return Image.open(file).convert('RGB')


def cut(image, share):
    width, height = image.size
    return image.crop((int(width * share), int(height * share), int(width * (1 - share)), int(height * (1 - share))))


SAME = dict(
    unchanged=lambda image: image,
    jpeg=jpeg,
    smaller=lambda image: image.resize((image.width * 2 // 3, image.height * 2 // 3)),
    stretched=lambda image: image.resize((300, 300)),
    brighter=lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    darker=lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    contrast=lambda image: ImageEnhance.Contrast(image).enhance(1.2),
    edge=lambda image: cut(image, 0.01),
)
OTHER = dict(
    turned=lambda image: image.transpose(Image.Transpose.ROTATE_180),
    mirrored=lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    half=lambda image: image.crop((0, 0, image.width // 2, image.height)),
    one_colour=lambda image: Image.new('RGB', image.size, (90, 90, 90)),
)


@pytest.fixture(scope='module')
def images(coco_photographs, shapes):
    paths = [*sorted((coco_photographs / 'JPEGImages').iterdir()), *sorted((shapes / 'val').iterdir())[:2]]
    return [Image.open(path).convert('RGB') for path in paths]


def vectors(images):
    return directions(np.stack([thumbnail(np.asarray(image)) for image in images]))


@pytest.mark.parametrize('change', SAME)
def test_a_changed_copy_is_found_and_no_other_image(images, change):
    changed = vectors([SAME[change](image) for image in images])
    assert [*near_duplicates(changed, vectors(images))] == [(place, place) for place in range(len(images))]


@pytest.mark.parametrize('change', OTHER)
def test_an_image_that_shows_something_else_is_none(images, change):
    assert not [*near_duplicates(vectors([OTHER[change](image) for image in images]), vectors(images))]


@pytest.mark.parametrize('colour, repeats', [((90, 90, 90), True), ((80, 90, 99), True), ((200, 0, 0), False)])
def test_images_of_one_colour_repeat_those_of_the_same_colour(colour, repeats):
    grey, other = Image.new('RGB', (40, 30), (90, 90, 90)), Image.new('RGB', (20, 30), colour)
    assert [*near_duplicates(vectors([grey]), vectors([other]))] == ([(0, 0)] if repeats else [])


def test_without_others_nothing_is_repeated(images):
    assert not [*near_duplicates(vectors(images), vectors(images)[:0])]


def test_thumbnails_come_back_from_text(images):
    small = [thumbnail(np.asarray(image)) for image in images]
    np.testing.assert_array_equal(unpacked(packed(small)), np.stack(small))
    assert unpacked([]).shape == (0, 16, 16, 3)
