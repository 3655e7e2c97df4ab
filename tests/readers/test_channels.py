"""Images of any number of channels."""

import struct
import zlib
from io import BytesIO

from hiera_mm.errors import BrokenFileError, UnclearFileError, UserError
from hiera_mm.readers.channels import ChannelReader, channel_reader, decode_channels, is_pattern, visible
from hiera_mm.readers.images import read_image_header, turned
from hiera_mm.readers.tiff import refuse_more_bands, tiff_header

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

HEIGHT, WIDTH = 6, 9
TYPES = ('uint8', 'uint16', 'int16', 'int32', 'float16', 'float32', 'float64')


def drawn(channels, dtype='uint8', seed=0):
    random = np.random.default_rng(seed)
    if np.dtype(dtype).kind == 'f':
        return random.normal(0, 100, (HEIGHT, WIDTH, channels)).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(max(limits.min, -(2**20)), min(limits.max, 2**20) + 1, (HEIGHT, WIDTH, channels), dtype)


def content(image, file_format, **options):
    file = BytesIO()
    image.save(file, format=file_format, **options)
    return file.getvalue()


def tiff(pixels, **options):
    file = BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


@pytest.mark.parametrize('file_format', ['PNG', 'TIFF', 'WEBP', 'JPEG2000'])
@pytest.mark.parametrize('mode, channels', [('L', 1), ('LA', 2), ('RGB', 3), ('RGBA', 4)])
def test_channels_of_bytes_are_those_of_the_file(file_format, mode, channels):
    if file_format == 'WEBP' and channels < 3:
        pytest.skip('WebP stores colours')
    if file_format == 'JPEG2000' and channels == 2:
        pytest.skip("Pillow's writer has no such form")
    pixels = drawn(channels)
    if file_format == 'WEBP' and channels == 4:
        # Colours under full transparency are not stored.
        pixels[..., 3] = np.maximum(pixels[..., 3], 1)
    options = dict(lossless=True) if file_format == 'WEBP' else {}
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode)
    found = decode_channels(content(image, file_format, **options), 'image')
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize('channels', [1, 3, 4])
def test_sixteen_bits_are_kept_in_png_files(channels):
    pixels = drawn(channels, 'uint16')
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    written = cv2.imencode('.png', pixels[..., order])[1].tobytes()
    found = decode_channels(written, 'image')
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize('dtype', TYPES)
@pytest.mark.parametrize('channels', [1, 2, 3, 4, 5, 13])
@pytest.mark.parametrize('stored', ['samples', 'planes', 'pages'])
def test_a_tiff_file_has_its_channels_however_they_are_stored(dtype, channels, stored):
    pixels = drawn(channels, dtype)
    if channels == 1:
        written = tiff(pixels[..., 0], photometric='minisblack')
    elif stored == 'samples':
        written = tiff(pixels, photometric='minisblack', planarconfig='contig')
    elif stored == 'planes':
        written = tiff(pixels.transpose(2, 0, 1), photometric='minisblack', planarconfig='separate')
    else:
        written = tiff(pixels.transpose(2, 0, 1), photometric='minisblack', metadata=None)
    found = decode_channels(written, 'image')
    assert found.dtype == (np.uint8 if dtype == 'uint8' else np.float32)
    np.testing.assert_array_equal(found, pixels.astype(found.dtype))


@pytest.mark.parametrize(
    'options',
    [
        dict(bigtiff=True),
        dict(byteorder='>'),
        dict(tile=(16, 16)),
        dict(rowsperstrip=1),
        dict(compression='zlib'),
        dict(compression='zlib', predictor=True),
        dict(compression='lzw'),
        dict(compression='zstd'),
        dict(extrasamples=['unassalpha'], photometric='rgb'),
        dict(extrasamples=['unspecified'], photometric='rgb'),
        dict(subifds=1),
    ],
    ids=str,
)
def test_forms_of_tiff_files(options):
    pixels = drawn(4, 'uint16')
    options = dict(photometric='minisblack', planarconfig='contig') | options
    file = BytesIO()
    of_file = {key: options.pop(key) for key in ('bigtiff', 'byteorder') if key in options}
    with tifffile.TiffWriter(file, **of_file) as to:
        to.write(pixels, **options)
        for _ in range(options.get('subifds', 0)):
            # A smaller copy, as maps have them.
            to.write(pixels[::2, ::2], photometric='minisblack', planarconfig='contig', subfiletype=1)
    np.testing.assert_array_equal(decode_channels(file.getvalue(), 'image'), pixels)


def test_a_preview_behind_the_image_is_no_channel():
    file, pixels = BytesIO(), drawn(3)
    with tifffile.TiffWriter(file) as to:
        to.write(pixels, photometric='rgb')
        to.write(pixels[::2, ::2], photometric='rgb', subfiletype=1)
    np.testing.assert_array_equal(decode_channels(file.getvalue(), 'image'), pixels)


def test_white_as_zero_and_palettes():
    grey = drawn(1)
    np.testing.assert_array_equal(decode_channels(tiff(grey[..., 0], photometric='miniswhite'), 'image'), 255 - grey)
    colours = np.random.default_rng(1).integers(0, 256, (256, 3)).astype(np.uint8)
    written = tiff(grey[..., 0], photometric='palette', colormap=colours.T.astype(np.uint16) * 257)
    np.testing.assert_array_equal(decode_channels(written, 'image'), colours[grey[..., 0]])
    image = Image.fromarray(grey[..., 0], 'P')
    image.putpalette(colours.tobytes())
    np.testing.assert_array_equal(decode_channels(content(image, 'PNG'), 'image'), colours[grey[..., 0]])
    bits = Image.fromarray(grey[..., 0] > 100)
    np.testing.assert_array_equal(decode_channels(content(bits, 'PNG'), 'image')[..., 0], (grey[..., 0] > 100) * 255)


@pytest.mark.parametrize('file_format', ['PNG', 'TIFF'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_an_image_is_turned_as_it_is_displayed_or_not(file_format, orientation):
    pixels = drawn(4)
    if file_format == 'TIFF':
        tags = [(274, 'H', 1, orientation, True)]
        written = tiff(pixels, photometric='minisblack', planarconfig='contig', extratags=tags)
    else:
        exif = Image.Exif()
        exif[274] = orientation
        written = content(Image.fromarray(pixels), 'PNG', exif=exif)
    np.testing.assert_array_equal(decode_channels(written, 'image'), turned(pixels, orientation))
    np.testing.assert_array_equal(decode_channels(written, 'image', as_displayed=False), pixels)


@pytest.mark.parametrize(
    'written, error, part',
    [
        (b'', BrokenFileError, "'image' can't be decoded"),
        (b'no image at all', BrokenFileError, 'none of the image formats'),
        (b'II*\0 no more', BrokenFileError, "'image' can't be decoded"),
        (tiff(drawn(5))[:60], BrokenFileError, "'image' can't be decoded"),
        (tiff(np.full((4, 4, 2), np.nan)), UnclearFileError, 'not finite'),
        (tiff(np.full((4, 4, 2), np.inf, np.float32)), UnclearFileError, 'not finite'),
        (tiff(np.ones((4, 4), np.complex64)), UnclearFileError, 'complex64'),
        (tiff(np.zeros((3, 4, 5), np.uint8), imagej=True, metadata=dict(axes='ZYX')), UnclearFileError, 'along depth'),
        (tiff(np.zeros((3, 4, 5), np.uint8), imagej=True, metadata=dict(axes='TYX')), UnclearFileError, 'along time'),
    ],
)
def test_what_is_no_image_of_channels_is_a_sentence(written, error, part):
    with pytest.raises(error, match=part) as raised:
        decode_channels(written, 'image')
    assert str(raised.value).endswith('.') and '\n' not in str(raised.value)


def test_a_stack_of_channels_is_read():
    stack = np.random.default_rng(0).integers(0, 255, (5, 6, 7)).astype(np.uint8)
    written = tiff(stack, imagej=True, metadata=dict(axes='CYX'))
    np.testing.assert_array_equal(decode_channels(written, 'image'), stack.transpose(1, 2, 0))


FILES = [
    (('rgb/*.png', 'depth/*.png'), 'set/rgb/a/1.png', 'set/depth/a/1.png'),
    (('rgb/*.png', 'depth/*.png'), 'rgb/set/rgb/1.png', 'rgb/set/depth/1.png'),
    (('rgb/*_c.jpg', 'depth/*_d.png'), 'rgb/1_c.jpg', 'depth/1_d.png'),
    (('*_B02.tif', '*_B03.tif'), 'x/scene_B02.tif', 'x/scene_B03.tif'),
    (('*_B02.tif', '*_B03.tif'), 'x_B02/a_B02.tif', 'x_B02/a_B03.tif'),
    (('B02_*.tif', 'B03_*.tif'), 'x/B02_scene.tif', 'x/B03_scene.tif'),
    (('train/B02/*.tif', 'train/B03/*.tif'), '/data/train/B02/1.tif', '/data/train/B03/1.tif'),
    (('*.a.png', '*.b.png'), '1.a.png', '1.b.png'),
]


@pytest.mark.parametrize('files, first, second', FILES)
def test_the_files_of_an_image_are_found_by_the_first(files, first, second):
    reader = ChannelReader(2, files)
    assert reader.is_first(first) and reader.paths_of(first) == [first, second]
    if reader.is_first(second):
        # A folder of the one kind inside one of the other.
        assert first.startswith('rgb/')
        return
    with pytest.raises(UserError, match='not of the form'):
        reader.paths_of(second)


@pytest.mark.parametrize('path', ['myrgb/1.png', 'rgb/1.jpg', 'rgb/.png', 'depth/1.png', '1.png', 'rgb1.png'])
def test_another_path_is_no_first_file(path):
    assert not ChannelReader(4, ('rgb/*.png', 'depth/*.png')).is_first(path)


@pytest.mark.parametrize(
    'files',
    [
        [],
        ['a/*.png'],
        ['a/*.png', 'a/*.png'],
        ['a/*.png', 'b/1.png'],
        ['a/*.png', '*/*.png'],
        ['a/*.png', '../b/*.png'],
        ['a/*.png', '/etc/*.png'],
        ['a/*.png', 'https://b/*.png'],
    ],
)
def test_other_patterns_are_refused(files):
    with pytest.raises(UserError, match='channel_files'):
        ChannelReader(4, files)


def test_patterns_stay_below_the_images_folder():
    assert is_pattern('a/*.png') and not any(map(is_pattern, ('../*.png', 'a/../../*.png', '/*.png', 'c:/*.png')))


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), 'PNG'))


def test_channels_of_several_files_follow_one_another(tmp_path):
    colour, depth = drawn(3), drawn(1, 'uint16', 1)
    save(tmp_path / 'rgb' / '1.png', colour)
    (tmp_path / 'depth').mkdir()
    cv2.imwrite(str(tmp_path / 'depth' / '1.png'), depth)
    reader = ChannelReader(4, ('rgb/*.png', 'depth/*.png'))
    found = reader.read(tmp_path / 'rgb' / '1.png')
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.concatenate([colour, depth], axis=2))


def test_files_that_do_not_belong_together_are_sentences(tmp_path):
    reader = ChannelReader(4, ('rgb/*.png', 'depth/*.png'))
    save(tmp_path / 'rgb' / '1.png', drawn(3))
    with pytest.raises(BrokenFileError, match=r"depth/1\.png', which channel_files names .* is missing"):
        reader.read(tmp_path / 'rgb' / '1.png')
    save(tmp_path / 'depth' / '1.png', drawn(1)[:, :-1])
    with pytest.raises(UserError, match=r'depth/1\.png. has 8 x 6 pixels .* 9 x 6'):
        reader.read(tmp_path / 'rgb' / '1.png')
    save(tmp_path / 'depth' / '1.png', drawn(3))
    with pytest.raises(UserError, match=r'has 6 channels .3 in .*rgb.*, 3 in .*, but the config says channels = 4'):
        reader.read(tmp_path / 'rgb' / '1.png')


def test_three_channels_in_one_file_need_no_reader():
    assert channel_reader(3, None) is None
    assert channel_reader(4, None).count == 4 and channel_reader(3, ('a/*.png', 'b/*.png')).files


@pytest.mark.parametrize('channels', [1, 2, 3, 4, 7])
@pytest.mark.parametrize('dtype', ['uint8', 'float32'])
def test_what_is_visible_of_channels(channels, dtype):
    pixels = drawn(channels, dtype)
    shown = visible(pixels)
    assert shown.shape == (HEIGHT, WIDTH, 3) and shown.dtype == np.uint8
    if dtype == 'uint8':
        np.testing.assert_array_equal(shown, pixels[..., :3] if channels > 2 else pixels[..., [0, 0, 0]])
    else:
        assert shown.min() == 0 and shown.max() == 255
    assert visible(np.zeros((4, 4, 5), np.float32)).max() == 0


@pytest.mark.parametrize('channels', [1, 2, 5])
def test_headers_of_files_that_pillow_cannot_read(tmp_path, channels):
    path = tmp_path / 'image.tif'
    pixels = drawn(channels, 'float64')
    more = dict(planarconfig='contig') if channels > 1 else {}
    path.write_bytes(tiff(pixels[..., 0] if channels == 1 else pixels, photometric='minisblack', **more))
    header = read_image_header(path)
    assert (header.width, header.height, header.orientation, header.deep) == (WIDTH, HEIGHT, 1, True)


@pytest.mark.parametrize('path', ['rgb/1.JPG', 'rgb/a.b/1.Jpg'])
def test_endings_are_known_in_any_case(path):
    assert ChannelReader(4, ('rgb/*.jpg', 'depth/*.png')).is_first(path)
    assert not ChannelReader(4, ('rgb/*.jpg', 'depth/*.png')).is_first(path.replace('rgb', 'RGB'))


def test_the_form_that_says_most_is_that_of_a_file():
    reader = ChannelReader(4, ('*.png', '*_nir.png'))
    assert reader.is_first('a.png') and not reader.is_first('a_nir.png')
    assert reader.paths_of('x/a.png') == ['x/a.png', 'x/a_nir.png']
    with pytest.raises(UserError, match='not of the form'):
        reader.paths_of('x/a_nir.png')


def test_files_of_no_form_are_refused():
    reader = ChannelReader(4, ('rgb/*.jpg', 'depth/*.png'))
    reader.check_all_fit(['rgb/1.jpg', 'depth/1.png'])
    with pytest.raises(UserError, match=r'2 \(rgb/1.jpeg, rgb/2.png\) of the images are of none of the forms'):
        reader.check_all_fit(['rgb/1.jpg', 'rgb/1.jpeg', 'rgb/2.png'])


def test_relative_paths_are_known_inside_the_folder_of_a_form(tmp_path, monkeypatch):
    save(tmp_path / 'rgb' / 'val' / '1.png', drawn(3))
    save(tmp_path / 'depth' / 'val' / '1.png', drawn(1, seed=1))
    monkeypatch.chdir(tmp_path / 'rgb' / 'val')
    found = ChannelReader(4, ('rgb/*.png', 'depth/*.png')).read('1.png')
    np.testing.assert_array_equal(found, np.dstack([drawn(3), drawn(1, seed=1)]))


def test_files_that_exif_turns_differently_do_not_fit_together(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    pixels = np.zeros((8, 8, 3), np.uint8)
    (tmp_path / 'rgb').mkdir()
    Image.fromarray(pixels).save(tmp_path / 'rgb' / '1.png', exif=exif)
    save(tmp_path / 'depth' / '1.png', pixels[..., :1])
    with pytest.raises(UnclearFileError, match='EXIF turns some files'):
        ChannelReader(4, ('rgb/*.png', 'depth/*.png')).read(tmp_path / 'rgb' / '1.png')


def test_grey_and_transparency_of_16_bits_are_two_channels(tmp_path):
    pixels = drawn(2, 'uint16')
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in pixels)
    header = struct.pack('>IIBBBBB', WIDTH, HEIGHT, 16, 4, 0, 0, 0)
    chunks = [(b'IHDR', header), (b'IDAT', zlib.compress(rows)), (b'IEND', b'')]
    written = b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data)) for name, data in chunks
    )
    np.testing.assert_array_equal(decode_channels(written, 'image'), pixels)


def test_pages_of_several_kinds_are_unclear_and_a_thumbnail_is_none():
    for first, second in (('uint16', 'uint8'), ('uint8', 'float32')):
        file = BytesIO()
        with tifffile.TiffWriter(file) as to:
            for dtype in (first, second):
                to.write(drawn(1, dtype)[..., 0], photometric='minisblack', contiguous=False)
        with pytest.raises(UnclearFileError, match=f'several kinds .*{first}'):
            decode_channels(file.getvalue(), 'image')
    file, pixels = BytesIO(), drawn(5)
    with tifffile.TiffWriter(file) as to:
        to.write(pixels[::2, ::2], photometric='minisblack', planarconfig='contig')
        to.write(pixels, photometric='minisblack', planarconfig='contig')
    np.testing.assert_array_equal(decode_channels(file.getvalue(), 'image'), pixels)


def test_codes_of_colours_become_colours_and_bits_keep_their_sense():
    image = Image.fromarray(drawn(3)).convert('CMYK')
    np.testing.assert_array_equal(decode_channels(content(image, 'TIFF'), 'image'), np.asarray(image.convert('RGB')))
    bits = drawn(1)[..., 0] > 100
    written = tiff(bits, photometric='miniswhite')
    np.testing.assert_array_equal(decode_channels(written, 'image')[..., 0], np.where(bits, 0, 255))


def unclear(kind):
    """A TIFF file that is not one image of certain channels."""
    file = BytesIO()
    with tifffile.TiffWriter(file, imagej=kind in ('depth', 'time')) as to:
        if kind in ('depth', 'time'):
            stack = np.stack([drawn(1)[..., 0]] * 4)
            to.write(stack, metadata=dict(axes='ZYX' if kind == 'depth' else 'TYX'))
        else:
            # Of the same size, but in other kinds of number, or stored in another way.
            for dtype, compression in dict(
                kinds=[('uint16', None), ('uint8', None)], storage=[('uint8', None), ('uint8', 'zlib')]
            )[kind]:
                to.write(drawn(1, dtype)[..., 0], photometric='minisblack', contiguous=False, compression=compression)
    return file.getvalue()


@pytest.mark.parametrize(
    'kind, words',
    [
        ('kinds', 'numbers of several kinds'),
        ('storage', 'pages that are stored differently'),
        ('depth', 'stack of 4 images along depth'),
        ('time', 'stack of 4 images along time'),
    ],
)
@pytest.mark.parametrize('of_colours', [False, True])
def test_what_is_unclear_is_refused_by_every_reader_in_the_same_words(tmp_path, kind, words, of_colours):
    path = tmp_path / 'image.tif'
    path.write_bytes(unclear(kind))
    with pytest.raises(UnclearFileError, match=words):
        if of_colours:
            refuse_more_bands(path, path)
        else:
            decode_channels(path.read_bytes(), path)
    assert tiff_header(path) is None


@pytest.mark.parametrize('channels, refused', [(1, False), (3, False), (4, True), (5, True)])
def test_without_tifffile_further_channels_and_pages_are_refused_as_well(tmp_path, monkeypatch, channels, refused):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    path = tmp_path / 'image.tif'
    photometric = 'rgb' if channels >= 3 else 'minisblack'
    extra = dict(extrasamples=[0] * (channels - 3)) if channels > 3 else {}
    tifffile.imwrite(
        path,
        drawn(channels).squeeze(),
        photometric=photometric,
        planarconfig='contig' if channels > 1 else None,
        **extra,
    )
    if not refused:
        refuse_more_bands(path, path)
        return
    with pytest.raises(UserError, match="can't be told without tifffile: pip install 'hiera_mm\\[tiff\\]'"):
        refuse_more_bands(path, path)


def test_without_tifffile_several_pages_are_refused_and_other_files_are_none_of_its_business(tmp_path, monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    pages = [Image.fromarray(drawn(3)) for _ in range(2)]
    pages[0].save(tmp_path / 'pages.tif', save_all=True, append_images=pages[1:])
    with pytest.raises(UserError, match='further pages or channels'):
        refuse_more_bands(tmp_path / 'pages.tif', 'pages.tif')
    pages[0].save(tmp_path / 'image.png')
    (tmp_path / 'broken.tif').write_bytes(b'II*\0' + b'broken')
    for name in ('image.png', 'broken.tif'):
        refuse_more_bands(tmp_path / name, name)
