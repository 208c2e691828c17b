"""Makes the picture of the README: a real search over a folder, as the terminal shows it.

python runs/readme_picture.py "how do I stop long documents from being cut" docs README.md --out docs/search.svg
"""

import argparse
from pathlib import Path

from rich.console import Console

import resift
from resift import Index, files
from resift.cli import show


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("query")
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    ranking = Index.of(files.read_paths(args.paths)).search(args.query, 4, reranker=resift.load())
    with args.out.with_suffix(".txt").open("w") as text:
        console = Console(record=True, width=110, file=text, force_terminal=False, color_system="truecolor")
        console.print(f'$ resift search "{args.query}" {" ".join(args.paths)} --top 4\n', style="bold")
        show.print_table(ranking, console)
    args.out.with_suffix(".txt").unlink()
    args.out.write_text(console.export_svg(title="resift search"))


if __name__ == "__main__":
    main()
