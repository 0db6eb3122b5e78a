"""Hooks of mkdocs: notebooks become pages with their saved outputs; a number stays beside its deviation."""

from __future__ import annotations

import json
import re
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page beside every notebook."""
    for file in [one for one in files if one.src_uri.endswith(".ipynb")]:
        name = file.src_uri.rpartition("/")[2]
        notebook = json.loads(file.content_string)
        text = "\n\n".join([f"[Download this page as a notebook]({name})", *map(_cell, notebook["cells"])])
        files.append(File.generated(config, re.sub(r"ipynb$", "md", file.src_uri), content=text + "\n"))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Let links to notebooks lead to their pages; the link of such a page itself leads to the notebook."""
    if page.file.generated_by is not None:
        return markdown
    return re.sub(r"(\]\([^)\s]+)\.ipynb\)", r"\1.md)", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Keep a number and its deviation on one line."""
    return html.replace(" ± ", "\u00a0±\u00a0")


def _cell(cell: dict[str, Any]) -> str:
    """Return a cell as Markdown."""
    source = "".join(cell["source"])
    if cell["cell_type"] != "code":
        return source
    return "\n\n".join([f"```python\n{source}\n```", *map(_output, cell["outputs"])])


def _output(output: dict[str, Any]) -> str:
    """Return an output: text as it was printed, a picture in place."""
    data = output.get("data", {"text/plain": output.get("text", "")})
    if "image/png" in data:
        return f"![Figure of the cell above](data:image/png;base64,{''.join(data['image/png']).strip()})"
    return f"```text\n{''.join(data['text/plain']).rstrip()}\n```"
