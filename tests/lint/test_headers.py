"""Each header compiles alone, twice in one file, under both compilers, and is guarded by its name."""

import re
import subprocess

from common import ROOT, expect, files, finish, need, read

FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Werror", "-fsyntax-only", "-I.",
         "-Itests", "-x", "c", "-"]


def compiles(compiler, source):
    done = subprocess.run([compiler, *FLAGS], input=source, text=True, capture_output=True, cwd=ROOT)
    return done.returncode == 0, done.stderr.strip()


def guard_of(text):
    match = re.search(r"^#ifndef\s+(\w+)\n#define\s+(\w+)\n", text, re.M)
    return match.group(1) if match and match.group(1) == match.group(2) else None


def main():
    compilers = ("gcc", "clang")
    for compiler in compilers:
        need(compiler)
        expect(not compiles(compiler, "size_t x;\n")[0], f"{compiler} accepts size_t out of nothing")
    expect(guard_of("/* x */\n#ifndef KD_A_H\n#define KD_A_H\n") == "KD_A_H" and not guard_of("int x;"), "guard_of")

    faults = []
    headers = files(".h")
    for header in headers:
        guard = guard_of(read(header))
        if not guard or not re.fullmatch(r"KD_\w+_H", guard):
            faults.append(f"{header}: its guard is {guard}, not KD_..._H")
        for compiler in compilers:
            fine, message = compiles(compiler, f'#include "{header}"\n#include "{header}"\ntypedef int kd_some;\n')
            if not fine:
                faults.append(f"{header}: does not compile alone with {compiler}:\n{message}")
    finish(faults, len(headers), "headers")


main()
