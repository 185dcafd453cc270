#!/usr/bin/python3
"""The main job on a real broker and a real registry: produce, run, read.

Every input is answered; a restart answers nothing again and loses nothing; kill -9 loses nothing; two
instances divide the work; poison goes to the dead letters and the next event is served; a forgotten
shopper leaves a null and a receipt; old data are refused with advice. Waiting is always for a
condition, with a limit."""

import atexit
import datetime
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time

from stream import read_long, read_str

BIN = os.environ["KINDRED_BIN"]
BROKERS = os.environ.get("KINDRED_TEST_BROKERS")
REGISTRY = os.environ.get("KINDRED_TEST_REGISTRY")
if not BROKERS or not REGISTRY:
    sys.exit("KINDRED_TEST_BROKERS and KINDRED_TEST_REGISTRY are not set: ./dev kafka up sets them")
SEED = int(os.environ.get("KINDRED_SEED", "7"))
LIMIT_S = 60
print(f"seed {SEED} (KINDRED_SEED)", flush=True)
rng = random.Random(SEED)
run_id = f"t{os.getpid()}x{int(time.time())}"
folder = tempfile.mkdtemp(prefix="kindred-test-")


def topic(name):
    return f"{run_id}-{name}"


def config(group, browse="browse", out="recommendations", start="earliest"):
    path = os.path.join(folder, f"{group}.yaml")
    with open(path, "w") as f:
        f.write(f"""topics:
  browse: {topic(browse)}
  purchase: {topic('purchase')}
  catalog: {topic('catalog')}
  forget: {topic('forget')}
  recommendations: {topic(out)}
  dead-letters: {topic('dead')}
  receipts: {topic('receipts')}
  similar: {topic('similar')}
group.id: {run_id}-{group}
output.start: {start}
ready.lag: 0
emit: always
schema.registry.url: {REGISTRY}
kafka:
  bootstrap.servers: {BROKERS}
  session.timeout.ms: 6000
""")
    return path


def kindred(*args, code=0):
    done = subprocess.run([BIN, *args], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == code, f"{args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def read(name):
    """All messages of a topic: (key, value or None)."""
    out = subprocess.run(["kcat", "-b", BROKERS, "-C", "-t", topic(name), "-e", "-q", "-f",
                          "%K %S %k%s"], capture_output=True, timeout=LIMIT_S).stdout
    messages, at = [], 0
    while at < len(out):
        end = out.index(b" ", at)
        key_len = int(out[at:end])
        at, end = end + 1, out.index(b" ", end + 1)
        value_len = int(out[at:end])
        at = end + 1
        key = out[at:at + max(key_len, 0)]
        at += max(key_len, 0)
        value = None if value_len < 0 else out[at:at + value_len]
        at += max(value_len, 0)
        messages.append((key, value))
    return messages


def trigger(value):
    """(topic, partition, offset) of an update in the Confluent wire format, read by hand."""
    assert value[0] == 0 and struct.unpack(">I", value[1:5])[0] > 0, value[:8]
    _, at = read_str(value, 5)
    _, at = read_long(value, at)
    _, at = read_long(value, at)
    name, at = read_str(value, at)
    partition, at = read_long(value, at)
    offset, at = read_long(value, at)
    return name, partition, offset


def wait_for(what, get, want):
    until = time.monotonic() + LIMIT_S
    while True:
        got = get()
        if want(got):
            return got
        assert time.monotonic() < until, f"{what}: still {str(got)[:200]} after {LIMIT_S} s"
        time.sleep(0.2)


sent = 0
clock = int(time.time() * 1000) - 3600_000


def produce(n):
    """n events of random shoppers, no two adjacent of one shopper or at one time."""
    global sent, clock
    path = os.path.join(folder, "events.jsonl")
    with open(path, "w") as f:
        last = None
        for _ in range(n):
            shopper = rng.choice([s for s in range(40) if s != last])
            last = shopper
            clock += 1000 + rng.randrange(500)
            event = {"event_id": f"e{sent}", "user_id": f"u{shopper}", "session_id": None,
                     "item_id": f"i{min(int(rng.expovariate(0.2)), 29)}", "time": clock}
            if rng.random() < 0.2:
                event |= {"type": "PurchaseEvent", "order_id": f"o{sent}", "status": "PAID",
                          "quantity": 1, "price": 9.5, "currency": "EUR"}
            else:
                event |= {"type": "BrowseEvent", "action": rng.choice(["VIEW", "CART", "LIKE"])}
            f.write(json.dumps(event) + "\n")
            sent += 1
    kindred("produce", "-c", config("a"), "--in", path, "--quiet")


class Instance:
    def __init__(self, path):
        self.log = tempfile.NamedTemporaryFile("w+", dir=folder, delete=False)
        self.process = subprocess.Popen([BIN, "run", "-c", path, "--quiet"], stderr=self.log)
        atexit.register(self.process.kill)  # a test that failed leaves nothing running

    def said(self):
        with open(self.log.name) as f:
            return f.read()

    def joined(self):
        wait_for("joins", self.said, lambda s: "the group gave" in s)
        return self

    def end(self, signum=signal.SIGTERM):
        self.process.send_signal(signum)
        code = self.process.wait(timeout=LIMIT_S)
        assert signum == signal.SIGKILL or code == 0, f"exit {code}: {self.said()}"
        return self.said()


def triggers():
    return [trigger(v) for _, v in read("recommendations") if v is not None]


def on_the_broker():
    """Names of this run's topics. One is made first: what was asked for before it is there, too."""
    subprocess.run(["kcat", "-b", BROKERS, "-P", "-t", topic("sentinel")], input=b"x", check=True,
                   timeout=LIMIT_S)
    return wait_for("the sentinel", lambda: {line.split('"')[1].removeprefix(run_id + "-") for line in
                    subprocess.run(["kcat", "-b", BROKERS, "-L"], capture_output=True, text=True,
                                   timeout=LIMIT_S).stdout.splitlines()
                    if f'topic "{run_id}-' in line}, lambda names: "sentinel" in names)


def test_looking_for_topics_makes_none():
    """On a broker that makes topics on first sight."""
    found = kindred("topics", "check", "-c", config("a"), code=4).stdout
    assert found.count("does not exist") == 8, found
    events = os.path.join(folder, "one.jsonl")
    with open(events, "w") as f:
        f.write(json.dumps({"type": "BrowseEvent", "event_id": "e", "user_id": "u", "item_id": "i",
                            "action": "VIEW", "time": clock}) + "\n")
    said = kindred("produce", "-c", config("a"), "--in", events, "--quiet", code=1).stderr
    assert f"{topic('browse')} does not exist" in said, said
    for args in ["run"], ["topics", "check"], ["produce", "--in", events]:
        said = kindred(*args, code=1).stderr
        assert "kafka: bootstrap.servers is not set, so no address was tried" in said, said
    said = kindred("run", "-c", config("a"), "--quiet", code=1).stderr
    assert f"topics.browse: topic {topic('browse')} does not exist" in said, said
    assert on_the_broker() == {"sentinel"}


def test_topics():
    kindred("topics", "create", "-c", config("a"), "--partitions", "4")
    assert kindred("topics", "check", "-c", config("a")).stdout.count(" ok, 4 partitions") == 8
    kindred("topics", "create", "-c", config("a"), "--partitions", "4")  # again: nothing to do


def test_create_says_what_does_not_fit():
    """The broker made one on first sight: `topics create` leaves it, and says so."""
    subprocess.run(["kcat", "-b", BROKERS, "-P", "-t", topic("wrong"), "-k", "u"], input=b"x",
                   check=True, timeout=LIMIT_S)
    path = config("wrong", browse="wrong")
    found = kindred("topics", "create", "-c", path, "--partitions", "4", code=4).stdout
    assert f"{topic('wrong')} has 1 partitions; --partitions says 4" in re.sub(" +", " ", found), found
    assert "retention.ms is" in found and found.count("was there") == 7, found
    assert "as its sisters have" in kindred("topics", "create", "-c", path, code=4).stdout


def test_every_event_is_answered_once_over_a_restart():
    produce(500)
    a = Instance(config("a"))
    got = wait_for("updates", triggers, lambda t: len(t) >= sent)
    assert len(got) == len(set(got)) == sent, (len(got), len(set(got)), sent)
    digest = a.end().split("state digest ")[1].split()[0]
    b = Instance(config("a")).joined()
    produce(100)
    got = wait_for("updates after a restart", triggers, lambda t: len(t) >= sent)
    assert len(got) == len(set(got)) == sent, (len(got), len(set(got)), sent)
    after = b.end().split("state digest ")[1].split()[0]
    assert digest != after
    # A third one rebuilds the same state from the topics alone, and has nothing to answer.
    c = Instance(config("a")).joined()
    assert c.end().split("state digest ")[1].split()[0] == after
    assert len(triggers()) == sent


def test_kill_loses_nothing():
    a = Instance(config("a")).joined()
    produce(200)
    wait_for("some updates", triggers, lambda t: len(t) > sent - 200)
    a.end(signal.SIGKILL)
    b = Instance(config("a"))
    got = wait_for("all updates", lambda: set(triggers()), lambda t: len(t) >= sent)
    assert len(got) == sent
    b.joined().end()


def test_two_instances_divide_the_work():
    path = config("a")
    a = Instance(path).joined()
    b = Instance(path).joined()
    produce(400)
    got = wait_for("all updates", lambda: set(triggers()), lambda t: len(t) >= sent)
    assert len(got) == sent
    a.end(signal.SIGKILL)
    produce(200)
    got = wait_for("the other's updates", lambda: set(triggers()), lambda t: len(t) >= sent)
    assert len(got) == sent
    b.end()


def test_a_new_group_answers_what_comes_after_its_first_start():
    """output.start: latest floods nothing; what comes while no instance runs is not lost."""
    path = config("late", out="late", start="latest")
    said = kindred("run", "-c", path, "--quiet", code=1).stderr
    assert f"topics.recommendations: topic {topic('late')} does not exist" in said, said
    assert "late" not in on_the_broker()
    kindred("topics", "create", "-c", path, "--partitions", "4")
    said = Instance(path).joined().end()
    assert read("late") == []
    before = len(read("browse")) + len(read("purchase"))
    assert f"{before} events from before the group's first start are read for the state only" in said, said
    assert "output.start: earliest" in said, said
    produce(30)
    a = Instance(path).joined()
    wait_for("updates", lambda: read("late"), lambda r: len(r) >= 30)
    a.end()
    assert len(read("late")) == 30
    assert "first start" not in a.said(), a.said()


def test_poison_is_buried_and_the_next_event_served():
    a = Instance(config("a")).joined()
    poison = [b"garbage", b"\x00\x7f\xff\xff\xff", b"\x00\x00\x00\x00\x01\x02", b"\xc3\x01short"]
    for value in poison:
        subprocess.run(["kcat", "-b", BROKERS, "-P", "-t", topic("browse"), "-k", "u1", "-D", "\x1e"],
                       input=value, check=True, timeout=LIMIT_S)
    produce(50)
    dead = wait_for("dead letters", lambda: read("dead"), lambda d: len(d) >= len(poison))
    assert len(dead) == len(poison)
    for value in poison:
        assert any(value in v for _, v in dead), value
    got = wait_for("updates beside them", lambda: set(triggers()), lambda t: len(t) >= sent)
    assert len(got) == sent
    said = a.end()
    assert "%d dead letters" % len(poison) in said
    counts = {r: int(n) for n, r in re.findall(r"(\d+) ([a-z-]+)", said.split("\ndead letters: ")[1].split("\n")[0])}
    assert sum(counts.values()) == len(poison), said
    for reason in counts:  # each is said once
        first = re.findall(rf"dead letter \({reason}, .*\): {topic('browse')}\[\d\]@\d+: .+", said)
        assert len(first) == 1, (reason, said)


def test_framed_events_without_a_registry_are_said():
    path = config("plain", out="late")
    with open(path) as f:
        text = f.read()
    with open(path, "w") as f:
        f.write(text.replace(f"schema.registry.url: {REGISTRY}\n", ""))
    a = Instance(path).joined()
    wait_for("the first dead letter", a.said, lambda s: "dead letter (framing" in s)
    said = a.end()
    assert said.count("dead letter (framing") == 1, said
    assert re.search(rf"{run_id}-\w+\[\d\]@\d+: the value has a registry's framing \(schema id \d+\), no "
                     "registry is configured: set schema.registry.url", said), said


def nulls(name):
    return [k for k, v in read(name) if v is None]


def test_forgotten_shopper_leaves_nulls_and_a_receipt():
    """Asked for on the command line; a list of neighbours is out for him, and goes too."""
    a = Instance(config("a")).joined()
    wait_for("neighbour lists", lambda: {k for k, v in read("similar") if v is not None},
             lambda keys: b"u3" in keys)
    until = datetime.datetime.fromtimestamp(clock / 1000, datetime.timezone.utc).isoformat("T", "milliseconds")
    asked = kindred("forget", "u3", "--time", until, "--request-id", "r1", "-c", config("a")).stdout
    assert "request r1" in asked and topic("forget") in asked, asked
    wait_for("receipt", lambda: read("receipts"), lambda r: len(r) >= 1)
    for name in ["recommendations", "similar"]:
        assert wait_for("null", lambda: nulls(name), lambda n: len(n) >= 1) == [b"u3"]
    receipts = read("receipts")
    assert all(b"u3" not in v and b"r1" in v for _, v in receipts), receipts
    produce(20)  # his later events count again
    got = wait_for("updates", lambda: set(triggers()), lambda t: len(t) >= sent)
    assert len(got) == sent
    a.end()


def test_old_data_are_refused_with_advice():
    path = config("old", browse="plain")
    # Made by the broker on first sight, with its default retention.
    subprocess.run(["kcat", "-b", BROKERS, "-P", "-t", topic("plain"), "-D", "\x1e"], input=b"x",
                   timeout=LIMIT_S, check=True)
    events = os.path.join(folder, "old.jsonl")
    with open(events, "w") as f:
        f.write('{"type":"BrowseEvent","event_id":"e","user_id":"u","item_id":"i","action":"VIEW",'
                '"time":"2010-12-01T08:26:00Z"}\n')
    refused = kindred("produce", "-c", path, "--in", events, "--quiet", code=1)
    assert "retention.ms=-1" in refused.stderr and topic("plain") in refused.stderr, refused.stderr
    found = kindred("topics", "check", "-c", path, code=4).stdout
    assert "retention.ms is" in found, found
    assert "have no key" in found, found  # kcat made it without one


def test_a_refused_timestamp_costs_itself_only():
    """A broker takes nothing stamped more than an hour ahead, and refuses the whole batch for it."""
    now = int(time.time() * 1000)
    events, dead = os.path.join(folder, "ahead.jsonl"), os.path.join(folder, "ahead.dead.jsonl")
    with open(events, "w") as f:
        for k in range(20):
            at = now + 7200_000 if k == 7 else now - 60_000 + k
            f.write(json.dumps({"type": "BrowseEvent", "event_id": f"a{k}", "user_id": "u1",
                                "item_id": "i1", "action": "VIEW", "time": at}) + "\n")
    before = len(read("browse"))
    said = kindred("produce", "-c", config("a"), "--in", events, "--now", "2099-01-01", "--quiet",
                   "--dead-letters", dead).stderr
    assert len(read("browse")) - before == 19, said
    with open(dead) as f:
        letters = [json.loads(line) for line in f]
    assert [(d["offset"], d["reason"]) for d in letters] == [(7, "time")], letters


def main():
    tests = [v for k, v in globals().items() if k.startswith("test_")]
    for test in tests:
        start = time.monotonic()
        print(f"{test.__name__} ...", end=" ", flush=True)
        test()
        print(f"ok ({time.monotonic() - start:.1f} s)", flush=True)
    print(f"{len(tests)} passed, 0 failed")


if __name__ == "__main__":
    main()
