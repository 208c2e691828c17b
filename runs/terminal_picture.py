"""Makes a picture of a terminal: runs commands in one and draws what they really print.

python runs/terminal_picture.py --out index.svg "resift index FOLDER -o my.index" "resift search WORDS --index my.index"

Of a progress line that redraws itself, the state in its middle is kept.
"""

import argparse
import fcntl
import io
import os
import pty
import re
import shlex
import struct
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH, HEIGHT = 110, 50
REDRAWN = re.compile(r"(?:\r?\x1b\[2K|\r(?!\n))+")  # the cursor goes back and the line is erased
CURSOR = re.compile(r"\x1b\[[0-9;?]*[A-HJKSThl]")


def printed(command: str) -> str:
    """What a command writes to a terminal, control sequences included."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", COLUMNS=str(WIDTH), LINES=str(HEIGHT))
        arguments = shlex.split(command)
        os.execvp(arguments[0], arguments)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    parts = []
    try:
        while part := os.read(terminal, 1 << 16):
            parts.append(part)
    except OSError:
        pass  # on Linux the end of a terminal is an error
    if os.waitpid(child, 0)[1]:
        raise SystemExit(f"{command} failed: {b''.join(parts).decode()}")
    return b"".join(parts).decode()


def shown(output: str) -> str:
    """The output as it stands on the screen, and before it one state of what was redrawn."""
    *states, last = REDRAWN.split(output)
    drawn = [s for s in states if CURSOR.sub("", s).strip()]
    middle = [drawn[len(drawn) // 2].strip("\n") + "\n"] if drawn else []
    return CURSOR.sub("", "".join([*middle, last])).replace("\r\n", "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commands", nargs="+", help='for example "resift search QUESTION --index my.index"')
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--hide", default="", help="a folder whose path is not to be shown")
    args = parser.parse_args()
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for command in args.commands:
        console.print(Text(f"$ {command}".replace(args.hide, ""), style="bold"))
        console.print(Text.from_ansi(shown(printed(command)).replace(args.hide, "")))
    args.out.write_text(console.export_svg(title="resift"))


if __name__ == "__main__":
    main()
