#!/usr/bin/python3
"""Back-pressure: a producer far faster than the pipeline. Memory stays within the budget that
docs/performance.md states, whatever waits at the broker, and afterwards the lag falls to zero.

The pipeline stands still for ten seconds while everything is produced, which is as slow as it gets; then
it works off what came. Limits are set low, so that a queue without them would show."""

import os
import re
import sys

import stream
from stream import broker_tool, kindred, wait_for

EVENTS = 400_000
MIB = 1024 * 1024
LIMITS = {"kafka__queued.max.messages.kbytes": 4096, "kafka__fetch.message.max.bytes": 65536,
          "kafka__queue.buffering.max.kbytes": 4096}


def budget(partitions):
    """The formula of docs/performance.md, in bytes; nothing is caught up with here."""
    program = 64 * MIB
    waiting_in = 5 * (4096 * 1024 + partitions * 65536)
    waiting_out = 4096 * 1024 + 32 * MIB
    state = 60 * EVENTS
    return program + waiting_in + waiting_out + state


def peak(instance):
    with open(f"/proc/{instance.process.pid}/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+) kB", f.read())[1]) * 1024


def lag(world):
    """Of the group, over all partitions, by the broker's own tool."""
    out = broker_tool("consumer.group.ConsumerGroupCommand", "--describe", "--group", f"{world.id}-a").stdout
    rows = [row.split() for row in out.splitlines() if row.startswith(f"{world.id}-a ")]
    return sum(int(end if at == "-" else behind) for _, _, _, at, end, behind, *_ in rows)


def test_overload(world):
    path = os.path.join(world.folder, "many.jsonl")
    kindred("generate", "--events", str(EVENTS), "--no-catalog", "--out", path, "--quiet")
    a = world.run(usercf__neighbours=5, audience__max=20, recommend__count=3,
                  env={"KINDRED_FAULT": "source.stall:1"}, is_quiet=False, ready__lag=1000, **LIMITS).joined()
    kindred("produce", "-c", world.config("produce"), "--in", path, "--quiet")
    behind = lag(world)
    assert behind > 0
    wait_for("the lag", lambda: lag(world), lambda n: n == 0, 120)
    at_most, limit = peak(a), budget(16)
    print(f"lag {behind}, then 0; peak {at_most / MIB:.0f} MiB, budget {limit / MIB:.0f} MiB;", end=" ", flush=True)
    assert at_most <= limit, (at_most, limit)
    a.end()
    said = [int(x) for x in re.findall(r"  lag (\d+)", a.said())]
    assert max(said) > 1000, a.said()  # what it says of itself while it is behind


if __name__ == "__main__":
    if stream.is_sanitized("__asan_init", "__tsan_init"):
        print("skipped: a sanitizer's own memory is not in the budget")
        sys.exit(77)
    stream.main(globals())
