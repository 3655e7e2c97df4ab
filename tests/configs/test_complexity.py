"""Parameters and operations of shipped models, part by part."""

import pytest

from tests.helpers import model_complexity, read


@pytest.mark.parametrize(
    'name, part, millions, giga',
    [
        ('mask_rcnn_hiera_b.py', 'backbone', 50.76, 235.1),
        ('k400_hiera_b.py', 'backbone', 50.78, 101.7),
        ('ava_hiera_l.py', 'backbone', 212.63, 412.1),
        ('mae_hiera_b.py', 'encoder', 50.75, 4.7),
        ('mae_hiera_b.py', 'decoder', 27.88, 5.5),
        ('distill_hiera_t_from_l.py', 'student', 27.14, 4.9),
        ('distill_hiera_t_from_l.py', 'teacher', 212.58, 40.3),
    ],
)
def test_a_part_has_its_parameters_and_operations(name, part, millions, giga):
    parts, _ = model_complexity(read(name).model, None)
    parameters, macs = parts[part]
    assert parameters / 1e6 == pytest.approx(millions, abs=0.05) and macs / 1e9 == pytest.approx(giga, abs=0.1)
