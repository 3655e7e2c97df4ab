"""Memory and time of segmenting a large image: ``python -m benchmarks.large_image``.

A segmentor with random weights on a random image at full size, in windows; the memory is the most that the process has
held, with all libraries and the image itself.
"""

import argparse
import resource
import time

import hiera_mm  # noqa: F401  (first: it repairs what the imports below need)
from hiera_mm.inference.trained import TrainedModel
from hiera_mm.settings import read_config
from hiera_mm.tasks import task_of

import numpy as np
from mmengine.registry import MODELS, DefaultScope


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='?', default='segformer_hiera_t_ade20k', help='config (%(default)s)')
    parser.add_argument('--size', type=int, nargs=2, default=(6000, 8000), help='height and width (48 megapixels)')
    arguments = parser.parse_args()
    config = read_config(arguments.config)
    config.model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(config.model).eval()
    predictor = task_of(config).predictor(
        TrainedModel(task_of(config), model, config, {}, 'random', '', [], True), None
    )
    image = np.random.default_rng(0).integers(0, 256, (*arguments.size, 3), np.uint8)
    began = time.perf_counter()
    found = predictor.predict(image, full_size=True)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f'{arguments.config}, {len(found.names)} classes, {arguments.size[0]} x {arguments.size[1]} pixels: ', end='')
    print(f'{time.perf_counter() - began:.0f} s, {most:.2f} GiB at most.')


if __name__ == '__main__':
    main()
