"""RandAugment on clips against timm's operations and magnitudes."""

from hiera_mm.datasets.transforms import OPERATIONS, ClipRandAugment

import numpy as np
import pytest
import timm.data.auto_augment as timm_augment
from PIL import Image

# timm's names: "increasing" where strength grows with the magnitude, "relative" shifts.
TIMM = {
    **{name: name for name in ('AutoContrast', 'Equalize', 'Invert', 'Rotate', 'SolarizeAdd', 'ShearX', 'ShearY')},
    **{name: f'{name}Increasing' for name in ('Posterize', 'Solarize', 'Color', 'Contrast', 'Brightness', 'Sharpness')},
    **{name: f'{name}Rel' for name in ('TranslateX', 'TranslateY')},
}


def picture(seed=0, size=(48, 64)):
    """A smooth one with noise, so that every operation changes it."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(20, 220, (4, 5, 3), dtype=np.uint8)).resize(size[::-1], Image.BICUBIC)
    return np.clip(np.asarray(coarse) + random.normal(0, 5, (*size, 3)), 0, 255).astype(np.uint8)


def test_the_operations_are_those_of_timms_increasing_set():
    assert set(TIMM.values()) == set(timm_augment._RAND_INCREASING_TRANSFORMS)
    assert set(OPERATIONS) == set(TIMM)


@pytest.mark.parametrize('sign', [1, -1])
@pytest.mark.parametrize('magnitude', [0, 3.4, 7, 9.9])
@pytest.mark.parametrize('name', OPERATIONS)
def test_each_operation_gives_timms_pixels_at_each_magnitude(name, magnitude, sign, monkeypatch):
    monkeypatch.setattr(timm_augment, '_randomly_negate', lambda value: sign * value)
    level = timm_augment.LEVEL_TO_ARG[TIMM[name]]
    hparams = dict(translate_pct=0.45)
    arguments = level(magnitude, hparams) if level is not None else ()
    frame = Image.fromarray(picture())
    expected = timm_augment.NAME_TO_OP[TIMM[name]](frame, *arguments, fillcolor=(128, 128, 128), resample=Image.BICUBIC)
    operation = OPERATIONS[name]
    got = operation.apply(frame, operation.strength(magnitude, sign))
    assert np.array_equal(np.asarray(got), np.asarray(expected))


# Worked out by hand from the published table, at a magnitude of 7.
@pytest.mark.parametrize(
    'name, strengths',
    [
        ('Rotate', (21, -21)),
        ('Posterize', (2, 2)),
        ('Solarize', (77, 77)),
        ('SolarizeAdd', (77, 77)),
        ('Color', (1.63, 0.37)),
        ('Sharpness', (1.63, 0.37)),
        ('ShearX', (0.21, -0.21)),
        ('TranslateY', (0.315, -0.315)),
    ],
)
def test_strengths_at_magnitude_7_are_those_of_the_published_table(name, strengths):
    assert [OPERATIONS[name].strength(7, sign) for sign in (1, -1)] == pytest.approx(strengths)


def test_all_frames_of_a_clip_get_the_same_operations():
    transform = ClipRandAugment(prob=1.0)
    frame = picture()
    changed = 0
    for seed in range(40):
        np.random.seed(seed)
        frames = transform(dict(imgs=[frame.copy() for _ in range(5)]))['imgs']
        assert all(np.array_equal(frames[0], other) for other in frames[1:])
        changed += not np.array_equal(frames[0], frame)
    assert changed >= 35


def test_different_frames_are_changed_alike_and_keep_their_size_and_type():
    np.random.seed(1)
    frames = [picture(seed) for seed in range(3)]
    augmented = ClipRandAugment(prob=1.0)(dict(imgs=frames, other=1))
    assert augmented['other'] == 1
    assert all(image.shape == (48, 64, 3) and image.dtype == np.uint8 for image in augmented['imgs'])


def test_operations_are_drawn_evenly_with_replacement_and_run_half_of_the_time(monkeypatch):
    run = []
    for name, operation in OPERATIONS.items():

        def strength(magnitude, sign, name=name):
            run.append((name, magnitude, sign))
            return 0.0

        monkeypatch.setitem(OPERATIONS, name, operation._replace(strength=strength, apply=lambda frame, _: frame))
    np.random.seed(0)
    transform, repeats = ClipRandAugment(), 6000
    for _ in range(repeats):
        transform(dict(imgs=[picture(size=(2, 2))]))
    assert len(run) == pytest.approx(repeats * 2 * 0.5, rel=0.05)
    counts = [sum(name == wanted for name, _, _ in run) for wanted in OPERATIONS]
    assert min(counts) > 0.8 * len(run) / 15 and max(counts) < 1.2 * len(run) / 15
    magnitudes = np.array([magnitude for _, magnitude, _ in run])
    assert magnitudes.mean() == pytest.approx(7, abs=0.03) and magnitudes.std() == pytest.approx(0.5, abs=0.03)
    assert np.mean([sign for _, _, sign in run]) == pytest.approx(0, abs=0.05)


def test_the_greatest_magnitude_works_for_every_operation():
    frame = Image.fromarray(picture())
    for operation in OPERATIONS.values():
        assert operation.apply(frame, operation.strength(10, 1)).size == frame.size
