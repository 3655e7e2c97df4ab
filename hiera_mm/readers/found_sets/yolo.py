"""Finds the parts of a set in YOLO's format: Ultralytics' ``data.yaml``, Darknet's ``obj.data``, or ``classes.txt``."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from hiera_mm.errors import UserError, examples, first_few
from hiera_mm.readers.found_sets.coco_writer import FoundObject
from hiera_mm.readers.found_sets.conversion import Labels
from hiera_mm.readers.found_sets.folder import PARTS, WORDS, Folder, parts_by_folder, tails
from hiera_mm.readers.found_sets.yolo_labels import read_yolo_labels
from hiera_mm.readers.images import ENDINGS as IMAGE_ENDINGS
from hiera_mm.readers.images import ImageHeader
from hiera_mm.readers.text import read_text

import yaml

CLASS_FILES = ('classes.txt', 'obj.names')

SHARED = 'of the images share their label file with an image of the same name and another ending.'
NO_LABELS = "of the images have no label file; they are taken as images without objects, as YOLO's programs do."


class YoloLayout:
    """Images and their label files.

    Attributes:
        classes, parts: As of :class:`~hiera_mm.readers.found_sets.conversion.Layout`.
        oriented: Whether every object has four corners, as oriented boxes do.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.settings_file = _settings_file(folder)
        folder.use(self.settings_file, 'all')
        settings = _settings(self.settings_file)
        names_file = _names_file(settings, self.settings_file)
        if names_file is not None:
            folder.use(names_file, 'all')
        self.names = _names(settings.get('names'), names_file or self.settings_file)
        self.classes = [self.names[number] for number in sorted(self.names)]
        self.keypoints = _keypoints(settings, self.settings_file)
        self.parts: dict[str | None, dict[Path, Path | None]] = {}
        for part, images in self._images(settings).items():
            self.parts[part] = self._with_labels(images)
        self._corners: Counter[int] = Counter()

    @property
    def oriented(self) -> bool:
        return set(self._corners) == {4}

    def read(self, label: Path, image: Path, header: ImageHeader) -> Labels:
        size = (header.width, header.height)
        objects = read_yolo_labels(label, size, self.names, self.keypoints, self.folder)
        self._corners.update(_corner_count(found) for found in objects)
        return Labels(objects)

    def _images(self, settings: Mapping) -> dict[str | None, list[Path]]:
        """The images of each part, in the order in which they are named."""
        named: dict[str, object] = {}
        for part in PARTS:
            keys = [key for key in settings if key.lower() in WORDS[part] and not _is_absent(settings[key])]
            if len(keys) > 1:
                raise UserError(f"'{self.settings_file}' names a part twice, as {' and '.join(keys)}; remove one.")
            if keys:
                named[part] = settings[keys[0]]
        places = {part: self._places(given, settings, part) for part, given in named.items() if given}
        self._refuse_same(places, named)
        if places:
            return {part: self._images_in(found, part) for part, found in places.items()}
        lists = {
            part: [path]
            for path in self.folder.files
            for part in PARTS
            if path.parent == self.settings_file.parent and path.name.lower() in {f'{word}.txt' for word in WORDS[part]}
            if not any(image.stem == path.stem for image in self.folder.images)
        }
        if lists:
            return {part: self._images_in(found, part) for part, found in lists.items()}
        return parts_by_folder(self.folder, self.folder.images)

    def _places(self, given: object, settings: Mapping, part: str) -> list[Path]:
        """The folders and lists that are named for a part."""
        root = str(settings.get('path') or '')
        base = self.settings_file.parent
        bases = [base / root.replace('\\', '/'), base, Path(root)]
        return [self._place(str(text), bases, part) for text in (given if isinstance(given, list) else [given])]

    def _place(self, text: str, bases: list[Path], part: str) -> Path:
        plain = text.replace('\\', '/')
        # Roboflow writes ../train/images where the folder is beside the file.
        tried = [base / name for base in bases for name in (plain, plain.removeprefix('../'))]
        found = [Path(os.path.abspath(place)) for place in tried if _exists(place)]
        if plain.startswith('../') and len(set(found)) > 1:
            raise UserError(
                f"'{self.settings_file}' names '{text}' as {part}, which could be {examples(sorted(set(found)))}; "
                'correct the path.'
            )
        # By its end alone, a folder of images could be that of another part.
        found += [bases[1] / tail for tail in tails(text) if tail.lower() != 'images' and _exists(bases[1] / tail)]
        if found:
            return found[0]
        raise UserError(
            f"'{self.settings_file}' names '{text}' as {part}, which is not at {tried[0]}; correct the path."
        )

    def _refuse_same(self, places: Mapping[str, list[Path]], named: Mapping[str, object]) -> None:
        """Parts that are named differently, but were found at one place by the ends of their paths."""
        for first in places:
            for second in places:
                if first < second and named[first] != named[second] and set(places[first]) & set(places[second]):
                    raise UserError(
                        f"'{self.settings_file}' names different places for {first} and {second} "
                        f"({named[first]}, {named[second]}), of which only '{places[first][0]}' is there; correct the "
                        'paths.'
                    )

    def _images_in(self, places: Iterable[Path], part: str) -> list[Path]:
        found: dict[Path, None] = {}
        for place in places:
            if place.is_dir():
                inside = [path for path in self.folder.images if path.is_relative_to(place)]
                inside = inside or Folder(place).images
            elif place.name.lower().endswith(IMAGE_ENDINGS):
                inside = [place]
            else:
                inside = self._listed(place)
                self.folder.use(place, part)
            found.update(dict.fromkeys(inside))
        return list(found)

    def _listed(self, path: Path) -> list[Path]:
        """The images that a list names: absolute, or relative to the list, or with folders of another machine."""
        known = {image.relative_to(self.folder.root).as_posix(): image for image in self.folder.images}
        found: dict[Path, str] = {}
        missing: list[str] = []
        for line in read_text(path, 'list of images').splitlines():
            name = line.strip().strip('"')
            if not name:
                continue
            place = next((place for place in _line_places(name, path, self.folder, known) if place), None)
            if place is None:
                missing.append(name)
            elif found.setdefault(place, name) != name:
                raise UserError(
                    f"The list '{path}' names '{found[place]}' and '{name}', of which only '{place}' is there; put "
                    'both images there, or take one out of the list.'
                )
        if missing:
            raise UserError(
                f"The list '{path}' names images that are not there: {examples(missing)}; put them there, or take "
                'them out of the list.'
            )
        return list(found)

    def _with_labels(self, images: Iterable[Path]) -> dict[Path, Path | None]:
        labels = {image: self._label_of(image) for image in images}
        without = [image for image, label in labels.items() if label is None]
        if labels and len(without) == len(labels):
            raise UserError(
                f'None of {len(labels)} images, such as {first_few(without)}, has a label file; they are expected in a '
                "folder 'labels' beside 'images', or beside the images."
            )
        for image in without:
            self.folder.note(NO_LABELS, image.name)
        times = Counter(label for label in labels.values() if label is not None)
        for image, label in labels.items():
            if label is not None and times[label] > 1:
                self.folder.note(SHARED, image.name)
        return labels

    def _label_of(self, image: Path) -> Path | None:
        stem = os.path.splitext(image)[0]
        # Texts, since paths take most of the time of a large set.
        candidates = [f'{place}{ending}' for place in (*_twins(stem), stem) for ending in ('.txt', '.TXT')]
        places = [
            Path(place)
            for place in dict.fromkeys(candidates)
            if place in self.folder and os.path.basename(place).lower() not in CLASS_FILES
        ]
        for other in places[1:]:
            self.folder.leave_out(other, f"repeat the label files in '{places[0].parent.name}'")
        return places[0] if places else None


def _corner_count(found: FoundObject) -> int:
    return len(found.polygons[0]) // 2 if found.polygons else 0


def _twins(stem: str) -> list[str]:
    """Where the label file of an image may be, without ending: in a folder ``labels`` where the image's path has
    ``images``; the last such folder first."""
    parts = stem.split(os.sep)
    twins = []
    for i in range(len(parts) - 2, -1, -1):
        if parts[i].lower() == 'images':
            for name in dict.fromkeys([_in_same_capitals('labels', parts[i]), 'labels', 'Labels']):
                twins.append(os.sep.join([*parts[:i], name, *parts[i + 1 :]]))
    return twins


def _in_same_capitals(word: str, example: str) -> str:
    return word.upper() if example.isupper() else word.capitalize() if example[0].isupper() else word


def _is_absent(value: object) -> bool:
    """Whether a value of ``data.yaml`` says nothing."""
    return not value or value in ('~', 'null', 'Null', 'NULL', 'None')


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # A name that is too long.
        return False


def _line_places(name: str, path: Path, folder: Folder, known: Mapping[str, Path]) -> Iterable[Path | None]:
    """Where the image of a line may be, the likeliest first."""
    plain = name.replace('\\', '/')
    for base in (path.parent, folder.root):
        relative = os.path.normpath(os.path.join(os.path.relpath(base, folder.root), plain))
        yield known.get(Path(relative).as_posix())
    if os.path.isfile(plain):
        yield Path(plain)
    for tail in tails(name):
        for base in (path.parent, folder.root):
            yield known.get(Path(os.path.relpath(base / tail, folder.root)).as_posix())


def _settings_file(folder: Folder) -> Path:
    if folder.given.is_file():
        return folder.given
    kinds = [
        [path for path in folder.files if path.name.lower().endswith(kind) and describes_yolo(path)]
        for kind in (('.yaml', '.yml'), '.data', CLASS_FILES)
    ]
    kinds[0] = [path for path in kinds[0] if path.name.lower() in ('data.yaml', 'data.yml')] or kinds[0]
    for found in kinds:
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(
                f"'{folder.root}' has several files that describe a set ({first_few(found)}); name the one to use "
                f'instead of the folder: --yolo {found[0]}'
            )
    raise UserError(
        f"'{folder.root}' has no data.yaml, which in YOLO's format names the classes and the folders (nor Darknet's "
        'obj.data, nor classes.txt).'
    )


def describes_yolo(path: Path) -> bool:
    """Whether a file is a description of a set in YOLO's format, by its name or by its first words."""
    name = path.name.lower()
    if name in ('data.yaml', 'data.yml', *CLASS_FILES):
        return True
    if name.endswith(('.yaml', '.yml')):
        return re.search(rb'^names\s*:', path.read_bytes(), re.MULTILINE) is not None
    return name.endswith('.data') and re.search(rb'^\s*names\s*=', path.read_bytes(), re.MULTILINE) is not None


class _EachKeyOnce(yaml.BaseLoader):
    """Reads texts, lists and dicts, and refuses a key that stands twice, of which YAML would use the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [str(key.value) for key, _ in node.value]
        if repeated := sorted({key for key in keys if keys.count(key) > 1}):
            line = node.start_mark.line + 1
            raise yaml.YAMLError(f"'{repeated[0]}' stands twice in the block that begins in line {line}")
        return super().construct_mapping(node, deep)


def _parsed_yaml(path: Path) -> object:
    try:
        # Texts as they are written: in YAML, no, on and 007 are a truth value and a number.
        return yaml.load(read_text(path, 'description'), _EachKeyOnce)  # noqa: S506, makes texts only
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"'{path}' is not valid YAML: {str(error).splitlines()[0]}; correct it.") from error


def _settings(path: Path) -> dict:
    """What ``data.yaml`` or ``obj.data`` says; a list of classes says only its own name."""
    if path.name.lower().endswith(('.yaml', '.yml')):
        content = _parsed_yaml(path)
        named = isinstance(content, dict) and any(key in words for key in content for words in WORDS.values())
        if not isinstance(content, dict) or 'names' not in content or not named:
            raise UserError(f"'{path}' is not a data.yaml in YOLO's format: it needs names, train and val.")
        return content
    if path.name.lower() in CLASS_FILES:
        return dict(names=path.name)
    lines = [line.partition('=') for line in read_text(path, 'description').splitlines() if '=' in line]
    return {key.strip(): value.strip() for key, _, value in lines}


def _names_file(settings: Mapping, path: Path) -> Path | None:
    """The file that lists the classes, where ``names`` is its name."""
    given = settings.get('names')
    if not isinstance(given, str) or not given:
        return None
    for tail in tails(given):
        if (path.parent / tail).is_file():
            return path.parent / tail
    raise UserError(f"'{path}' names '{given}' as the list of classes, which is not there; correct the path.")


def _names(given: object, path: Path) -> dict[int, str]:
    """The names of the classes by their numbers."""
    if isinstance(given, str):
        lines = [line.strip() for line in read_text(path, 'list of classes').splitlines()]
        while lines and not lines[-1]:
            lines.pop()
        given = lines
    try:
        if isinstance(given, dict):
            names = {int(number): name for number, name in given.items()}
        else:
            names = dict(enumerate(given))  # type: ignore[arg-type]
        names = {number: name.strip() for number, name in names.items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"The names in '{path}' are neither a list of names nor names by their numbers; correct them."
        ) from error
    times = Counter(names.values())
    wrong = [f"'{name}'" for name, count in times.items() if count > 1 or not name]
    if wrong or not names:
        raise UserError(
            f"The names in '{path}' must be one name for each class, but {examples(wrong) if wrong else 'none'} are "
            'blank or repeated; correct them.'
            if wrong
            else f"'{path}' names no classes; add them."
        )
    return names


def _keypoints(settings: Mapping, path: Path) -> int:
    """How many values of keypoints follow each box."""
    shape = settings.get('kpt_shape') or ()
    if _is_absent(shape):
        return 0
    try:
        points, values = (int(side) for side in shape)
    except (TypeError, ValueError) as error:
        raise UserError(f"kpt_shape in '{path}' must be two numbers, such as [17, 3]; correct it.") from error
    return points * values
