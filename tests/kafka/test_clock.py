#!/usr/bin/python3
"""The wall clock jumps while instances run (tests/clock_shim.c): 40 days ahead and back, with nothing to
do for longer than a session after each jump, and a start a day behind. Nothing expires, nobody leaves
the group, every event is answered once; snapshots go on, and the newest is the one that a restart
takes."""

import os
import struct
import subprocess
import sys
import time

import stream

DAY = 86400_000
JUMPS = (40 * DAY, 0)


class Clock:
    """The clock of who runs with `env`, off by what is set."""

    def __init__(self, world):
        path, shim = os.path.join(world.folder, "clock"), os.path.join(world.folder, "clock_shim.so")
        source = os.path.join(os.environ["KINDRED_SOURCE"], "tests", "clock_shim.c")
        subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-O1", "-shared", "-fPIC", "-o", shim, source],
                       check=True)
        self.file = open(path, "w+b", buffering=0)
        self.jump(0)
        self.env = {"LD_PRELOAD": shim, "KINDRED_TEST_CLOCK": path}

    def jump(self, off_ms):
        self.file.seek(0)
        self.file.write(struct.pack("<q", off_ms))


def test_jumps(world):
    clock = Clock(world)
    both = {"snapshot__interval": "300ms", "retention": "35d", "ready__lag": 1000}
    def run(delivery):
        return world.run(delivery, group=delivery, env=clock.env, delivery=delivery,
                         snapshot__dir=world.snapshots(delivery), **both)
    runs = [run("exactly-once"), run("at-least-once")]
    for i in runs:
        i.joined()
    for off_ms in JUMPS:
        clock.jump(off_ms)
        until = time.monotonic() + stream.SESSION_MS / 1000 + 1
        while time.monotonic() < until:  # nothing to do: only heartbeats
            time.sleep(0.1)
            for i in runs:
                assert i.process.poll() is None, i.said()
        world.produce(60)
        stream.wait_for("updates of both", world.triggers, lambda t: len(t) >= 2 * world.sent)
    assert len(world.triggers()) == 2 * len(set(world.triggers())) == 2 * world.sent
    for i in runs:
        said = i.said()
        assert "again" not in said and "refused" not in said and said.count("the group gave") == 1, said
    newest = [max(n for n in os.listdir(world.snapshots(d)) if n.startswith("20"))
              for d in ("exactly-once", "at-least-once")]
    digests = [i.end() for i in runs]
    clock.jump(-DAY)  # the snapshots are from the future
    again = [run("exactly-once"), run("at-least-once")]
    for i, name in zip(again, newest):
        i.joined()
        taken = i.said().split("snapshot ")[1].split(":")[0]
        assert taken >= name, (taken, name)
        digests.append(i.end())
        assert "\n0 records" in i.said(), i.said()
    digests.append(world.run("plain", group="plain", output__start="latest", retention="35d")
                   .joined().end())
    assert len(set(digests)) == 1, digests


if __name__ == "__main__":
    if stream.is_sanitized("__tsan_init"):
        print("skipped: ThreadSanitizer's condition variables are not the ones whose clock jumps")
        sys.exit(77)
    stream.main(globals())
