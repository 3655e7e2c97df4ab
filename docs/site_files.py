"""A hook of mkdocs: the charts of benchmarks.md lie beside their results, outside docs/."""

from pathlib import Path

from mkdocs.structure.files import File, Files

RESULTS = Path(__file__).parents[1] / 'benchmarks' / 'results'


def on_files(files: Files, config) -> Files:
    for path in RESULTS.glob('*.png'):
        files.append(File(f'results/{path.name}', str(RESULTS.parent), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, **_) -> str:
    return markdown.replace('../benchmarks/results/', 'results/')
