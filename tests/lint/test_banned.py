"""Calls and words that STYLE forbids: unbounded string functions, hidden state, unfinished work."""

import re

from common import GENERATED, code_only, expect, files, finish, read

CALLS = {
    "sprintf": "snprintf or kd_buf", "vsprintf": "vsnprintf or kd_buf", "strcpy": "memcpy of a known length",
    "strcat": "kd_buf", "stpcpy": "memcpy of a known length", "strncpy": "memcpy of a known length",
    "strncat": "kd_buf", "gets": "fgets", "atoi": "a checked parse", "atol": "a checked parse",
    "atoll": "a checked parse", "atof": "a checked parse", "strtok": "a scan by index", "rand": "base/rng.h",
    "srand": "base/rng.h", "random": "base/rng.h", "drand48": "base/rng.h", "alloca": "an arena",
    "localtime": "base/timefmt.h", "gmtime": "base/timefmt.h", "ctime": "base/timefmt.h",
    "asctime": "base/timefmt.h", "mktime": "base/timefmt.h", "setlocale": "nothing: bytes are bytes",
    "system": "nothing", "popen": "nothing", "tmpnam": "mkstemp", "mktemp": "mkstemp",
    "avro_strerror": "an own message: it is one static buffer for all threads",
}
BANNED = re.compile(r"(?<![\w.>])(" + "|".join(CALLS) + r")\s*\(")
EXIT = re.compile(r"(?<![\w.>])(_exit|exit|quick_exit)\s*\(")
PROJECT_IFDEF = re.compile(r"^\s*#\s*(ifdef\s+KD_|if\s+!?\s*defined\s*\(?\s*KD_)")
# Waiting is for what happens, not for how long it might take.
SLEEP = re.compile(r"(?<![\w.>])(sleep|usleep)\s*\(")

WORDS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b|not (yet )?imple" r"mented|unimple" r"mented", re.I)
MACHINE = re.compile(r"(?<![\w.])/(work|root|home)/[\w.]|\b(127\.0\.0\.1|localhost):\d{4,5}\b")
PORT_IS_FINE = re.compile(r"^(README\.md|docs/|docker|Dockerfile|topology/|cli/|.*README\.md|CHANGELOG)")


def check_code(path, text):
    faults = []
    is_test = path.startswith("tests/")
    for n, line in enumerate(code_only(text).split("\n"), 1):
        for match in BANNED.finditer(line):
            if is_test and match.group(1) in ("system", "popen", "avro_strerror"):
                continue
            faults.append(f"{path}:{n}: {match.group(1)}(): use {CALLS[match.group(1)]}")
        if EXIT.search(line) and not is_test and path != "cli/main.c":
            faults.append(f"{path}:{n}: exit() below main: return a code")
        if SLEEP.search(line) and not is_test:
            faults.append(f"{path}:{n}: sleep: wait for the event or use the loop's timer")
        if PROJECT_IFDEF.search(line) and "_H" not in line:
            faults.append(f"{path}:{n}: project flags are tested with #if FLAG")
    return faults


def check_words(path, text):
    faults = []
    for n, line in enumerate(text.split("\n"), 1):
        match = WORDS.search(line)
        if match:
            faults.append(f"{path}:{n}: '{match.group(0)}': finish it, or open an issue")
        match = MACHINE.search(line)
        if match and not (match.group(2) and PORT_IS_FINE.match(path)):
            faults.append(f"{path}:{n}: '{match.group(0)}' belongs to one machine")
    return faults


def main():
    expect(check_code("base/a.c", "x = strcpy(a, b);"), "strcpy passes")
    expect(check_code("base/a.c", "exit(1);") and not check_code("cli/main.c", "exit(1);"), "exit")
    expect(not check_code("base/a.c", '/* strcpy(a, b) */ f("gets(x)"); kd_rand(); op->exit(1);'), "comments count")
    expect(check_code("base/a.c", "#ifdef KD_FLAG") and not check_code("base/a.h", "#ifdef KD_A_H"), "ifdef")
    expect(check_words("a.c", "/* TO" "DO: x */") and check_words("a.c", "/ho" "me/me/x"), "words")

    faults = []
    code = files(".c", ".h")
    for path in code:
        if str(path) not in GENERATED:
            faults += check_code(str(path), read(path))
    texts = code + files(".md", ".yaml", ".yml", ".py", ".sh", ".txt", ".cmake", ".avsc") + [
        p for p in files(".md", ".yml", ".txt", ".json", "", under=(".",))
        if len(p.parts) == 1 and p.name not in ("LICENSE", ".git")] + files(".md", under=("docs",))
    for path in texts:
        faults += check_words(str(path), read(path))
    finish(faults, len(texts), "files")


main()
