"""Show what a masked autoencoder fills in: ``python tools/visualize_mae.py CONFIG CHECKPOINT IMAGE_OR_VIDEO ...``.

Writes OUT_DIR/NAME_mae.png: original, masked, reconstruction. Brightness and contrast of a masked patch are the
original's, as the model predicts patches normalised.
"""

import argparse
from pathlib import Path

import hiera_mm  # noqa: F401  (first: it mends what the imports below need)
from hiera_mm.apis import Reconstructor
from hiera_mm.cli import faults_as_sentences
from hiera_mm.whole_files import written_whole

import torch
from PIL import Image


def main() -> None:
    arguments = parse_arguments()
    reconstruct = Reconstructor(arguments.config, arguments.checkpoint, arguments.device)
    arguments.out_dir.mkdir(parents=True, exist_ok=True)
    for path in arguments.inputs:
        found = reconstruct(path, arguments.seed)
        target = arguments.out_dir / f'{Path(path).stem}_mae.png'
        with written_whole(target) as unfinished:
            Image.fromarray(found.picture).save(unfinished, format='PNG')
        print(f"{target}: loss {found.loss:.3f} on what was masked (1.0 would be each patch's mean).")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of a masked autoencoder')
    parser.add_argument('checkpoint', help="one of its training, or Meta's, by path, address or name")
    parser.add_argument('inputs', nargs='+', help='images, or videos for a config of clips')
    parser.add_argument('--out-dir', type=Path, default='mae_out', help='folder for the pictures (%(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the masks (%(default)s)')
    device = 'cuda:0' if torch.cuda.is_available() else 'cpu'
    parser.add_argument('--device', default=device, help='(%(default)s)')
    return parser.parse_args()


if __name__ == '__main__':
    with faults_as_sentences():
        main()
