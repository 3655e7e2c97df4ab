"""What a masked autoencoder fills in of many files, as pictures."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hiera_mm.inference.prediction import Outcome, each_result, write_image
from hiera_mm.readers.inputs import Input
from hiera_mm.tasks.autoencoding.reconstruction import Reconstructor


def reconstruct_files(reconstructor: Reconstructor, inputs: Sequence[Input], folder: Path, seed: int = 0) -> Outcome:
    """Write ``NAME_mae.png`` for each input: the original, what the model sees, and what it makes of it.

    Args:
        reconstructor: The model.
        inputs: Images, videos or volumes.
        folder: Where the results go.
        seed: Seed of the masks.
    """
    outcome = Outcome(folder, dict(model=reconstructor.trained.version, seed=seed), inputs)
    files = {entry: entry.source for entry in outcome.left}
    for entry, found in each_result(partial(reconstructor.predict, seed=seed), files, 1, outcome):
        target = folder / f'{Path(entry.name).with_suffix("").as_posix()}_mae.png'
        write_image(target, found.image)
        print(f"{target}: loss {found.loss:.3f} on what was masked (1.0 would be each patch's mean).")
        outcome.finish(entry)
    outcome.close()
    return outcome
