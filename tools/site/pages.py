"""Hooks of the documentation site: pages that lie outside docs/, and links as they are written for the repository.

The pages of docs/ are read in the repository too, so their links are paths of files. Here a link to a file that is a
page of the site becomes a link to that page. A link to anything else is an error, except to what `NOT_PAGES` names.
"""

from __future__ import annotations

import os.path
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
OUTSIDE = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "MODEL_CARD.md",
    "LICENSE",
    "NOTICE",
    "checkpoints/speech_encoder/README.md",
    "data/presenter/README.md",
)
"""Files outside docs/ that are pages of the site, at the same path, or are copied into it (LICENSE)."""
NOT_PAGES: frozenset[str] = frozenset()
"""Files of the repository that pages link to and the site does not have: there the link becomes its text."""

_FENCE = re.compile(r"^( {0,3})(```|~~~).*?^\1\2[^\S\n]*$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages outside docs/."""
    for path in OUTSIDE:
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def _title(path: Path) -> str:
    """The first heading of a page, by which the site calls it where the repository has the name of its file."""
    return next(line.removeprefix("# ") for line in path.read_text().splitlines() if line.startswith("# "))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make the links of a page those of the site."""
    source = Path(str(page.file.abs_src_path)).relative_to(ROOT)

    def rewritten(match: re.Match[str]) -> str:
        image, text, target = match.groups()
        path, hash_mark, anchor = target.partition("#")
        if not path or re.match(r"[a-z]+:", target):
            return match[0]
        linked = PurePosixPath(os.path.normpath(source.parent / path))
        if str(linked) in NOT_PAGES:
            return str(text)
        uri = str(linked.relative_to("docs")) if linked.is_relative_to("docs") else str(linked)
        if files.get_file_from_path(uri) is None:
            raise PluginError(f"{source}: there is no page {target} on the site; link a page, or name it in NOT_PAGES.")
        if text.endswith(linked.name) and linked.suffix == ".md":
            text = _title(ROOT / linked)
        relative = os.path.relpath(uri, PurePosixPath(page.file.src_uri).parent)
        return f"{image}[{text}]({relative}{hash_mark}{anchor})"

    if page.is_homepage:
        page.meta["hide"] = ["navigation", "toc"]

    parts, begin = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [_LINK.sub(rewritten, markdown[begin : fence.start()]), fence[0]]
        begin = fence.end()
    return "".join([*parts, _LINK.sub(rewritten, markdown[begin:])])
