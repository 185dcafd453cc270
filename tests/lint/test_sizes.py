"""No file above 800 lines; those above 500 are named, since they are on their way there."""

from common import GENERATED, ROOMS, ROOT, expect, files, finish, read

AIM, LIMIT = 500, 800


def lines_of(text):
    return len(text.splitlines())


def main():
    expect(lines_of("a\nb\n") == 2, "lines_of")
    faults = []
    paths = [p for p in files(".c", ".h", ".py", ".sh", ".cmake") if str(p) not in GENERATED]
    for path in paths:
        n = lines_of(read(path))
        if n > LIMIT:
            faults.append(f"{path}: {n} lines, the limit is {LIMIT}: split it by phase")
        elif n > AIM:
            print(f"note: {path} has {n} lines")
    for room in ROOMS:
        if not (ROOT / room / "README.md").is_file():
            faults.append(f"{room}: has no README.md")
    finish(faults, len(paths), "files")


main()
