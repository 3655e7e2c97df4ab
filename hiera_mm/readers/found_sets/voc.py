"""Finds the parts of a set in Pascal VOC's format: an XML file for each image, and lists of the parts."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from hiera_mm.errors import UserError, examples, first_few
from hiera_mm.readers.found_sets.coco_writer import FoundObject
from hiera_mm.readers.found_sets.conversion import Labels
from hiera_mm.readers.found_sets.folder import PARTS, WORDS, Folder, part_named_in, parts_by_folder
from hiera_mm.readers.images import ImageHeader
from hiera_mm.readers.text import read_text

MASK_FOLDERS = ('segmentationclass', 'segmentationobject', 'segmentationclasspng', 'segmentationclassraw', 'masks')

WHOLE = ('trainval', 'default', 'all')
"""Names of lists that don't tell training from validation: VOC's own, and CVAT's."""

DIFFICULT = 'of the label files have objects marked difficult: neither trained nor scored, as in Pascal VOC.'
REVERSED = 'of the label files have boxes whose xmin or ymin is the larger one; the corners are put in order.'


class VocLayout:
    """Images and their XML files; attributes as of :class:`~hiera_mm.readers.found_sets.conversion.Layout`."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.classes: list[str] = []
        labels = folder.with_ending('.xml')
        images = self._images()
        if not labels or not images:
            raise UserError(
                f"'{folder.root}' is not in Pascal VOC's format: it holds no images with XML files, neither in "
                'Annotations and JPEGImages, nor in folders such as train and valid.'
            )
        self.parts: dict[str | None, dict[Path, Path | None]] = {}
        self.labels = self._matched(labels, images)
        lists = self._lists()
        if lists:
            self.parts |= {part: self._listed(path, images) for part, path in lists.items()}
            if _part_of_list(lists.get('train', Path('train')).stem) == 'whole':
                # trainval.txt holds the other lists' images as well.
                apart = {image for part, found in self.parts.items() if part != 'train' for image in found}
                self.parts['train'] = {i: label for i, label in self.parts['train'].items() if i not in apart}
        else:
            parts = parts_by_folder(folder, list(self.labels))
            self.parts = {part: {image: self.labels[image] for image in found} for part, found in parts.items()}

    def read(self, label: Path, image: Path, header: ImageHeader) -> Labels:
        tree = _parsed(label)
        entries = [entry for entry in tree.findall('object') if not _is_set(entry, 'deleted')]
        return Labels([_object(entry, label, self.folder) for entry in entries], _size(tree))

    def _images(self) -> list[Path]:
        images = []
        for image in self.folder.images:
            if {part.lower() for part in image.relative_to(self.folder.root).parts} & set(MASK_FOLDERS):
                self.folder.leave_out(image, 'are masks, which are not read')
            else:
                images.append(image)
        return images

    def _matched(self, labels: Sequence[Path], images: Sequence[Path]) -> dict[Path, Path | None]:
        """The label file of each image that has one."""
        by_stem = defaultdict(list)
        by_name = defaultdict(list)
        for image in images:
            by_stem[image.stem].append(image)
            by_name[image.name].append(image)
        matched: dict[Path, Path | None] = {}
        for label in labels:
            # XML of other kinds, such as settings of an editor.
            tree = _parsed(label)
            if tree.tag != 'annotation':
                self.folder.leave_out(label, 'are XML files without an annotation')
                continue
            named = Path((tree.findtext('filename') or '').strip().replace('\\', '/')).name
            found = by_stem.get(label.stem) or by_name.get(named) or by_stem.get(named, [])
            if len(found) > 1 and any(image.name == named for image in found):
                found = [image for image in found if image.name == named]
            nearest = _nearest(label, found, self.folder.root)
            if nearest is None:
                self.folder.leave_out(label, 'have no image')
            elif nearest in matched:
                raise UserError(f"'{label}' and '{matched[nearest]}' annotate the same image '{nearest}'; remove one.")
            else:
                matched[nearest] = label
        for image in images:
            if image not in matched:
                self.folder.leave_out(image, 'have no XML file')
        if not matched:
            raise UserError(
                f"No XML file in '{self.folder.root}' has the name of an image ({first_few(list(labels))}); name each "
                'one like its image.'
            )
        return matched

    def _lists(self) -> dict[str, Path]:
        """The list of each part in ImageSets."""
        lists: dict[str, Path] = {}
        for path in self.folder.with_ending('.txt'):
            if 'imagesets' not in (part.lower() for part in path.relative_to(self.folder.root).parts):
                continue
            if path.parent.name.lower() not in ('main', 'imagesets'):
                self.folder.leave_out(path, 'are lists of another task')
                continue
            part = _part_of_list(path.stem)
            if part is None:
                self.folder.leave_out(path, 'list a class or another selection')
            elif part in lists:
                raise UserError(f"'{lists[part]}' and '{path}' could both be the list of one part; remove one.")
            else:
                lists[part] = path
        whole = lists.pop('whole', None)
        if whole is not None and 'train' not in lists:
            lists['train'] = whole
        elif whole is not None:
            own, others = ({*_lines(path)} for path in (whole, lists['train']))
            others.update(line for path in lists.values() for line in _lines(path))
            more = own - others
            self.folder.leave_out(
                whole,
                f'name {len(more)} images that no list of a part names' if more else 'repeat what other lists name',
            )
        return lists

    def _listed(self, path: Path, images: Sequence[Path]) -> dict[Path, Path | None]:
        self.folder.use(path, _part_of_list(path.stem) or 'all')
        known = _names_of(images, self.folder.root)
        found, missing = {}, []
        for line in _lines(path):
            # Lists of a class have 1, 0 or -1 behind each name.
            named = known.get(line) or known.get(re.sub(r'\s+-?[01]$', '', line), [])
            image = _of_part(named, path, self.folder.root, line)
            if image is None:
                missing.append(line)
            elif image in self.labels:
                found[image] = self.labels[image]
        if missing:
            raise UserError(
                f"The list '{path}' names images that are not in '{self.folder.root}': {examples(missing)}; put them "
                'there, or take them out of the list.'
            )
        return found


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in read_text(path, 'list of images').splitlines() if line.strip()]


def _part_of_list(stem: str) -> str | None:
    """``'train'``, ``'val'``, ``'test'``, ``'whole'``, or None for another list, such as that of a class."""
    name = stem.lower()
    if name in WHOLE:
        return 'whole'
    return next((part for part in PARTS if re.sub(r'\d+$', '', name) in WORDS[part]), None)


def _nearest(label: Path, images: Sequence[Path], root: Path) -> Path | None:
    """Among images of a label file's name, the one beside it, or of the same part, or the only one."""
    part = part_named_in(label, root)
    images = [image for image in images if part is None or part_named_in(image, root) in (None, part)]
    if len(images) < 2:
        return images[0] if images else None
    for near in (
        [image for image in images if _inner(image, root) == _inner(label, root)],
        [image for image in images if image.parent == label.parent],
        [image for image in images if image.parent.parent == label.parent.parent],
        [image for image in images if part_named_in(image, root) == part_named_in(label, root)],
    ):
        if len(near) == 1:
            return near[0]
    raise UserError(f"'{label}' could annotate each of {examples(images)}; give the images different names.")


def _inner(path: Path, root: Path) -> tuple[str, ...]:
    """The folders around a file below the first one: images/a/b/1.jpg and annotations/a/b/1.xml are alike."""
    return path.relative_to(root).parts[1:-1]


def _names_of(images: Sequence[Path], root: Path) -> Mapping[str, list[Path]]:
    """Images by the names that a list may give them: with and without folders and ending."""
    known: dict[str, list[Path]] = defaultdict(list)
    for image in images:
        inner = image.relative_to(root)
        names = {Path(*inner.parts[first:]) for first in range(len(inner.parts))}
        for name in {name.as_posix() for path in names for name in (path, path.with_suffix(''))}:
            known[name].append(image)
    return known


def _of_part(images: Sequence[Path], path: Path, root: Path, line: str) -> Path | None:
    """Among images of a listed name, the only one, or that of the list's part."""
    if len(images) > 1:
        images = [image for image in images if part_named_in(image, root) == _part_of_list(path.stem)]
        if len(images) != 1:
            raise UserError(
                f"The list '{path}' names '{line}', which could be several images; write their folders too."
            )
    return images[0] if images else None


def _parsed(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(path.read_bytes())
    except (ElementTree.ParseError, ValueError) as error:
        raise UserError(f"The label file '{path}' is not valid XML: {error}; correct or remove it.") from error


def _size(tree: ElementTree.Element) -> tuple[int, int] | None:
    sides = [tree.findtext(f'size/{side}') for side in ('width', 'height')]
    try:
        width, height = (int(float(side or 0)) for side in sides)
    except ValueError:
        return None
    return (width, height) if width > 0 and height > 0 else None


def _object(entry: ElementTree.Element, label: Path, folder: Folder) -> FoundObject:
    name = ' '.join((entry.findtext('name') or '').split())
    if not name:
        raise UserError(f"The label file '{label}' has an object without a name; add it.")
    polygon = _polygon(entry)
    try:
        corners = [float(entry.findtext(f'bndbox/{side}') or '') for side in ('xmin', 'ymin', 'xmax', 'ymax')]
    except ValueError:
        if not polygon:
            raise UserError(
                f"The label file '{label}' has an object '{name}' without the numbers xmin, ymin, xmax and ymax in "
                'bndbox; correct it.'
            ) from None
        corners = [min(polygon[0::2]), min(polygon[1::2]), max(polygon[0::2]), max(polygon[1::2])]
    if not all(map(math.isfinite, corners)):
        raise UserError(f"The label file '{label}' has an object '{name}' with the box {corners}; correct it.")
    (x1, x2), (y1, y2) = sorted(corners[0::2]), sorted(corners[1::2])
    if [x1, y1, x2, y2] != corners:
        folder.note(REVERSED, label.name)
    ignored = _is_set(entry, 'difficult')
    if ignored:
        folder.note(DIFFICULT, label.name)
    # Pascal VOC counts pixels from 1 and includes the last one; polygons have points.
    shifted = [[value - 1 for value in polygon]] if polygon else []
    return FoundObject(name, (x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1), shifted, ignored)


def _is_set(entry: ElementTree.Element, name: str) -> bool:
    """Whether a mark of an object is set, as 1, true or yes."""
    text = (entry.findtext(name) or '').strip().lower()
    return text in ('true', 'yes') or (text.isdigit() and int(text) > 0)


def _polygon(entry: ElementTree.Element) -> list[float]:
    """The points ``x, y, x, y, ...`` of a polygon as Roboflow and LabelMe's web page write it; empty without one."""
    node = entry.find('polygon')
    if node is None:
        return []
    try:
        if node.find('pt') is not None:
            points = [(point.findtext('x') or '', point.findtext('y') or '') for point in node.findall('pt')]
        else:
            count = sum(1 for child in node if re.fullmatch(r'x\d+', child.tag))
            points = [(node.findtext(f'x{i}') or '', node.findtext(f'y{i}') or '') for i in range(1, count + 1)]
        values = [float(value) for point in points for value in point]
    except ValueError:
        return []
    return values if len(values) >= 6 else []
