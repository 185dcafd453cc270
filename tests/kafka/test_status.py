#!/usr/bin/python3
"""What the status line says when it cannot know: brokers that say nothing or are gone, and the partitions
of an instance that died."""

import re
import signal

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
    options = {"kafka__session.timeout.ms": 20000, "ready__lag": 1000, "delivery": "exactly-once"}
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


if __name__ == "__main__":
    broker = Broker()
    stream.BROKERS = f"127.0.0.1:{broker.port}"
    try:
        stream.main(globals())
    finally:
        broker.close()
