"""Loads the fixtures, which import everything, but not where pytest only hands out the tests to other processes."""


def pytest_configure(config):
    # By what xdist made of the options: ``-n 0`` and ``--pdb`` run the tests in this process.
    if config.getoption('dist', 'no') == 'no' or hasattr(config, 'workerinput'):
        config.pluginmanager.import_plugin('tests.fixtures')
