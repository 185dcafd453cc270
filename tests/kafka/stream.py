"""What the tests on a real broker share: a world of topics of its own, events, instances, readers.

Everything that is waited for is a condition with a limit. The seed is printed and taken from
KINDRED_SEED."""

import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

BIN = os.environ["KINDRED_BIN"]
BROKERS = os.environ.get("KINDRED_TEST_BROKERS")
REGISTRY = os.environ.get("KINDRED_TEST_REGISTRY")
if not BROKERS:
    sys.exit("KINDRED_TEST_BROKERS is not set: ./dev kafka up sets it")
SEED = int(os.environ.get("KINDRED_SEED", "7"))
LIMIT_S = 60
SESSION_MS = 6000
KINDS = ("browse", "purchase", "catalog", "forget", "recommendations", "dead", "receipts")


def wait_for(what, get, want, limit_s=LIMIT_S):
    until = time.monotonic() + limit_s
    while True:
        got = get()
        if want(got):
            return got
        assert time.monotonic() < until, f"{what}: still {str(got)[:300]} after {limit_s} s"
        time.sleep(0.1)


def read_long(b, at):
    z = shift = 0
    while True:
        z |= (b[at] & 0x7F) << shift
        shift += 7
        at += 1
        if b[at - 1] < 0x80:
            return (z >> 1) ^ -(z & 1), at


def read_str(b, at):
    n, at = read_long(b, at)
    return b[at:at + n].decode(), at + n


def trigger(value):
    """(topic, partition, offset) of an update, read by hand from either wire format."""
    if value[:2] == b"\xc3\x01":
        at = 10
    else:
        assert value[0] == 0 and struct.unpack(">I", value[1:5])[0] > 0, value[:8]
        at = 5
    _, at = read_str(value, at)
    _, at = read_long(value, at)
    _, at = read_long(value, at)
    name, at = read_str(value, at)
    partition, at = read_long(value, at)
    offset, at = read_long(value, at)
    return name, partition, offset


class Instance:
    def __init__(self, world, path, env=None, is_quiet=True):
        self.world = world
        self.log = tempfile.NamedTemporaryFile("w+", dir=world.folder, delete=False)
        self.process = subprocess.Popen([BIN, "run", "-c", path, *["--quiet"] * is_quiet], stderr=self.log,
                                        env=dict(os.environ, **(env or {})))
        world.instances.append(self)

    def said(self):
        with open(self.log.name) as f:
            return f.read()

    def says(self, text, limit_s=LIMIT_S):
        def get():
            assert self.process.poll() is None or text in self.said(), \
                f"ended with {self.process.poll()} before \"{text}\": {self.said()}"
            return self.said()
        wait_for(f"\"{text}\"", get, lambda s: text in s, limit_s)
        return self

    def joined(self):
        return self.says("the group gave")

    def kill(self):
        self.process.kill()
        self.process.wait(timeout=LIMIT_S)

    def end(self, code=0):
        """Ends in order; the state digest."""
        self.process.send_signal(signal.SIGTERM)
        got = self.process.wait(timeout=LIMIT_S)
        assert got == code, f"exit {got}: {self.said()}"
        return self.said().split("state digest ")[1].split()[0]


class World:
    """Topics with names of their own, and everything that is done to them."""

    def __init__(self, name, partitions=4, registry=False):
        self.rng = random.Random(f"{SEED} {name}")
        self.id = f"{name}-{os.getpid()}x{int(time.time() * 1000) % 10 ** 9}"
        self.folder = tempfile.mkdtemp(prefix="kindred-test-")
        self.registry = REGISTRY if registry else ""
        self.partitions = partitions
        self.instances = []
        self.sent = 0
        self.clock = int(time.time() * 1000) - 30 * 86400_000  # stays behind the real one
        kindred("topics", "create", "-c", self.config(), "--partitions", str(partitions))

    def topic(self, name):
        return f"{self.id}-{name}"

    def config(self, name="a", group="a", **options):
        """A configuration file; options with __ for dots, `kafka__` properties among them."""
        path = os.path.join(self.folder, f"{name}.yaml")
        rows = {"topics.browse": self.topic("browse"), "topics.purchase": self.topic("purchase"),
                "topics.catalog": self.topic("catalog"), "topics.forget": self.topic("forget"),
                "topics.recommendations": self.topic("recommendations"),
                "topics.dead-letters": self.topic("dead"), "topics.receipts": self.topic("receipts"),
                "group.id": f"{self.id}-{group}", "output.start": "earliest", "ready.lag": 0,
                "emit": "always", "schema.registry.url": self.registry}
        kafka = {"bootstrap.servers": BROKERS, "session.timeout.ms": SESSION_MS}
        for key, value in options.items():
            key = key.replace("__", ".").replace("_dash_", "-")
            if key.startswith("kafka."):
                kafka[key[6:]] = value
            else:
                rows[key] = value
        with open(path, "w") as f:
            for key, value in rows.items():
                f.write(f'{key}: "{value}"\n')
            f.write("kafka:\n")
            for key, value in kafka.items():
                f.write(f'  {key}: "{value}"\n')
        return path

    def snapshots(self, name):
        return os.path.join(self.folder, f"snapshots-{name}")

    def run(self, name="a", env=None, is_quiet=True, **options):
        return Instance(self, self.config(name, **options), env, is_quiet)

    def events(self, n, shoppers=40):
        """n events of random shoppers, no two adjacent of one shopper or at one time."""
        out, last = [], None
        for _ in range(n):
            shopper = self.rng.choice([s for s in range(shoppers) if s != last])
            last = shopper
            self.clock += 1000 + self.rng.randrange(500)
            event = {"event_id": f"e{self.sent}", "user_id": f"u{shopper}", "session_id": None,
                     "item_id": f"i{min(int(self.rng.expovariate(0.2)), 29)}", "time": self.clock}
            if self.rng.random() < 0.2:
                event |= {"type": "PurchaseEvent", "order_id": f"o{self.sent}", "status": "PAID",
                          "quantity": 1, "price": 9.5, "currency": "EUR"}
            else:
                event |= {"type": "BrowseEvent",
                          "action": self.rng.choice(["VIEW", "CART", "LIKE"])}
            out.append(event)
            self.sent += 1
        return out

    def produce(self, n=0, more=(), **options):
        path = os.path.join(self.folder, "events.jsonl")
        with open(path, "w") as f:
            for event in self.events(n) + list(more):
                f.write(json.dumps(event) + "\n")
        kindred("produce", "-c", self.config("produce"), "--in", path, "--quiet")

    def read(self, name, committed=True):
        """All messages of a topic: (key, value or None); of committed transactions only."""
        out = subprocess.run(
            ["kcat", "-b", BROKERS, "-C", "-t", self.topic(name), "-e", "-q", "-f", "%K %S %k%s",
             "-X", "isolation.level=read_" + ("committed" if committed else "uncommitted")],
            capture_output=True, timeout=LIMIT_S).stdout
        messages, at = [], 0
        while at < len(out):
            end = out.index(b" ", at)
            key_len = int(out[at:end])
            at, end = end + 1, out.index(b" ", end + 1)
            value_len = int(out[at:end])
            at = end + 1
            key = out[at:at + max(key_len, 0)]
            at += max(key_len, 0)
            messages.append((key, None if value_len < 0 else out[at:at + value_len]))
            at += max(value_len, 0)
        return messages

    def triggers(self, committed=True):
        return [trigger(v) for _, v in self.read("recommendations", committed) if v is not None]

    def all_answered(self, exactly_once=True):
        """Waits until every event is answered; once each."""
        got = wait_for("updates", self.triggers, lambda t: len(set(t)) >= self.sent)
        assert len(set(got)) == self.sent, (len(set(got)), self.sent)
        if exactly_once:
            assert len(got) == self.sent, (len(got), self.sent)

    def close(self):
        for i in self.instances:
            if i.process.poll() is None:
                i.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Reader:
    """Follows the recommendations as a read-committed reader sees them: rows of (when the event was
    made, when its update was there, trigger), times in ms."""

    def __init__(self, world):
        self.rows = []
        self.process = subprocess.Popen(
            ["kcat", "-b", BROKERS, "-C", "-t", world.topic("recommendations"), "-o", "beginning", "-q",
             "-u", "-f", "%S %s", "-X", "isolation.level=read_committed", "-X", "fetch.wait.max.ms=10"],
            stdout=subprocess.PIPE)
        world.instances.append(self)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        out = self.process.stdout
        while True:
            size = b""
            while not size.endswith(b" "):
                byte = out.read(1)
                if not byte:
                    return
                size += byte
            value = out.read(int(size))
            _, at = read_str(value, 10)
            made, _ = read_long(value, at)
            self.rows.append((made, time.time() * 1000, trigger(value)))

    def said(self):
        return f"a reader of {len(self.rows)} updates"

    def kill(self):
        self.process.kill()
        self.process.wait(timeout=LIMIT_S)

    def slowest(self, since, until):
        """The longest wait, in ms, of an event made between the two (s since 1970); -1: there is none."""
        return max([round(there - made) for made, there, _ in self.rows
                    if since * 1000 <= made < until * 1000], default=-1)


def kindred(*args, code=0):
    done = subprocess.run([BIN, *args], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == code, f"{args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def broker_tool(name, *args):
    """One of the broker's own command-line tools."""
    lib = os.path.join(os.environ["KINDRED_SOURCE"], "build", "kafka", "lib")
    assert os.path.isdir(lib), f"no jars in {lib}: ./dev kafka up puts them there"
    return subprocess.run(["java", "-cp", os.path.join(lib, "*"), f"org.apache.kafka.tools.{name}",
                           "--bootstrap-server", BROKERS, *args],
                          check=True, capture_output=True, text=True, timeout=LIMIT_S)


def is_sanitized(*marks):
    """True if the program was built with one of these in it: "__asan_init", "__tsan_init"."""
    with open(BIN, "rb") as f:
        program = f.read()
    return any(mark.encode() in program for mark in marks)


def main(tests):
    """Runs the functions named test_*, each in a world of its own; a name on the command line picks."""
    print(f"seed {SEED} (KINDRED_SEED)", flush=True)
    picked = {k: v for k, v in tests.items()
              if k.startswith("test_") and (len(sys.argv) < 2 or sys.argv[1] in k)}
    for name, test in picked.items():
        start = time.monotonic()
        print(f"{name} ...", end=" ", flush=True)
        world = World(name[5:30].replace("_", "-"), getattr(test, "partitions", 4),
                      getattr(test, "registry", False))
        try:
            test(world)
        except BaseException:
            for i in world.instances:
                print(f"\n-- an instance said:\n{i.said()}", flush=True)
            raise
        finally:
            world.close()
        print(f"ok ({time.monotonic() - start:.1f} s)", flush=True)
    print(f"{len(picked)} passed, 0 failed")
