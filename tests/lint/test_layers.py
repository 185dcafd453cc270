"""Which room may include which, and which file may see a foreign library (DESIGN.md section 7)."""

import collections
import pathlib

from common import ROOMS, code_only, expect, files, finish, includes, read

MAY_INCLUDE = {
    "base": {"base"},
    "schemas": {"base", "schemas"},
    "consumers": {"base", "schemas", "consumers"},
    "operators": {"base", "schemas", "operators"},
    "sinks": {"base", "schemas", "sinks"},
    "evaluation": {"base", "schemas", "evaluation"},
    "topology": {"base", "schemas", "consumers", "operators", "sinks", "evaluation", "topology"},
    "cli": {"base", "schemas", "consumers", "operators", "sinks", "evaluation", "topology", "cli"},
}

# The oracle must not share a mistake with what it judges; a unit test sees its own room's world only.
TESTS_MAY_INCLUDE = {
    "tests/oracle": {"base", "schemas", "oracle"},
    "tests/op": MAY_INCLUDE["operators"] | {"oracle", "op"},
    **{f"tests/unit/{room}": MAY_INCLUDE[room] | {room} for room in ROOMS if room != "cli"},
}

# header prefix: (places that may include it, how many files may)
FOREIGN = {
    "avro": (("schemas/",), 1),
    "jansson.h": (("schemas/",), 1),
    "curl/": (("schemas/",), 1),
    "yaml.h": (("base/",), 1),
    "zlib.h": (("base/",), 2),  # streams (gz.c) and blocks (flate.c)
    "xxhash.h": (("base/",), 1),
    "librdkafka/": (("consumers/kafka_", "sinks/kafka_"), None),
    "cblas.h": (("operators/",), 1),
    "unicode/": (("operators/",), 1),
    "libstemmer.h": (("operators/",), 1),
    "sodium.h": (("operators/",), None),
    "uv.h": (("topology/",), None),
    "cmocka.h": (("tests/",), None),
}

# What the C library and the system give; anything else in <> is a library nobody has agreed to.
LIBC = set("""alloca assert complex ctype dirent dlfcn endian errno fcntl fenv float fnmatch ftw getopt glob
inttypes iso646 langinfo limits locale math netdb poll pthread pwd regex sched search semaphore setjmp
signal spawn stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string strings
syslog tgmath threads time unistd wchar wctype arpa/inet netinet/in netinet/tcp sys/eventfd sys/file sys/ioctl
sys/mman sys/random sys/resource sys/select sys/socket sys/stat sys/statvfs sys/time sys/types sys/uio
sys/un sys/utsname sys/wait malloc execinfo""".split())


def allowed_rooms(path):
    path = str(path)
    if not path.startswith("tests/"):
        return MAY_INCLUDE[path.split("/")[0]]
    for folder, rooms in TESTS_MAY_INCLUDE.items():
        if path.startswith(folder + "/"):
            return rooms
    return None


def check(path, text, users):
    """Faults of one file; adds it to the users of each foreign header it includes."""
    faults = []
    rooms = allowed_rooms(path)
    room = str(path).split("/")[0]
    for line, name, is_foreign in includes(text):
        where = f"{path}:{line}: "
        if not is_foreign:
            target = name.split("/")[0]
            if "/" not in name:
                if room != "tests":
                    faults.append(where + f'"{name}" is included without its room')
            elif rooms is not None and target not in rooms and target in ROOMS:
                faults.append(where + f"{room} may not include {target}")
            elif target == "cli" and room != "cli":
                faults.append(where + "nobody includes cli")
            continue
        if name.removesuffix(".h") in LIBC:
            continue
        prefix = next((p for p in FOREIGN if name.startswith(p)), None)
        if prefix is None:
            faults.append(where + f"<{name}> is of no library that Kindred leans on")
            continue
        places, _ = FOREIGN[prefix]
        if room == "tests" and prefix != "avro":
            continue  # tests may drive a library directly, except the one that is not thread-safe
        if not str(path).startswith(places) and room != "tests":
            faults.append(where + f"<{name}> belongs into {' or '.join(places)}")
        if pathlib.Path(path).suffix == ".h" and not str(path).endswith("_internal.h"):
            faults.append(where + f"<{name}> in a header: foreign types stay in the .c")
        if room != "tests":
            users[prefix].add(str(path))
    return faults


def check_users(users):
    faults = []
    for prefix, paths in users.items():
        most = FOREIGN[prefix][1]
        if most is not None and len(paths) > most:
            faults.append(f"<{prefix}> is included by {len(paths)} files, {most} may: {', '.join(sorted(paths))}")
    return faults


def main():
    def try_one(path, text):
        return check(path, text, collections.defaultdict(set))
    expect(try_one("sinks/a.c", '#include "operators/state.h"\n'), "sinks may include operators")
    expect(try_one("operators/a.c", "#include <librdkafka/rdkafka.h>\n"), "operators may include rdkafka")
    expect(try_one("base/a.c", "#include <boost.h>\n"), "an unknown library passes")
    expect(try_one("tests/oracle/a.c", '#include "operators/state.h"\n'), "the oracle may include operators")
    expect(not try_one("sinks/a.c", '/* #include "operators/x.h" */\n#include "sinks/kd_sink.h"\n'), "comments count")
    expect(check_users({"avro": {"schemas/a.c", "schemas/b.c"}}), "two files may include avro")
    expect(code_only('a /* b */ "c"').split() == ["a", '""'], "code_only")

    users, faults = collections.defaultdict(set), []
    paths = files(".c", ".h")
    for path in paths:
        faults += check(path, read(path), users)
    finish(faults + check_users(users), len(paths), "files")


main()
