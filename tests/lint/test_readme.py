"""docs/OPTIONS.md says what the program says, and so do the rows that README's table has; links lead somewhere.

With --write both are brought up to date: KINDRED_BIN=build/dev/kindred tests/lint/test_readme.py --write
"""

import pathlib
import re
import sys

from common import ROOT, expect, files, finish, kindred, read

HEADING = "| option | default | what it is |\n|---|---|---|\n"


def rows_of(markdown):
    """name: the cells of each row of `kindred config --markdown`."""
    rows = {}
    for line in markdown.splitlines():
        match = re.match(r"\| `([^`]+)` \| (.*) \|$", line)
        if match:
            rows[match.group(1)] = match.group(2).split(" | ")
    return rows


def readme_table(rows):
    table = ""
    for name, (default, values, what) in rows.items():
        choice = f" One of {values}." if "," in values and not re.search(r"\d", values) else ""
        table += f"| `{name}` | {default or '(empty)'} | {what}{choice} |\n"
    return table


def broken_links(path, text):
    faults = []
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not re.match(r"[a-z]+:", target) and not (ROOT / path).parent.joinpath(target).exists():
            faults.append(f"{path}: links to {target}, which is not there")
    return faults


def main():
    expect(broken_links(pathlib.Path("README.md"), "[a](no/such/thing)"), "a broken link passes")
    expect(list(rows_of("| `a.b` | `1` | 1 to 2 | Text. |")["a.b"]) == ["`1`", "1 to 2", "Text."], "rows_of")

    done = kindred("config", "--markdown")
    expect(done.returncode == 0, f"kindred config --markdown: {done.stderr}")
    rows = rows_of(done.stdout)
    expect(rows, "kindred config --markdown has no rows")
    wanted = {line.split("`")[1]: line for line in readme_table(rows).splitlines()}
    readme = read("README.md")
    found = re.search(re.escape(HEADING) + r"((?:\|.*\n)*)", readme)
    expect(found and found.group(1), "README.md has no table of options")
    have = {line.split("`")[1]: line for line in found.group(1).splitlines()}
    if "--write" in sys.argv:
        table = "".join(wanted[name] + "\n" for name in have if name in wanted)
        (ROOT / "README.md").write_text(readme.replace(found.group(0), HEADING + table), encoding="utf-8")
        (ROOT / "docs/OPTIONS.md").write_text(done.stdout, encoding="utf-8")
        return
    faults = [f"README.md: is there, but not so: {line}" for name, line in have.items() if line != wanted.get(name)]
    if not (ROOT / "docs/OPTIONS.md").is_file() or read("docs/OPTIONS.md") != done.stdout:
        faults.append("docs/OPTIONS.md: is not what 'kindred config --markdown' prints")
    texts = files(".md") + files(".md", under=("docs",)) + [pathlib.Path("README.md"), pathlib.Path("CHANGELOG.md")]
    for path in texts:
        faults += broken_links(path, read(path))
    finish(faults, len(texts) + len(have), "texts and rows")


main()
