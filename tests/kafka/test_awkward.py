#!/usr/bin/python3
"""The awkward cases, each with its documented outcome (README, "Restart and recovery"): positions that
the broker no longer has, a snapshot newer than the log, control records at a partition's end,
partitions added, two instances with one transactional id, an instance that stood still, an output
too large for its topic, a registry that is gone, full and missing disks."""

import json
import os
import re
import signal
import struct
import subprocess
import time
import urllib.request

import stream
from proxy import Proxy
from stream import broker_tool, kindred, wait_for

EXACTLY = {"delivery": "exactly-once"}


def delete_records(world, name, before):
    path = os.path.join(world.folder, "delete.json")
    rows = ",".join(f'{{"topic": "{world.topic(name)}", "partition": {p}, "offset": {before}}}'
                    for p in range(world.partitions))
    with open(path, "w") as f:
        f.write(f'{{"version": 1, "partitions": [{rows}]}}')
    broker_tool("DeleteRecordsCommand", "--offset-json-file", path)


def test_committed_offset_no_longer_on_the_broker(world):
    """What lay between is lost to everybody; the instance says so and goes on, or stops if told to."""
    a = world.run(**EXACTLY).joined()
    world.produce(100)
    world.all_answered()
    a.end()
    answered = world.sent
    world.produce(200)
    delete_records(world, "browse", -1)  # all of it: the committed offsets point before the log
    b = world.run("stop", offset__out_dash_of_dash_range="stop", **EXACTLY)
    assert b.process.wait(timeout=stream.LIMIT_S) == 2, b.said()
    assert "offset.out-of-range is stop" in b.said(), b.said()
    c = world.run(**EXACTLY).joined()
    assert re.search(r"browse\[\d\]: the group is at \d+, the broker has \d+ to \d+", c.said()), c.said()
    world.produce(50)
    wait_for("what came later", world.triggers, lambda t: len(t) >= answered + 50)
    c.end()
    assert len(world.triggers()) == len(set(world.triggers()))


def test_snapshot_newer_than_the_log(world):
    """The topics were made anew: the position lies behind the end; all that is there is read."""
    options = {"snapshot__dir": world.snapshots("a"), "snapshot__interval": "1h", **EXACTLY}
    a = world.run(**options).joined()
    world.produce(300)
    world.all_answered()
    a.end()
    for name in ("browse", "purchase"):
        broker_tool("TopicCommand", "--delete", "--topic", world.topic(name))
    wait_for("deletion", lambda: subprocess.run(
        ["kcat", "-b", stream.BROKERS, "-L"], capture_output=True, text=True).stdout,
        lambda s: f'"{world.topic("browse")}"' not in s and f'"{world.topic("purchase")}"' not in s)
    kindred("topics", "create", "-c", world.config(), "--partitions", str(world.partitions))
    before = len(world.triggers())
    world.produce(40)
    b = world.run(**options).joined()
    assert "the snapshot ends at" in b.said(), b.said()
    wait_for("the new events", world.triggers, lambda t: len(t) >= before + 40)
    b.end()
    assert len(world.triggers()) == before + 40


def test_control_records_at_the_end_of_a_partition(world):
    """Input written in transactions ends in a marker that is no record: the start does not wait for it."""
    world.produce(40)
    for p in range(world.partitions):
        subprocess.run(["kcat", "-b", stream.BROKERS, "-P", "-t", world.topic("browse"), "-p", str(p),
                        "-X", f"transactional.id={world.id}-{p}", "-D", "\x1e", "-k", "u1"],
                       input=b"poison", check=True, timeout=stream.LIMIT_S,
                       capture_output=True)
    a = world.run(**EXACTLY).joined()
    world.all_answered()
    a.end()
    assert len(world.read("dead")) == world.partitions
    world.run(**EXACTLY).joined().end()


def test_partitions_added_while_running(world):
    """The instance ends and says that a restart reads them; the restarted one answers everything."""
    fast = {"kafka__topic.metadata.refresh.interval.ms": 1000, **EXACTLY}
    a = world.run(**fast).joined()
    world.produce(40)
    world.all_answered()
    for name in ("browse", "purchase", "forget"):
        broker_tool("TopicCommand", "--alter", "--topic", world.topic(name), "--partitions", "6")
    assert a.process.wait(timeout=stream.LIMIT_S) == 2, a.said()
    assert "was added while this instance ran" in a.said(), a.said()
    b = world.run(**fast).joined()
    world.produce(100)
    world.all_answered()
    b.end()


def test_two_instances_with_one_transactional_id(world):
    """They fence each other; one ends with a message that says so, and nothing is doubled."""
    options = {"kafka__transactional.id": f"{world.id}-mine", "ready__lag": 1000, **EXACTLY}
    a = world.run("a", **options).joined()
    b = world.run("b", **options)
    until = time.monotonic() + stream.LIMIT_S
    while a.process.poll() is None and b.process.poll() is None and \
            time.monotonic() < until:
        world.produce(20)
    ended = a if a.process.poll() is not None else b
    assert ended.process.poll() == 2, (a.said(), b.said())
    assert "is there another instance with transactional.id" in ended.said(), ended.said()
    world.all_answered()


def test_an_instance_that_stood_still(world):
    """Stopped for longer than its session: another takes over and fences it; awake, it joins again."""
    a = world.run("a", **EXACTLY).joined()
    world.produce(60)
    world.all_answered()
    b = world.run("b", **EXACTLY).joined()
    world.produce(60)
    world.all_answered()
    a.process.send_signal(signal.SIGSTOP)
    world.produce(60)
    world.all_answered()  # by b alone, after the session timeout
    a.process.send_signal(signal.SIGCONT)
    a.says("joins again")
    world.produce(60)
    world.all_answered()
    a.end()
    b.end()


def test_too_slow_for_max_poll_interval(world):
    """The loop stands still while heartbeats go on: expelled all the same, replaced, and in again."""
    options = {"kafka__max.poll.interval.ms": stream.SESSION_MS, "ready__lag": 1000, **EXACTLY}
    a = world.run("a", env={"KINDRED_FAULT": "source.stall:100"}, **options).joined()
    world.produce(60)
    world.all_answered()
    b = world.run("b", **options).joined()
    world.produce(60)  # in the midst of these it stands still
    world.all_answered()
    a.says("joins again")
    world.produce(60)
    world.all_answered()
    a.end()
    b.end()


def new_schema(world, field):
    """Registers a BrowseEvent with one field more; its id."""
    subject = f"{stream.REGISTRY}/subjects/{world.topic('browse')}-value/versions"
    with urllib.request.urlopen(f"{subject}/latest") as answer:
        schema = json.loads(json.load(answer)["schema"])
    schema["fields"].append({"name": field, "type": ["null", "string"], "default": None})
    body = json.dumps({"schema": json.dumps(schema)}).encode()
    request = urllib.request.Request(subject, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["id"]


def put_under_a_new_schema(world, partition, field="colour"):
    """The first event once more, under a schema that nobody has read yet."""
    key, value = world.read("browse")[0]
    n_more = 1 if field == "colour" else 2  # nulls of the fields that this and the one before added
    copy = struct.pack(">bI", 0, new_schema(world, field)) + value[5:] + b"\0" * n_more
    subprocess.run(["kcat", "-b", stream.BROKERS, "-P", "-t", world.topic("browse"), "-p", str(partition),
                    "-k", key.decode(), "-D", "\x1e\x1f"], input=copy, check=True,
                   timeout=stream.LIMIT_S)
    world.sent += 1


def input_places(world):
    """(topic, partition, offset) of every event."""
    return {(world.topic(name), *(int(x) for x in line.split()))
            for name in ("browse", "purchase")
            for line in subprocess.run(
                ["kcat", "-b", stream.BROKERS, "-C", "-t", world.topic(name), "-e", "-q", "-f",
                 "%p %o\n"], capture_output=True, text=True, timeout=stream.LIMIT_S).stdout.splitlines()}


def run_behind_a_registry_proxy(world, timeout):
    """An instance that has answered some events, and the proxy between it and the registry."""
    host, path = re.match(r"http://([^/]+)(/.*)", stream.REGISTRY).groups()
    proxy = Proxy(int(host.split(":")[1]))
    a = world.run(schema__registry__url=f"http://127.0.0.1:{proxy.port}{path}",
                  schema__registry__timeout=timeout, **EXACTLY).joined()
    world.produce(60)
    world.all_answered()
    return a, proxy


def test_registry_gone_while_running(world):
    """Known schemas are read on; a record with a new one waits, and its partition with it; the other
    partitions go on, whether the registry refuses connections or takes them and says nothing."""
    a, proxy = run_behind_a_registry_proxy(world, "500ms")
    stuck = min(p for t, p, _ in input_places(world) if t == world.topic("browse"))
    proxy.stall()
    put_under_a_new_schema(world, stuck)
    a.says("this partition waits")
    for fault in (proxy.stall, proxy.cut, proxy.stall):
        proxy.heal()
        fault()
        world.produce(60)
        there = {x for x in input_places(world) if x[:2] != (world.topic("browse"), stuck)}
        wait_for("the other partitions", world.triggers, lambda t: there <= set(t))
    assert len(world.triggers()) < world.sent
    proxy.heal()
    world.all_answered()
    assert "goes on" in a.said(), a.said()
    digest = a.end()
    assert not world.read("dead")
    assert digest == world.run("plain", group="plain", output__start="latest").joined().end()


test_registry_gone_while_running.registry = True


def test_registry_that_does_not_answer(world):
    """Its time limit is of no concern to anybody else: other partitions are answered, and the end comes when
    asked for, while the question is under way."""
    a, proxy = run_behind_a_registry_proxy(world, "10m")

    def waits():
        return len(re.findall(rf"browse\[{stuck}\].* has not answered yet; this partition waits", a.said()))

    def hang(field):
        before = waits()  # there are such if the machine is busy
        proxy.stall()
        put_under_a_new_schema(world, stuck, field)
        wait_for("a wait", waits, lambda n: n > before)

    stuck = min(p for t, p, _ in input_places(world) if t == world.topic("browse"))
    hang("colour")
    for _ in range(3):
        world.produce(60)
        there = {x for x in input_places(world) if x[:2] != (world.topic("browse"), stuck)}
        wait_for("the other partitions", world.triggers, lambda t: there <= set(t))
    proxy.heal()  # the same question is answered now
    world.all_answered()
    assert "goes on" in a.said(), a.said()
    hang("size")
    a.end()
    proxy.heal()
    b = world.run(**EXACTLY).joined()
    world.all_answered()
    b.end()


test_registry_that_does_not_answer.registry = True


def test_registry_gone_while_catching_up(world):
    """Whoever cannot read the log yet takes no partition from an instance that answers."""
    host, path = re.match(r"http://([^/]+)(/.*)", stream.REGISTRY).groups()
    proxy = Proxy(int(host.split(":")[1]))
    a = world.run("a").joined()
    world.produce(400)
    world.all_answered()
    proxy.swallow(b"/schemas/ids/")
    b = world.run("b", schema__registry__url=f"http://127.0.0.1:{proxy.port}{path}",
                  schema__registry__timeout="500ms", ready__lag=150).says("this partition waits")
    for _ in range(5):
        world.produce(40)
        world.all_answered()
    assert "the group gave" not in b.said(), b.said()
    proxy.heal()
    b.joined()
    world.produce(40)
    world.all_answered()
    assert a.end() == b.end()


test_registry_gone_while_catching_up.registry = True


def test_a_reader_that_does_not_go_back(world):
    """The place that was asked for is not reached: the partition waits, and is set back again; nothing of it
    is left out."""
    world.produce(200)
    a = world.run(env={"KINDRED_FAULT": "seek.fail:2"}, **EXACTLY).joined()  # all of it is read already
    a.says("cannot go back to 0: Local: Erroneous state; this partition waits")
    world.all_answered()
    world.produce(100)
    world.all_answered()
    assert a.said().count("this partition waits") == a.said().count("] goes on") == 1, a.said()
    assert a.end() == world.run("plain", group="plain", output__start="latest").joined().end()


def test_told_to_end_while_it_starts(world):
    """SIGTERM between the start, which looks for it, and the loop, which has its own way."""
    a = world.run(env={"KINDRED_FAULT": "live.stop:1"}, **EXACTLY)
    assert a.process.wait(timeout=stream.LIMIT_S) == 0, a.said()


def test_an_output_too_large_for_its_topic(world):
    """It is counted, said and left out; everything else of its transaction arrives."""
    broker_tool("TopicCommand", "--delete", "--topic", world.topic("recommendations"))
    wait_for("deletion", lambda: subprocess.run(
        ["kcat", "-b", stream.BROKERS, "-L"], capture_output=True, text=True).stdout,
        lambda s: f'"{world.topic("recommendations")}"' not in s)
    broker_tool("TopicCommand", "--create", "--topic", world.topic("recommendations"), "--partitions",
                "4", "--config", "max.message.bytes=700")
    a = world.run(recommend__count=30, **EXACTLY).joined()
    world.produce(3)
    wait_for("small ones", world.triggers, lambda t: len(t) >= 3)
    world.produce(300)
    a.says("too large")
    world.produce(1, more=[{"type": "BrowseEvent", "event_id": "z", "user_id": "u1", "session_id": None,
                            "item_id": "i1", "action": "VIEW", "time": world.clock + 10}])
    a.end()
    got = world.triggers()
    assert len(got) == len(set(got)) and 3 <= len(got) < world.sent, (len(got), world.sent)


def test_a_snapshot_folder_that_fails(world):
    """Gone, or not writable: said, and the work goes on without."""
    a = world.run(snapshot__dir=world.snapshots("a"), snapshot__interval="300ms", **EXACTLY).joined()
    world.produce(50)
    world.all_answered()
    os.rename(world.snapshots("a"), world.snapshots("a") + "-gone")  # at once, whatever is being written
    a.says("no snapshot: ")
    world.produce(50)
    world.all_answered()
    a.end()
    failed = int(re.search(r"snapshots, (\d+) that failed", a.said())[1])
    assert failed == a.said().count("no snapshot: "), a.said()
    b = world.run(**EXACTLY).joined()
    b.end()


if __name__ == "__main__":
    stream.main(globals())
