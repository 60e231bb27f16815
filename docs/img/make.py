#!/usr/bin/env python3
"""Makes the README's pictures anew: runs a devnet, splits it, heals it, undoes a payment, and draws what the
terminals say.

    cargo build --release && python3 docs/img/make.py

Writes devnet.svg and reorg.svg beside itself. All text is the program's own, but for the place of the data,
which is a temporary directory here and shown as the one that people have. Takes about a minute.
"""

import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAM = Path(sys.argv[1] if len(sys.argv) > 1 else HERE.parent.parent / "target/release/lignum").resolve()
SHOWN_PLACE = "~/.local/share/lignum"
PATIENCE_SECS = 120

# Widths and heights in pixels.
CELL, LINE, SIZE, PAD, BAR = 8.0, 19, 13.3, 16, 30
COLUMNS_MAX = 124

# The first that matches colours a line.
COLOURS = [
    (r"^\$ ", "#7ee787"),
    (r"reorg:", "#ff7b72"),
    (r"^fork:", "#e3b341"),
    (r"^split:", "#d2a8ff"),
    (r"^healed:", "#7ee787"),
    (r"^(\[[\d ]+\] )?#\d", "#79c0ff"),
]
PLAIN = "#c9d1d9"


class Console:
    """A devnet and the lines it has printed so far."""

    def __init__(self, environment):
        self.lines = []
        command = [PROGRAM, "devnet"]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait(self, pattern, count=1, after=0):
        """Waits for so many lines after a place, and gives the place behind the last of them."""
        until = time.monotonic() + PATIENCE_SECS
        while time.monotonic() < until:
            found = [at for at, line in enumerate(self.lines) if at >= after and re.search(pattern, line)]
            if len(found) >= count:
                return found[count - 1] + 1
            time.sleep(0.05)
        raise SystemExit(f"waited in vain for {count} of {pattern!r} in:\n" + "\n".join(self.lines))

    def stop(self):
        self.process.send_signal(2)
        self.process.wait(30)


def typed(lines, environment, *arguments):
    """Runs a verb, and appends to the lines what its terminal shows."""
    lines.append("$ lignum " + " ".join(arguments))
    result = subprocess.run([PROGRAM, *arguments], env=environment, capture_output=True, text=True, check=True)
    lines.extend(result.stdout.splitlines())


def wrapped(line):
    """A line as a terminal of our width shows it."""
    return [line[at : at + COLUMNS_MAX] for at in range(0, max(len(line), 1), COLUMNS_MAX)]


def window(title, lines, top, width):
    """A terminal's window at a height of the picture; its drawing and its own height."""
    shown = [(part, line) for line in lines for part in wrapped(line)]
    height = BAR + PAD + LINE * len(shown)
    out = [
        f'<rect x="0.5" y="{top + 0.5}" width="{width - 1}" height="{height}" rx="8" fill="#0d1117" stroke="#30363d"/>',
        f'<text x="{width / 2}" y="{top + 20}" fill="#8b949e" text-anchor="middle">{html.escape(title)}</text>',
    ]
    out += [f'<circle cx="{PAD + 6 + 18 * dot}" cy="{top + 16}" r="5" fill="#484f58"/>' for dot in range(3)]
    for row, (part, line) in enumerate(shown):
        if not part.strip():
            continue
        colour = next((colour for pattern, colour in COLOURS if re.search(pattern, line)), PLAIN)
        # Spaces in front are a matter of place; the length keeps columns in line whatever the font is.
        text = part.lstrip(" ")
        x, y = PAD + CELL * (len(part) - len(text)), top + BAR + LINE * row + 14
        out.append(
            f'<text x="{x:g}" y="{y}" fill="{colour}" textLength="{CELL * len(text):g}">{html.escape(text)}</text>'
        )
    return out, height


def draw(path, description, windows):
    """Writes a picture of terminals, one below the other."""
    columns = max(len(part) for _, lines in windows for line in lines for part in wrapped(line))
    width = CELL * columns + 2 * PAD
    body, top = [], 0
    for title, lines in windows:
        drawn, height = window(title, lines, top, width)
        body += drawn
        top += height + 14
    style = f"font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"{SIZE}\""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {top - 12}" {style} xml:space="preserve">'
    text = "\n".join([head, f"<title>{html.escape(description)}</title>", *body, "</svg>", ""])
    (HERE / path).write_text(text)
    print(f"{path}: {len(text)} bytes")


def main():
    place = tempfile.mkdtemp(prefix="lignum-")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIGNUM_")}
    environment |= {"LIGNUM_DATADIR": place, "LIGNUM_WALLET_DIR": f"{place}/wallets"}
    console = Console(environment)
    try:
        start = console.wait(r"^#5 ")
        draw("devnet.svg", "lignum devnet starts four nodes, which mine", [
            ("lignum devnet", ["$ cargo run --release -- devnet", *named(console.lines[:start], place)]),
        ])
        commands = []
        typed(commands, environment, "dev", "split", "2/2")
        split = console.wait(r"^split:")
        # Each half mines blocks of its own; one of them has the payment.
        send = ["wallet", "send", "dev:1", "25", "--from", "dev:0"]
        subprocess.run([PROGRAM, *send], env=environment, capture_output=True, check=True)
        for group in (r"^\[1 2\] #", r"^\[3 4\] #"):
            console.wait(group, 4, split)
        typed(commands, environment, "dev", "heal")
        healed = console.wait(r"^healed:", 1, split)
        reorg = console.wait(r"reorg:", 1, healed)
        console.wait(r"^#", 2, reorg)
        # A payment in the last block, which the next order undoes.
        typed(commands, environment, *send, "--wait", "1")
        undone = len(console.lines)
        typed(commands, environment, "dev", "reorg", "--depth", "2")
        end = console.wait(r"^#", 4, console.wait(r"^reorg:", 1, undone))
        draw("reorg.svg", "lignum dev split, heal and reorg: rival branches, and what they undo", [
            ("a second terminal", named(commands, place)),
            ("lignum devnet", named(console.lines[split - 3 : end], place)),
        ])
    finally:
        console.stop()
        shutil.rmtree(place)


def named(lines, place):
    """The lines with the place of the data that people have."""
    return [line.replace(place, SHOWN_PLACE) for line in lines]


if __name__ == "__main__":
    main()
