"""Show what a masked autoencoder fills in.

hiera-mm visualize-mae CONFIG CHECKPOINT IMAGE_VIDEO_OR_VOLUME ...

Writes OUT_DIR/NAME_mae.png: original, masked, reconstruction. Brightness and contrast of a masked patch are the
original's, as the model predicts normalised patches.
"""

import argparse
from pathlib import Path

from hiera_mm.atomic_write import atomic_write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help='config of a masked autoencoder')
    parser.add_argument('checkpoint', help="one of its training, or Meta's, by path, URL or name")
    parser.add_argument('inputs', nargs='+', help='images; videos or NIfTI files for a config of clips or volumes')
    parser.add_argument('--out-dir', type=Path, default='mae_out', help='folder for the pictures (%(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the masks (%(default)s)')
    parser.add_argument('--device', help='such as cuda:0 or cpu (default: a GPU if there is one)')


def run(arguments: argparse.Namespace) -> None:
    from hiera_mm.inference import Reconstructor

    import torch
    from PIL import Image

    device = arguments.device or ('cuda:0' if torch.cuda.is_available() else 'cpu')
    reconstruct = Reconstructor(arguments.config, arguments.checkpoint, device)
    arguments.out_dir.mkdir(parents=True, exist_ok=True)
    for path in arguments.inputs:
        found = reconstruct(path, arguments.seed)
        target = arguments.out_dir / f'{Path(path).stem}_mae.png'
        with atomic_write(target) as unfinished:
            Image.fromarray(found.picture).save(unfinished, format='PNG')
        print(f"{target}: loss {found.loss:.3f} on what was masked (1.0 would be each patch's mean).")
