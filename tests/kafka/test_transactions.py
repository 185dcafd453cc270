#!/usr/bin/python3
"""delivery: exactly-once on a real broker: a read-committed reader sees each update exactly once, over
orderly restarts, kill -9 at random and between sending the offsets and the commit, aborted
transactions, and instances that come and go; a take-over does not wait for a dead one's transaction."""

import re
import threading
import time

import stream
from stream import wait_for

EXACTLY = {"delivery": "exactly-once", "ready__lag": 1000}  # under load nobody is ever at the end
CAUGHT_UP = EXACTLY | {"ready__lag": 0}  # a member only when everything is applied


def records(instance):
    return int(re.search(r"(\d+) records,", instance.said())[1])


def test_once_over_an_orderly_restart(world):
    a = world.run(**EXACTLY).joined()
    world.produce(400)
    world.all_answered()
    a.end()
    world.produce(50)
    b = world.run(**EXACTLY).joined()
    world.produce(50)
    world.all_answered()
    b.end()
    assert "did not give its partitions up" not in b.said(), b.said()


def test_an_aborted_transaction_goes_out_again_from_memory(world):
    a = world.run(env={"KINDRED_FAULT": "txn.abort:3"}, **EXACTLY).joined()
    for _ in range(5):
        world.produce(60)
        world.all_answered()
    a.end()
    assert "publishing it again" in a.said(), a.said()
    assert records(a) == world.sent, a.said()  # the input was not read again


def test_what_a_lost_transaction_published_is_news_again(world):
    """Lists are published when they change: those of a transaction that is gone were not, also where it
    is the first after a restart, which knows what was published before."""
    options = EXACTLY | {"emit": "on-change", "snapshot__dir": world.snapshots("a")}

    def visits(name):
        world.clock += 60000
        world.produce(more=[{"type": "BrowseEvent", "action": "VIEW", "event_id": f"{name}{k}", "user_id":
                             f"{name}{k}", "session_id": None, "item_id": f"i{k % 7}", "time": world.clock + k}
                            for k in range(40)])
        world.sent += 40
        world.all_answered()

    a = world.run(**options).joined()
    visits("x")
    a.end()
    b = world.run(env={"KINDRED_FAULT": "txn.dark:1"}, **options).joined()
    visits("y")
    assert "beginning anew from what is committed" in b.said(), b.said()
    b.end()


def test_killed_between_offsets_and_commit(world):
    for place in ("txn.before-commit:2", "txn.after-commit:2", "txn.before-commit:4"):
        a = world.run(env={"KINDRED_FAULT": place}, **EXACTLY)
        until = time.monotonic() + stream.LIMIT_S
        while a.process.poll() is None:  # until the fault has struck
            world.produce(40)
            assert time.monotonic() < until, a.said()
        assert a.process.returncode == -9
    b = world.run(**EXACTLY)
    world.all_answered()
    b.joined().end()
    assert "its transaction is ended" in b.said(), b.said()


def test_killed_at_random(world):
    for _ in range(5):
        a = world.run(**EXACTLY)
        for _ in range(world.rng.randrange(1, 6)):
            world.produce(world.rng.randrange(20, 150))
        a.kill()
    b = world.run(**EXACTLY)
    world.all_answered()
    b.joined().end()


def test_one_of_two_is_killed_under_load(world):
    """Also within a transaction; the other one takes over, and nobody waits for the timeout."""
    a = world.run("a", env={"KINDRED_FAULT": "txn.before-commit:6"}, **EXACTLY).joined()
    b = world.run("b", **EXACTLY).joined()
    reader, died = stream.Reader(world), []
    watch = threading.Thread(target=lambda: died.append(a.process.wait() and time.time()), daemon=True)
    watch.start()
    until = time.monotonic() + stream.LIMIT_S
    while a.process.poll() is None:
        world.produce(60)
        assert time.monotonic() < until, a.said()
    watch.join()
    world.produce(60)
    world.all_answered()
    wait_for("the reader", lambda: len(reader.rows), lambda n: n == world.sent)
    took = max(there for _, there, _ in reader.rows) / 1000 - died[0]
    print(f"all answered {took:.1f} s after the kill, session timeout {stream.SESSION_MS / 1000} s",
          end=" ", flush=True)
    assert "its transaction is ended" in b.said(), b.said()
    b.end()


def test_three_come_and_go(world):
    digests = []
    a = world.run("a", **EXACTLY).joined()
    b = world.run("b", **EXACTLY).joined()
    c = world.run("c", **EXACTLY).joined()
    world.produce(300)
    b.end()
    world.produce(200)
    b = world.run("b2", **EXACTLY).joined()
    world.produce(200)
    a.kill()
    world.produce(200)
    world.all_answered()
    for i in (b, c):
        # Each has read everything when it is a member; what it has not applied yet is not lost.
        digests.append(i.end())
    digests.append(world.run("d", **CAUGHT_UP).joined().end())
    assert len(set(digests)) == 1, digests


if __name__ == "__main__":
    stream.main(globals())
