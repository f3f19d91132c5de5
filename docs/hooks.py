"""What the site shows beside what stands in docs/: figures of benchmarks/results, and the options of every command."""

from pathlib import Path
from typing import Any

import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click

from hyperstar_tune.cli import app

ROOT = Path(__file__).parents[1]
RESULTS = "benchmarks/results/"
OPTIONS = "<!-- options of all commands -->"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the figures, which pages link as ../benchmarks/results/NAME.png."""
    for path in sorted((ROOT / RESULTS).glob("*.png")):
        files.append(File.generated(config, RESULTS + path.name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Leads links to figures to where the site has them, and puts the options where a page asks for them."""
    markdown = markdown.replace(f"](../{RESULTS}", f"]({RESULTS}")
    return markdown.replace(OPTIONS, command_options()) if OPTIONS in markdown else markdown


def command_options() -> str:
    """The help of every command, as Markdown below a heading of the page."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("hyperstar", [], resilient_parsing=True)
    _, *commands = str(get_docs_for_click(obj=command, ctx=context, name="hyperstar")).split("\n## ")
    return "".join(f"\n## {text}" for text in commands)
