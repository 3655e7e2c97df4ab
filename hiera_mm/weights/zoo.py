"""Every published checkpoint of Hiera and of SAM 2, whose image encoder is a Hiera.

The files are not part of this package; the addresses are the publishers' own.
"""

from dataclasses import dataclass
from pathlib import Path

from hiera_mm.architectures import LONG_NAMES

NON_COMMERCIAL = 'CC BY-NC 4.0'
APACHE = 'Apache-2.0'

HUB = 'https://huggingface.co/'

LONG = {short: long for long, short in LONG_NAMES.items()}


@dataclass(frozen=True)
class Published:
    """A published file: its address, content and licence."""

    name: str
    address: str
    arch: str
    contents: str
    licence: str
    figure: str

    @property
    def hub_name(self) -> str:
        """``OWNER/NAME`` of the model on the Hugging Face hub."""
        if self.address.startswith(HUB):
            return '/'.join(self.address.removeprefix(HUB).split('/')[:2])
        stem = Path(self.address).stem
        if 'segment_anything_2' in self.address:
            return f'facebook/{stem.replace("_", "-")}'
        return f'facebook/{stem.removeprefix("mae_")}.{self.name.partition(".")[2]}'


def _hiera(arch: str, tag: str, contents: str, figure: str) -> Published:
    prefix = 'mae_' if contents.startswith('masked') else ''
    suffix, video = ('16x224', '_16x224') if 'k400' in tag else ('224', '')
    address = f'https://dl.fbaipublicfiles.com/hiera/{prefix}hiera_{LONG[arch]}_{suffix}.pth'
    return Published(f'hiera_{arch}{video}.{tag}', address, arch, contents, NON_COMMERCIAL, figure)


def _sam2(arch: str, version: str, folder: str, figure: float) -> Published:
    address = f'https://dl.fbaipublicfiles.com/segment_anything_2/{folder}/sam{version}_hiera_{LONG[arch]}.pt'
    contents = f'SAM {version} with its Hiera trunk, images of 1024 pixels'
    return Published(f'sam{version}_hiera_{arch}', address, arch, contents, APACHE, f'{figure} J&F on SA-V test')


def _abswin(tag: str, contents: str) -> Published:
    address = f'https://huggingface.co/timm/hiera_small_abswin_256.{tag}/resolve/main/model.safetensors'
    return Published(f'hiera_s_abswin_256.{tag}', address, 's_abswin', contents, APACHE, '')


def _birder(name: str, arch: str, file: str, contents: str, folder: str | None = None) -> Published:
    model = file.rsplit('.', 1)[0]
    address = f'https://huggingface.co/birder-project/{folder or model}/resolve/main/{file}'
    return Published(name, address, arch, contents, APACHE, '')


_PUBLISHED = [
    # Top-1 on ImageNet-1K: table 8 of the paper. The masked autoencoders' length is the paper's default (table 3).
    *(_hiera(arch, 'mae_in1k', 'masked autoencoder, ImageNet-1K, 1600 epochs', '') for arch in LONG),
    *(
        _hiera(arch, 'mae_in1k_ft_in1k', 'classifier, ImageNet-1K', f'{top1} top-1 on ImageNet-1K')
        for arch, top1 in zip(LONG, (82.8, 83.8, 84.5, 85.2, 86.1, 86.9), strict=True)
    ),
    # Top-1 on Kinetics-400 with 3 crops of 5 clips: table 4.
    *(_hiera(arch, 'mae_k400', 'masked autoencoder, Kinetics-400, 3200 epochs', '') for arch in ('b', 'bp', 'l', 'h')),
    *(
        _hiera(arch, 'mae_k400_ft_k400', 'classifier, Kinetics-400', f'{top1} top-1 on Kinetics-400')
        for arch, top1 in dict(b=84.0, bp=85.0, l=87.3, h=87.8).items()
    ),
    # J&F: the table in the README of facebookresearch/sam2.
    *(_sam2(arch, '2', '072824', figure) for arch, figure in dict(t=75.0, s=74.9, bp=74.7, l=76.0).items()),
    *(_sam2(arch, '2.1', '092824', figure) for arch, figure in dict(t=76.5, s=76.6, bp=78.2, l=79.5).items()),
    # Trained by timm with absolute-win tables; not a model of the paper.
    _abswin('sbb2_e200_in12k_ft_in1k', 'classifier, ImageNet-12k, then ImageNet-1K'),
    _abswin('sbb2_pd_e200_in12k_ft_in1k', 'classifier, ImageNet-12k with patch dropout, then ImageNet-1K'),
    _abswin('sbb2_e200_in12k', 'classifier, ImageNet-12k'),
    _abswin('sbb2_pd_e200_in12k', 'classifier, ImageNet-12k with patch dropout'),
    # Trained by birder with absolute-win tables, without labels; not models of the paper.
    _birder('hiera_b_abswin.mae', 'b', 'mae_hiera_hiera_abswin_base.pt', 'masked autoencoder, 12M images'),
    _birder('hiera_b_abswin.mim', 'b', 'hiera_abswin_base_mim.safetensors', 'encoder of the masked autoencoder'),
    _birder(
        'hiera_b_abswin_384.mim_ft_eu_common',
        'b',
        'hiera_abswin_base_mim-intermediate-eu-common.pt',
        'classifier of birds, images of 384 pixels',
    ),
    _birder('hieradet_s.dino_v2', 's', 'hieradet_d_small_dino-v2.pt', 'encoder, DINOv2 without windows'),
    *(
        _birder(
            f'hieradet_s_{size}.dino_v2_ft_{data}',
            's',
            f'hieradet_d_small_dino-v2-{file}.pt',
            f'classifier, {words}, images of {size} pixels',
            f'hieradet_d_small_dino-v2-{data}',
        )
        for data, file, words, size in (
            ('inat21', 'inat21-256px', 'iNaturalist 2021', 256),
            ('inat21', 'inat21', 'iNaturalist 2021', 384),
            ('imagenet12k', 'imagenet12k', 'ImageNet-12k', 256),
        )
    ),
    _birder('hieradet_s.sam2.1', 's', 'hieradet_small_sam2_1.pt', "SAM 2.1's trunk, images of 1024 pixels"),
]
ZOO = {published.name: published for published in _PUBLISHED}
