"""clang-format (the one of Debian 12, version 14) would change nothing: './dev format' rewrites."""

import re

from common import GENERATED, files, finish, need, run


def main():
    need("clang-format")
    version = run("clang-format", "--version").stdout
    if not re.search(r"version 14\.", version):
        print(f"skipped: the format is that of clang-format 14, this is {version.strip()}")
        raise SystemExit(77)
    paths = [str(p) for p in files(".c", ".h") if str(p) not in GENERATED]
    done = run("clang-format", "--dry-run", "--ferror-limit=1", *paths)
    wrong = sorted(set(re.findall(r"^([^:\n]+):\d+:\d+: warning: code should be clang-formatted", done.stderr, re.M)))
    finish([f"{p}: not formatted, run './dev format'" for p in wrong], len(paths), "files")


main()
