#!/usr/bin/python3
"""Brokers that say nothing or are gone: what an instance says of itself meanwhile, how it starts, and that it
can be ended; and what it says while another one is dead and nobody has noticed."""

import re
import shutil
import signal
import subprocess
import time

import stream
from broker import Broker
from stream import wait_for

LAG = r"  lag [^\n]*"


def last_line(instance):
    lines = re.findall(LAG, instance.said())
    return lines[-1].strip() if lines else ""


def says_last(instance, pattern):
    wait_for(f"a status line \"{pattern}\"", lambda: last_line(instance), lambda s: re.fullmatch(pattern, s))


def test_brokers_away(world):
    """Silent, then gone: no lag is claimed while nobody answers, and it is again when they are back."""
    world.produce(40)
    a = world.run(is_quiet=False).joined()
    says_last(a, "lag 0")
    for away, back in ((lambda: broker.process.send_signal(signal.SIGSTOP),
                        lambda: broker.process.send_signal(signal.SIGCONT)),
                       (lambda: broker.stop(signal.SIGKILL), broker.start)):
        away()
        try:
            says_last(a, r"lag unknown, brokers silent for \d+ s")
        finally:
            back()
        says_last(a, "lag 0")
        world.produce(20)
        world.all_answered(exactly_once=False)
    assert a.said().count("no broker can be reached") >= 1, a.said()
    a.end()


def test_partitions_of_one_that_died(world):
    """All is read, and it is not said that all is answered: a part of the partitions is another's."""
    options = {"kafka__session.timeout.ms": 10000, "ready__lag": 1000, "delivery": "exactly-once"}
    a = world.run("a", is_quiet=False, **options).joined()
    b = world.run("b", **options).joined()
    world.produce(40)
    world.all_answered()
    says_last(a, "lag 0  answers 8 of 16 partitions")
    b.kill()
    world.produce(200)
    says_last(a, "lag 0  answers 8 of 16 partitions")
    world.all_answered()
    says_last(a, "lag 0")
    a.end()


def catches_sigterm(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"SigCgt:\s+(\w+)", f.read())[1], 16) >> (signal.SIGTERM - 1) & 1


def test_start_with_a_snapshot(world):
    """How long the topic keeps removals is asked when somebody answers, not guessed; and who waits for
    that ends when told to."""
    options = {"snapshot__dir": world.snapshots("a"), "snapshot__interval": "1h"}
    subprocess.run(["java", "-cp", broker.lib, "kafka.admin.ConfigCommand", "--bootstrap-server", stream.BROKERS,
                    "--alter", "--topic", world.topic("catalog"), "--add-config", "delete.retention.ms=1"],
                   check=True, capture_output=True, timeout=stream.LIMIT_S)
    world.produce(20, more=[{"type": "CatalogItem", "item_id": "i1", "title": "One", "time": world.clock}])
    first = world.run(**options).joined()
    world.all_answered()
    digest = first.end()
    shutil.copytree(world.snapshots("a"), world.snapshots("b"))
    broker.stop(signal.SIGKILL)
    try:
        a = world.run(**options).says("trying again")
        assert "catalogue anew" not in a.said(), a.said()
        for wait in ("snapshot 20", "trying again"):  # in the first call, and in a later one
            b = world.run("b", snapshot__dir=world.snapshots("b")).says(wait)
            wait_for("a handler", lambda: catches_sigterm(b.process.pid), lambda is_there: is_there)
            began = time.monotonic()
            b.process.send_signal(signal.SIGTERM)
            assert b.process.wait(timeout=5) == 0, b.said()
            print(f"ended in {time.monotonic() - began:.2f} s,", end=" ", flush=True)
    finally:
        broker.start()
    a.joined()
    assert "(delete.retention.ms): reading the catalogue anew" in a.said(), a.said()
    assert a.end() == digest


if __name__ == "__main__":
    broker = Broker()
    stream.BROKERS = f"127.0.0.1:{broker.port}"
    try:
        stream.main(globals())
    finally:
        broker.close()
