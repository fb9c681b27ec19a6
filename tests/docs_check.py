"""Run the commands of the README and compare what they print with what it says they print.

Usage: python tests/docs_check.py README.md

Each block fenced as `console` is a conversation: lines that begin with `$ ` are commands, the others what
they print on either stream. All blocks run in one empty folder, one after the other. A line `...` stands for
any number of lines; digits, digests and times are compared as kinds, not as values, as machines differ.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"[0-9a-f]{12,64}|\d+(?:[.,:T-]\d+)*Z?")


def conversations(text: str) -> list[tuple[str, list[str]]]:
    """List each command with the lines it should print."""
    found: list[tuple[str, list[str]]] = []
    for block in BLOCK.findall(text):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found:
                found[-1][1].append(line)
    return found


def pattern(lines: list[str]) -> re.Pattern[str]:
    """Make expected lines into a pattern; blanks and numbers are free."""
    parts = []
    for line in lines:
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*?")
            continue
        words = [re.escape(NUMBER.sub("#", word)) for word in line.split()]
        parts.append(r"\s*" + r"\s+".join(words) + r"\s*\n")
    return re.compile("".join(parts))


def main(path: str) -> int:
    """Run all; returns the number of commands that print something else."""
    wrong = 0
    text = Path(path).read_text(encoding="utf-8")
    programs = Path(sys.executable).parent
    with tempfile.TemporaryDirectory(prefix="docs-") as folder:
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
        environment.pop("COLUMNS", None)
        environment["CLIO_CACHE"] = f"{folder}/.cache"  # one image only, made from today's packages
        subprocess.run([programs / "clio", "-q", "image", "build"], cwd=folder, env=environment, check=True)
        for command, expected in conversations(text):
            done = subprocess.run(
                command,
                shell=True,
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            printed = "".join(f"{NUMBER.sub('#', line)}\n" for line in done.stdout.splitlines())
            is_right = pattern(expected).fullmatch(printed) is not None
            sys.stdout.write(f"{'ok   ' if is_right else 'WRONG'} $ {command}\n")
            if not is_right:
                sys.stdout.write(f"--- printed\n{done.stdout}--- expected\n" + "\n".join(expected) + "\n")
                wrong += 1
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1]), 1))
