"""Writes reconstructions of many files as images."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hiera_mm.inference.prediction import Outcome, each_result, names_without_endings, write_image
from hiera_mm.readers.inputs import Input
from hiera_mm.tasks.autoencoding.reconstruction import Reconstructor


def reconstruct_files(reconstructor: Reconstructor, inputs: Sequence[Input], folder: Path, seed: int = 0) -> Outcome:
    """Write ``NAME_mae.png`` for each input: the original, the visible part, and the reconstruction.

    Args:
        reconstructor: The model.
        inputs: Images, videos or volumes.
        folder: Output folder.
        seed: Seed of the masks.
    """
    names = names_without_endings(inputs)
    outcome = Outcome(folder, dict(model=reconstructor.trained.version, seed=seed), inputs)
    files = {entry: entry.source for entry in outcome.left}
    for entry, found in each_result(partial(reconstructor.predict, seed=seed), files, 1, outcome):
        target = folder / f'{names[entry]}_mae.png'
        write_image(target, found.image)
        print(f"{target}: loss {found.loss:.3f} on masked patches (1.0 would be each patch's mean).")
        outcome.finish(entry)
    outcome.close()
    return outcome
