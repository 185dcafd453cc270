"""What the checks on the sources share: where things are, and C text without comments and strings."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ROOMS = ("base", "schemas", "consumers", "operators", "sinks", "evaluation", "topology", "cli")
SKIP = 77  # ctest's "skipped"
GENERATED = {"schemas/avro_texts.c"}


def files(*suffixes, under=ROOMS + ("tests",)):
    """Paths below the named folders that end so, relative to the root, in order."""
    found = []
    for folder in under:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in suffixes and "corpus" not in path.parts:
                found.append(path.relative_to(ROOT))
    return sorted(found)


def read(path):
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


_TOKEN = re.compile(
    r'(?P<comment>/\*.*?\*/|//[^\n]*)|(?P<text>"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')', re.S)


def code_only(text):
    """C text with comments and the insides of literals blanked, lines kept where they are."""
    def blank(match):
        gone = match.group(0)
        if match.group("text"):
            return gone[0] + gone[-1]
        return re.sub(r"[^\n]", " ", gone)
    return _TOKEN.sub(blank, text)


def includes(text):
    """(line, name, is_foreign) of each #include; names are inside literals, so only comments go."""
    bare = _TOKEN.sub(lambda m: m.group(0) if m.group("text") else re.sub(r"[^\n]", " ", m.group(0)), text)
    for n, line in enumerate(bare.split("\n"), 1):
        match = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', line)
        if match:
            yield n, match.group(1) or match.group(2), match.group(1) is None


def run(*command, **options):
    return subprocess.run(command, text=True, capture_output=True, cwd=ROOT, **options)


def need(command):
    if not shutil.which(command):
        print(f"skipped: no {command} here")
        sys.exit(SKIP)


def finish(faults, checked, what):
    """Prints the faults one a line, and ends with their number as yes or no."""
    for fault in faults:
        print(fault)
    if not checked:
        print(f"nothing was checked: no {what} found")
        sys.exit(1)
    print(f"{checked} {what} checked, {len(faults)} faults")
    sys.exit(1 if faults else 0)


def expect(condition, message):
    """For a check that first proves that it can fail."""
    if not condition:
        print(f"the check itself is broken: {message}")
        sys.exit(1)


def kindred(*arguments):
    """Runs the built binary, or ends as skipped when there is none."""
    binary = os.environ.get("KINDRED_BIN", "")
    if not binary or not os.access(binary, os.X_OK):
        print("skipped: KINDRED_BIN names no program")
        sys.exit(SKIP)
    return subprocess.run([binary, *arguments], text=True, capture_output=True, stdin=subprocess.DEVNULL,
                          timeout=60, cwd=ROOT)
