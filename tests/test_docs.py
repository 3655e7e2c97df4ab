"""What the docs say can be done as it stands there: commands and their options, Python, the site, the notebook."""

import argparse
import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from hiera_mm.commands import COMMANDS, module_of
from hiera_mm.config import read_config_file
from hiera_mm.program import SCRIPTS

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers import ROOT

PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md'))]
BENCHMARKS = {path.stem for path in (ROOT / 'benchmarks').glob('*.py')}


def blocks(language):
    """Page and text of each block of code."""
    for page in PAGES:
        for text in re.findall(rf'```{language}\n(.*?)```', page.read_text(), re.DOTALL):
            yield pytest.param(text, id=f'{page.name}: {text.strip().splitlines()[0][:50]}')


def commands():
    """Each command line in a block or between backticks, once."""
    found = {}
    for page in PAGES:
        text = page.read_text().replace('\\\n', ' ')
        lines = [line for block in re.findall(r'```bash\n(.*?)```', text, re.DOTALL) for line in block.splitlines()]
        lines += [
            ' '.join(inline.split()) for inline in re.findall(r'`([^`]+)`', re.sub('```.*?```', '', text, flags=re.S))
        ]
        for line in lines:
            for part in line.split(' && '):
                found.setdefault(re.sub(r'^([A-Z_]+=\S+ )+', '', part.strip()), page.name)
    return [pytest.param(line, id=f'{page}: {line[:60]}') for line, page in found.items() if called(line)]


def called(line):
    """The suite's command in a line, and its words."""
    words = shlex.split(line, comments=True) if line.count("'") % 2 == 0 and line.count('"') % 2 == 0 else []
    if words[:1] == ['hiera-mm'] and len(words) > 2:
        return words[1], words[2:]
    if words[:1] == ['python'] and len(words) > 2 and words[1].startswith('tools/'):
        assert Path(words[1]).stem in SCRIPTS, line
        return Path(words[1]).stem, words[2:]
    return None


@pytest.mark.parametrize('line', commands())
def test_commands_and_their_options_exist(line):
    """Every command line is one that its parser takes; those of ``run`` are other tools'."""
    # One of several that are named.
    command, words = called(re.sub(r'\{([^},]+)[^}]*\}', r'\1', line))
    assert command in COMMANDS or command is None, line
    if command in (None, 'run'):
        return
    parser = argparse.ArgumentParser(exit_on_error=False)
    module_of(command).add_arguments(parser)
    parser.error = lambda message: pytest.fail(f'{line}: {message}')
    if any(word.endswith('...') for word in words):
        known = {option for action in parser._actions for option in action.option_strings}
        assert {word.split('=')[0] for word in words if word.startswith('--')} <= known
        return
    parser.parse_args(words)


@pytest.mark.parametrize('text', blocks('python'))
def test_python_can_be_written_so(text):
    """It is whole, and what it imports of the suite is there; whole configs can be read."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.startswith('hiera_mm'):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)


@pytest.mark.parametrize('text', [block for block in blocks('python') if "_base_ = 'hiera_mm::" in block.values[0]])
def test_configs_of_the_docs_build_on_shipped_ones(text, tmp_path):
    (tmp_path / 'my_config.py').write_text(text)
    assert read_config_file(str(tmp_path / 'my_config.py')).model.type


def test_named_benchmarks_exist():
    text = ''.join(page.read_text() for page in PAGES)
    assert set(re.findall(r'python -m benchmarks\.(\w+)', text)) <= BENCHMARKS


def test_named_files_exist():
    """Of the repository: tests, tools, configs, and the pages' links."""
    for page in PAGES:
        text = page.read_text()
        for name in re.findall(r'`((?:tests|tools|hiera_mm|benchmarks)/[\w/.-]+\.(?:py|sh))`', text):
            assert (ROOT / name).is_file(), (page.name, name)


def test_the_readme_is_short():
    assert len((ROOT / 'README.md').read_text().splitlines()) < 100


def test_the_site_is_built_without_a_warning(tmp_path):
    """Each page is reached, each link leads somewhere, and what the reference names is there."""
    command = [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', tmp_path / 'site']
    done = subprocess.run(
        list(map(str, command)),
        **dict(cwd=ROOT, capture_output=True, text=True, env=dict(os.environ, NO_MKDOCS_2_WARNING='1')),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = [path.read_text() for path in (tmp_path / 'site').rglob('*.html')]
    assert len(pages) >= len(PAGES) - 2
    reference = (tmp_path / 'site' / 'api' / 'index.html').read_text()
    for name in ('hiera_mm.tasks.load', 'hiera_mm.models.Hiera', 'hiera_mm.errors.UserError'):
        assert f'id="{name}"' in reference
    # Nothing is fetched from other machines.
    assert not re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="https?://', ''.join(pages))


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch):
    """And its detector finds the objects of the picture that it shows."""
    monkeypatch.setenv('PATH', f'{Path(sys.executable).parent}:{os.environ["PATH"]}')
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    notebook = nbformat.read(ROOT / 'docs' / 'own_data.ipynb', as_version=4)
    NotebookClient(notebook, timeout=1200, resources=dict(metadata=dict(path=str(tmp_path)))).execute()
    printed = ''.join(output.get('text', '') for cell in notebook.cells if 'outputs' in cell for output in cell.outputs)
    assert 'cat 0.' in printed and 'dog 0.' in printed and '6 of 6 inputs' in printed
    assert (tmp_path / 'my_model.onnx').is_file() and (tmp_path / 'work_dirs/my_config/report.html').is_file()


def test_messages_of_the_troubleshooting_page_are_those_of_the_code():
    """Quoted in the words that no value stands in."""
    page = (ROOT / 'docs' / 'troubleshooting.md').read_text()
    first_cells = re.findall(r'^\| `([^`]+)` \|', page, re.M)
    code = ''.join(path.read_text() for path in sorted((ROOT / 'hiera_mm').rglob('*.py')))
    # A message may go on in the next line of the code.
    joined = re.sub(r"""["']\s*\n\s*f?["']""", '', code)
    assert len(first_cells) > 12
    assert not [message for message in first_cells if message not in joined]
