"""hiera-mm make-data."""


def test_make_shapes_writes_the_counts_it_is_told(run_command, tmp_path):
    code, printed = run_command('make-data', tmp_path / 'set', '--train', '3', '--val', '2')
    assert code == 0 and '3 training and 2 validation images' in printed
    assert len(list((tmp_path / 'set' / 'train').glob('*.png'))) == 3
    (tmp_path / 'set' / 'shapes.json').unlink()
    code, printed = run_command('make-data', tmp_path / 'set')
    assert code == 1 and printed.startswith('Error: ') and 'holds something other' in printed


def test_make_shapes_writes_videos_too(run_command, tmp_path):
    code, printed = run_command('make-data', tmp_path / 'set', '--kind', 'motion', '--train', '6', '--val', '6')
    assert code == 0 and '6 training and 6 validation videos' in printed
    assert len(list((tmp_path / 'set' / 'train').glob('*.mp4'))) == 6
