"""Subjects of commits: 'room: what changes', at most 60 characters; merges are as git writes them."""

import re
import shutil
import sys

from common import ROOT, SKIP, expect, finish, run

SUBJECT = re.compile(r"^(Merge |Revert )|^[a-z][a-z0-9_.-]*(, [a-z][a-z0-9_.-]*)*: \S.*[^.]$")


def fault_of(subject):
    if len(subject) > 60:
        return f"{len(subject)} characters long"
    return None if SUBJECT.match(subject) else "does not read 'room: what changes'"


def main():
    expect(fault_of("whatever") and fault_of("base: " + "x" * 60) and not fault_of("base: add heaps"), "fault_of")
    is_there = (ROOT / ".git").exists() and shutil.which("git")
    done = run("git", "log", "--format=%h %s") if is_there else None
    if not done or done.returncode != 0:
        print("skipped: no history here")
        sys.exit(SKIP)
    subjects = [line.split(" ", 1) for line in done.stdout.splitlines()]
    faults = [f"{commit}: '{subject}' {fault_of(subject)}" for commit, subject in subjects if fault_of(subject)]
    finish(faults, len(subjects), "commits")


main()
