"""MkDocs hook: what pages link to outside of docs/ comes along, so that every link of the site leads somewhere.

Pages link as a reader of the repository needs it ("../bench/results/quality.md"). For the site such files are added
under their path in the repository, and the links are written anew. A link to a file that is not there ends the build.
"""

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)\s#]+)")
ALONGSIDE = ("CHANGELOG.md", "CONTRIBUTING.md")  # pages of the site that lie beside docs/


def on_files(files: Files, config: Any) -> Files:
    """Add the files that pages link to, and those that they link to in turn."""
    waiting = [ROOT / "docs" / page.src_uri for page in files.documentation_pages()] + [ROOT / p for p in ALONGSIDE]
    seen = set(waiting)
    while waiting:
        page = waiting.pop()
        for target in targets(page) if page.suffix == ".md" else ():
            if target not in seen and ROOT / "docs" not in target.parents:
                seen.add(target)
                waiting.append(target)
    for path in sorted(seen):
        if ROOT / "docs" not in path.parents:
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def targets(page: Path) -> list[Path]:
    """The files that a page links to."""
    paths = [Path(os.path.normpath(page.parent / link)) for link in LINK.findall(page.read_text())]
    for path in paths:
        if not path.is_file():
            raise PluginError(f"{page.relative_to(ROOT)} links to {path}, which is not there")
    return paths


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Write the links of a page for the site, where docs/ is the root."""
    source = Path(page.file.abs_src_path)

    def on_the_site(match: re.Match[str]) -> str:
        target = Path(os.path.normpath(source.parent / match[1]))
        place = target.relative_to(ROOT / "docs" if ROOT / "docs" in target.parents else ROOT)
        return os.path.relpath(place, Path(page.file.src_uri).parent)

    return LINK.sub(on_the_site, markdown)
