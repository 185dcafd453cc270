#!/usr/bin/python3
"""Restarts on a real broker: an instance goes on from its newest snapshot and the tail of the topics,
with the state that the topics alone give; a killed one from the last that was written; a damaged
one is refused by name and the one before used; what was published is not published again."""

import os
import re
import shutil
import subprocess

import stream
from stream import kindred, wait_for
from test_awkward import broker_tool, delete_records


def names(world, name="a"):
    folder = world.snapshots(name)
    return sorted(n for n in os.listdir(folder) if n.startswith("20")) if os.path.isdir(folder) else []


def records(instance):
    """How many the instance was handed, by its last words."""
    return int(re.search(r"(\d+) records,", instance.said())[1])


def digest_of_the_log(world):
    """The state of an instance of another group, from the topics alone."""
    return world.run("plain", group="plain", output__start="latest").joined().end()


def test_restart_goes_on_from_the_snapshot(world):
    options = {"snapshot__dir": world.snapshots("a"), "snapshot__interval": "1h"}
    a = world.run(**options).joined()
    world.produce(400, more=[{"type": "CatalogItem", "item_id": "i1", "title": "One",
                              "time": world.clock}])
    world.all_answered()
    first = a.end()
    assert len(names(world)) == 1
    shown = kindred("state", "show", world.snapshots("a")).stdout
    assert first in shown and world.topic("browse") + "[0] goes on at" in shown, shown
    assert "is whole" in kindred("state", "verify", world.snapshots("a")).stdout
    # Nothing came: the same state, and nothing is read or answered again.
    b = world.run(**options).joined()
    assert b.end() == first
    assert "0 records" in b.said() and "snapshot 20" in b.said(), b.said()
    # What came while it was away is answered by the next one, which reads just that.
    world.produce(100)
    c = world.run(**options).joined()
    world.all_answered()
    last = c.end()
    assert records(c) <= 200, c.said()  # those, and once more to answer them
    assert last == digest_of_the_log(world) != first
    kindred("state", "diff", *(os.path.join(world.snapshots("a"), n) for n in names(world)[-2:]),
            code=4)


def test_killed_goes_on_from_the_last_one_written(world):
    options = {"snapshot__dir": world.snapshots("a"), "snapshot__interval": "1s"}
    a = world.run(**options).joined()
    world.produce(300)
    world.all_answered()
    n = len(names(world))
    wait_for("a snapshot", lambda: names(world), lambda s: len(s) >= min(n + 1, 3))
    world.produce(100)
    a.kill()
    b = world.run(**options)
    world.all_answered(exactly_once=False)
    assert "snapshot 20" in b.said(), b.said()
    assert b.joined().end() == digest_of_the_log(world)


def test_how_far_a_start_is(world):
    """Records to read, how many were read, at what rate and how long it will take; then that it is done."""
    world.produce(3000)
    a = world.run(env={"KINDRED_FAULT": "catchup.say:1"}, epoch__max=100).joined()
    a.kill()
    said = a.said()
    assert "catching up: 3000 records to read in 16 partitions" in said, said
    lines = [tuple(map(int, m)) for m in re.findall(
        r"catching up: (\d+) of (\d+) records \((\d+) %\), \d+/s, \d+:\d\d left", said)]
    assert len(lines) >= 10 and lines == sorted(lines), said
    assert all(total == 3000 and percent == done * 100 // 3000 for done, total, percent in lines), lines
    assert re.search(r"caught up: 3000 records in [\d.]+ s, \d+/s; joining the group", said), said
    b = world.run("b", group="b", ready__lag=5000).joined()  # is as good as there: nothing to say
    b.end()
    assert "caught up" not in b.said() and "catching up" not in b.said(), b.said()


def test_damaged_is_refused_by_name(world):
    options = {"snapshot__dir": world.snapshots("a"), "snapshot__interval": "1h"}
    a = world.run(**options).joined()
    world.produce(200)
    world.all_answered()
    a.end()
    world.produce(50)
    b = world.run(**options).joined()
    world.all_answered()
    digest = b.end()
    newest = names(world)[-1]
    path = os.path.join(world.snapshots("a"), newest, "state.kds")
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) // 2)
        byte = f.read(1)
        f.seek(-1, 1)
        f.write(bytes([byte[0] ^ 1]))
    assert "NOT whole" in kindred("state", "verify", world.snapshots("a"), code=4).stdout
    c = world.run(**options).joined()
    assert c.end() == digest
    assert f"snapshot {newest} is refused" in c.said(), c.said()
    assert records(c) <= 100, c.said()
    d = world.run(history__max=20, **options).joined()  # another state: from the topics' start
    d.end()
    assert "made with history.max=50, and now it is 20" in d.said(), d.said()


def test_another_version_is_rebuilt_from_the_log(world):
    """A layout that this program does not know is refused by name, never guessed; the topics are read
    instead, and where they no longer reach back that is said, or ends the start if told to."""
    options = {"snapshot__dir": world.snapshots("a"), "snapshot__interval": "1h"}
    a = world.run(**options).joined()
    world.produce(200)
    world.all_answered()
    a.end()
    for fault, version in ("older", 0), ("newer", 2):
        shutil.rmtree(world.snapshots("a"))
        b = world.run(env={"KINDRED_FAULT": f"snapshot.{fault}:1"}, **options).joined()
        digest = b.end()
        assert f"version {version}" in kindred("state", "show", world.snapshots("a")).stdout
        assert "this program knows 1" in kindred("state", "verify", world.snapshots("a"), code=4).stdout
        c = world.run(**options).joined()  # rebuilt, and from now on in this version's layout
        said = c.said()
        assert f"snapshot {names(world)[0]} is refused" in said and \
            f"it is of state version {version}, this program knows 1" in said and \
            "reading the topics from their start" in said, said
        assert "the state is rebuilt without" not in said, said
        assert c.end() == digest == digest_of_the_log(world)
        assert records(c) == 200, c.said()
        d = world.run(**options).joined()
        assert d.end() == digest and records(d) == 0, d.said()
    # The topics no longer reach back, and the only snapshot is of no use.
    shutil.rmtree(world.snapshots("a"))
    world.run(env={"KINDRED_FAULT": "snapshot.older:1"}, **options).joined().end()
    delete_records(world, "browse", -1)
    e = world.run(offset__out_dash_of_dash_range="stop", **options)
    assert e.process.wait(timeout=stream.LIMIT_S) == 2, e.said()
    assert re.search(r"browse\[\d\]: no snapshot is fit, the topic begins at \d+, so the state cannot be "
                     r"rebuilt whole, and offset.out-of-range is stop", e.said()), e.said()
    f = world.run(**options).joined()
    assert re.search(r"browse\[\d\]: no snapshot is fit, and the topic begins at \d+: the state is rebuilt "
                     r"without the records before", f.said()), f.said()
    assert f.end() == digest_of_the_log(world)


def test_a_stale_snapshot_reads_the_catalogue_anew(world):
    """A removal that compaction has taken out of the topic is not missed: what the catalogue no longer
    has is swept out of an old snapshot's state, and only then."""
    options = {"snapshot__dir": world.snapshots("a"), "snapshot__interval": "1h", "content": "on"}
    def product(n, k=0):
        return {"type": "CatalogItem", "item_id": f"i{n}", "title": f"Lamp number {n}",
                "time": world.clock + k}
    def products():
        shown = kindred("state", "show", world.snapshots("a")).stdout
        return int(re.search(r"products +(\d+)", shown)[1])

    def new_topic(kept_ms):
        """A topic that takes the deletion of records, which here stands for compaction."""
        broker_tool("TopicCommand", "--delete", "--topic", world.topic("catalog"))
        wait_for("deletion", lambda: subprocess.run(
            ["kcat", "-b", stream.BROKERS, "-L"], capture_output=True, text=True).stdout,
            lambda s: f'"{world.topic("catalog")}"' not in s)
        broker_tool("TopicCommand", "--create", "--topic", world.topic("catalog"), "--partitions", "4",
                    "--config", "cleanup.policy=delete", "--config", "retention.ms=-1",
                    "--config", f"delete.retention.ms={kept_ms}")

    new_topic(86400_000)
    world.produce(100, more=[product(n) for n in range(6)])
    world.run(env={"KINDRED_FAULT": "snapshot.stale:1"}, **options).joined().end()
    assert products() == 6
    fresh = os.path.join(world.folder, "fresh")
    world.run(snapshot__dir=fresh, **{k: v for k, v in options.items() if "dir" not in k}) \
        .joined().end()
    # Four of them are removed, and the topic remembers neither them nor their removal.
    delete_records(world, "catalog", -1)
    world.produce(20, more=[product(n, 1) for n in range(2)] + [product(99, 2)])
    a = world.run(**options).joined()
    world.all_answered()
    assert "(delete.retention.ms): reading the catalogue anew" in a.said(), a.said()
    digest = a.end()
    assert products() == 3, products()
    plain = world.run("plain", group="plain", output__start="latest", content="on").joined().end()
    assert digest == plain, (digest, plain)
    assert "is whole" in kindred("state", "verify", world.snapshots("a")).stdout
    # A fresh one trusts the topic: it would have read a removal.
    shutil.rmtree(world.snapshots("a"))
    os.rename(fresh, world.snapshots("a"))
    b = world.run(**options).joined()
    assert "catalogue anew" not in b.said(), b.said()
    b.end()
    assert products() == 7
    # How long is the topic's to say.
    new_topic(1)
    world.produce(more=[product(5, 3)])
    c = world.run(**options).joined()
    assert "(delete.retention.ms): reading the catalogue anew" in c.said(), c.said()
    c.end()
    assert products() == 1


def test_what_was_published_is_not_published_again(world):
    """emit: on-change over an orderly restart: an event that changes no list publishes nothing."""
    options = {"snapshot__dir": world.snapshots("a"), "snapshot__interval": "1h",
               "emit": "on-change", "recommend__fill": "none"}
    event = {"type": "BrowseEvent", "event_id": "x", "user_id": "ann", "session_id": None,
             "item_id": "lamp", "action": "VIEW", "time": world.clock}
    other = dict(event, user_id="bob", item_id="desk", time=world.clock + 1000)
    def marker(k):  # one partition: when this one is answered, so are those before it
        return dict(event, user_id=f"new{k}", item_id=f"m{k}", time=world.clock + 2000 + k)

    def published():
        return [k.decode() for k, v in world.read("recommendations")]

    def wait_marker(k):
        wait_for("the marker", published, lambda keys: f"new{k}" in keys)

    a = world.run(**options).joined()
    world.produce(more=[event, other, marker(0), event, other, marker(1)])
    wait_marker(1)
    a.end()
    known = published()
    b = world.run(**options).joined()
    world.produce(more=[event, other, marker(2)])
    wait_marker(2)
    assert published() == known + ["new2"], (known, published())
    b.kill()  # what was published since the last snapshot is not known: the first one comes again
    c = world.run(**options).joined()
    world.produce(more=[event, marker(3)])
    wait_marker(3)
    assert published() == known + ["new2", "ann", "new3"], (known, published())
    c.end()


test_what_was_published_is_not_published_again.partitions = 1


if __name__ == "__main__":
    stream.main(globals())
