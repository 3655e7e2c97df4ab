"""What the configs of this package train, read without torch."""

from pathlib import Path

from hiera_mm import CONFIGS

import yaml


def shipped_configs() -> dict[str, Path]:
    """This package's configs by name."""
    return {path.stem: path for path in sorted(Path(CONFIGS).glob('*.py'))}


def described_configs() -> list[dict]:
    """The entries of configs/metafile.yml, one for each of this package's configs."""
    # The reader in C, where PyYAML has it, takes a tenth of the time.
    loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
    return yaml.load(Path(CONFIGS, 'metafile.yml').read_text(encoding='utf-8'), loader)['Models']
