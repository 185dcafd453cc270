"""No mutable statics: looks for writable data in the object files of the rooms, where nothing hides."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

from common import ROOMS, SKIP, expect, finish, need

# symbol: why it may be there
ALLOWED = {"stop_asked": "a signal handler is given no argument (cli)"}


def writable(listing):
    """Names of the objects in writable sections; what is constant after relocation is constant."""
    names = []
    for line in listing.splitlines():
        match = re.match(r"^[0-9a-f]+ (.{7}) (\S+)\s+[0-9a-f]+\s+(?:\.hidden )?(\S+)$", line)
        if not match:
            continue
        flags, section, name = match.groups()
        is_writable = re.match(r"\.(data|bss|tdata|tbss)(\.|$)|\*COM\*", section) \
            and not section.startswith(".data.rel.ro")
        if is_writable and "d" not in flags:
            names.append(name)
    return names


def listing_of(path):
    return subprocess.run(["objdump", "-t", path], text=True, capture_output=True, check=True).stdout


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "a.c"
        source.write_text("static int counter; static const char *const t[] = {\"a\"}; int g = 3;\n"
                          "static _Thread_local int tl;\n"
                          "int f(int i) { static long calls; calls++; counter++; tl++; return t[i][0] + calls + counter + tl; }\n")
        subprocess.run(["gcc", "-fPIE", "-O1", "-c", str(source), "-o", folder + "/a.o"], check=True)
        names = " ".join(writable(listing_of(folder + "/a.o")))
        expect("counter" in names and "calls" in names and " g" in f" {names}" and "tl" in names, f"found only '{names}'")
        expect(not re.search(r"\bt\b", names), "a constant table counts as mutable")


def main():
    need("objdump")
    need("gcc")
    self_test()
    build = pathlib.Path(os.environ.get("KINDRED_BUILD", ""))
    libraries = [p for p in (build / f"libkd_{room}.a" for room in ROOMS) if p.is_file()]
    if not os.environ.get("KINDRED_BUILD") or not libraries:
        print("skipped: no build to look into")
        sys.exit(SKIP)
    libraries += sorted((build / "CMakeFiles/kindred.dir/cli").glob("*.o"))
    faults = []
    for library in libraries:
        for name in writable(listing_of(library)):
            plain = re.sub(r"\.\d+$", "", name)
            if plain not in ALLOWED:
                faults.append(f"{library.name}: {plain} is mutable and static: give it an owner")
    finish(faults, len(libraries), "libraries and objects")


main()
