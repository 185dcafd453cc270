#!/usr/bin/python3
"""Snapshots copied to a shared folder, on a real broker: a new machine starts from another's copy with
the same state; a damaged copy is refused by name; a copy that fails or hangs is said, counted, and harms
nothing else."""

import os
import re
import shutil
import subprocess
import time

import stream
from stream import wait_for
from test_awkward import delete_records


def names(folder):
    return sorted(n for n in os.listdir(folder) if n.startswith("20")) if os.path.isdir(folder) else []


def records(instance):
    """How many the instance was handed, by its last words."""
    return int(re.search(r"(\d+) records,", instance.said())[1])


def copying(world, name, **more):
    return {"snapshot__dir": world.snapshots(name), "snapshot__interval": "1h",
            "snapshot__copy__dir": world.snapshots("copies"), **more}


def spoil(folder, name):
    path = os.path.join(folder, name, "state.kds")
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) // 2)
        byte = f.read(1)
        f.seek(-1, 1)
        f.write(bytes([byte[0] ^ 1]))


def test_a_new_machine_starts_from_the_copy(world):
    copies = world.snapshots("copies")
    a = world.run("a", **copying(world, "a")).joined()
    world.produce(400, more=[{"type": "CatalogItem", "item_id": "i1", "title": "One",
                              "time": world.clock}])
    world.all_answered()
    first = a.end()
    assert "1 snapshots, 0 that failed; 1 copies of them, 0 that failed" in a.said(), a.said()
    assert len(names(copies)) == 1
    # Another machine, whose own folder is empty: the same state, and nothing is read.
    b = world.run("b", **copying(world, "b")).joined()
    assert f"snapshot {names(copies)[0]}, the copy in {copies}" in b.said(), b.said()
    assert b.end() == first and records(b) == 0, b.said()
    # A third one goes on from the copy, reads what came since, and answers it.
    world.produce(100)
    c = world.run("c", **copying(world, "c")).joined()
    world.all_answered()
    last = c.end()
    assert records(c) <= 200, c.said()
    assert last == world.run("plain", group="plain", output__start="latest").joined().end() != first
    # The first one's own is older than what the third one left there.
    d = world.run("a", **copying(world, "a")).joined()
    assert ", the copy in" in d.said(), d.said()
    assert d.end() == last
    # A damaged copy is refused by name; then its own, and the tail.
    newest = names(copies)[-1]
    shutil.rmtree(world.snapshots("a"))
    spoil(copies, newest)
    e = world.run("a", **copying(world, "a")).joined()
    assert f"snapshot {newest} in {copies} is refused" in e.said(), e.said()
    assert e.end() == last


def test_copies_that_fail(world):
    """The folder of copies is no folder, later it is away: said each time, counted, the work goes on."""
    copies = world.snapshots("copies")
    with open(copies, "w"):
        pass
    a = world.run("a", **copying(world, "a", snapshot__interval="300ms")).joined()
    a.says("no copy of snapshot 20")
    assert "Not a directory" in a.said(), a.said()
    world.produce(100)
    world.all_answered()
    os.unlink(copies)
    wait_for("a copy", lambda: names(copies), lambda n: n)
    world.produce(100)
    world.all_answered()
    a.end()
    said = re.search(r"(\d+) snapshots, 0 that failed; (\d+) copies of them, (\d+) that failed", a.said())
    assert said and int(said[1]) >= 2 and int(said[2]) >= 1 and int(said[3]) >= 1, a.said()


def test_a_copy_that_hangs(world):
    """A mount that does not answer: events are answered, snapshots are written; the end gives it up."""
    a = world.run("a", env={"KINDRED_FAULT": "copy.stall:1"},
                  **copying(world, "a", snapshot__interval="300ms", snapshot__keep=1)).joined()
    before = names(world.snapshots("a"))
    for _ in range(3):
        world.produce(60)
        world.all_answered()
        before = wait_for("another snapshot", lambda: names(world.snapshots("a")),
                          lambda n: n and n[-1:] != before[-1:])
    assert names(world.snapshots("copies")) == []
    began = time.monotonic()
    a.end()
    assert "the last snapshot is not copied yet" in a.said(), a.said()
    assert time.monotonic() - began < stream.LIMIT_S


def put(world, key, value):
    """Where murmur2 puts it, so that it replaces what is there."""
    subprocess.run(["kcat", "-b", stream.BROKERS, "-P", "-t", world.topic("copies"), "-k", key, "-D", "\x1e",
                    "-X", "topic.partitioner=murmur2_random"], input=value, check=True,
                   timeout=stream.LIMIT_S, capture_output=True)


def chunks(world):
    """Keys of the topic of copies that have a value: name -> parts."""
    alive = {}
    for key, value in world.read("copies"):
        name, part = key.decode().split("/", 1)
        if value is None:
            alive.get(name, {}).pop(part, None)
        else:
            alive.setdefault(name, {})[part] = value
    return {name: parts for name, parts in alive.items() if parts}


def to_topic(world):
    """Makes the topic of copies; the options of who writes there, by name."""
    stream.kindred("topics", "create", "-c", world.config("make", snapshot__copy__topic=world.topic("copies")))

    def options(name, **more):
        return {"snapshot__dir": world.snapshots(name), "snapshot__interval": "1h", "snapshot__keep": 2,
                "snapshot__copy__topic": world.topic("copies"), **more}
    return options


def test_a_new_machine_starts_from_the_topic(world):
    """No folder is shared: the newest whole snapshot of a compacted topic comes into an empty one."""
    options = to_topic(world)
    digests = []
    for _ in range(4):  # from nothing, then from its own; two are kept
        world.produce(200)
        a = world.run("a", **options("a")).joined()
        world.all_answered()
        digests.append(a.end())
        assert "1 copies of them, 0 that failed" in a.said(), a.said()
    kept = names(world.snapshots("a"))
    assert sorted(chunks(world)) == kept and len(kept) == 2, (sorted(chunks(world)), kept)
    assert all(sorted(parts) == ["manifest.yaml", "state.kds/000000"] for parts in chunks(world).values())
    # Its own are damaged: the topic's is the same one, and takes its place.
    for name in kept:
        spoil(world.snapshots("a"), name)
    a = world.run("a", **options("a")).joined()
    assert f"snapshot {kept[-1]} came from topic" in a.said(), a.said()
    assert a.end() == digests[-1] and records(a) == 0, a.said()
    kept = sorted(chunks(world))
    b = world.run("b", **options("b")).joined()
    assert f"snapshot {kept[-1]} came from topic {world.topic('copies')}" in b.said(), b.said()
    assert b.end() == digests[-1] and records(b) == 0, b.said()
    assert [n for n in os.listdir(world.snapshots("b")) if n.startswith(".tmp")] == []
    # A piece of the newest was lost on the way: refused by name, the one before comes.
    newest = sorted(chunks(world))[-1]
    put(world, f"{newest}/state.kds/000000", b"torn")
    c = world.run("c", **options("c")).joined()
    before = sorted(chunks(world))[-2]
    assert f"snapshot {newest} in the topic of copies is refused" in c.said(), c.said()
    assert f"snapshot {before} came from topic" in c.said(), c.said()
    assert c.end() == digests[-1]
    # A topic that is not there: said at the start and for each copy, and nothing else.
    d = world.run("d", **options("d", snapshot__copy__topic=world.topic("nowhere"))).joined()
    assert "no snapshot from topic" in d.said(), d.said()
    assert d.end() == digests[-1]
    assert "no copy of snapshot" in d.said() and "0 copies of them, 1 that failed" in d.said(), d.said()


def test_a_copy_of_no_use(world):
    """The topics no longer reach back, and the only copy is torn: as with a snapshot of no use."""
    options = to_topic(world)
    a = world.run("a", **options("a")).joined()
    world.produce(200)
    world.all_answered()
    a.end()
    put(world, f"{names(world.snapshots('a'))[0]}/state.kds/000000", b"torn")
    delete_records(world, "browse", -1)
    b = world.run("b", offset__out_dash_of_dash_range="stop", **options("b"))
    assert b.process.wait(timeout=stream.LIMIT_S) == 2, b.said()
    assert "no snapshot is fit, the topic begins at" in b.said(), b.said()
    c = world.run("c", **options("c")).joined()
    assert "the state is rebuilt without the records before" in c.said(), c.said()


if __name__ == "__main__":
    stream.main(globals())
