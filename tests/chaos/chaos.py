#!/usr/bin/python3
"""The torture harness: see README.md beside it. ./dev chaos sets the environment."""

import argparse
import collections
import glob
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "kafka"))
from broker import Broker, free_port  # noqa: E402
from proxy import Proxy  # noqa: E402

PLANTS = ("txn.lose:3", "txn.twice:3", "source.skip:1")


class Chaos:
    def __init__(self, world, broker, proxies, seed, plant=None):
        self.world, self.broker, self.proxies, self.plant = world, broker, proxies, plant
        self.rng = random.Random(f"chaos {seed}")
        self.counts = collections.Counter()
        self.poison = 0
        self.disk = self.mount_small()
        self.slots = {}
        for name in "abc":
            self.start(name)

    # -- instances

    def options(self, name):
        return {"delivery": "exactly-once", "ready__lag": 5000, "epoch.max": 1,
                "snapshot__dir": os.path.join(self.disk or self.world.folder, f"snapshots-{name}"),
                "snapshot__interval": "1s", "kafka__reconnect.backoff.max.ms": 500,
                "kafka__bootstrap.servers": f"127.0.0.1:{self.proxies[name].port}"}

    def start(self, name):
        env = {"KINDRED_FAULT": self.plant} if self.plant else None
        self.slots[name] = self.world.run(name, env=env, **self.options(name))

    def keep_up(self):
        """Who ended by itself must have had a reason that a restart mends."""
        for name, i in self.slots.items():
            if i.process.poll() is not None:
                assert i.process.returncode in (0, 2, -9, -15), (i.process.returncode, i.said())
                self.counts["restarted"] += 1
                self.start(name)

    # -- what may happen

    def do_kill(self):
        self.slots[self.rng.choice("abc")].kill()

    def do_end(self):
        i = self.slots[self.rng.choice("abc")]
        i.process.send_signal(signal.SIGTERM)
        try:
            i.process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"does not end: {i.said()}")

    def do_stand_still(self):
        i = self.slots[self.rng.choice("abc")]
        i.process.send_signal(signal.SIGSTOP)
        self.produce()
        time.sleep(self.rng.choice((0.3, 2, 9)))
        i.process.send_signal(signal.SIGCONT)

    def do_kill_broker(self):
        self.broker.stop(signal.SIGKILL)
        time.sleep(self.rng.random() * 4)
        self.broker.start()

    def do_restart_broker(self):
        self.broker.stop(signal.SIGTERM)
        self.broker.start()

    def do_pause_broker(self):
        self.broker.process.send_signal(signal.SIGSTOP)
        time.sleep(self.rng.random() * 5)
        self.broker.process.send_signal(signal.SIGCONT)

    def do_cut_network(self):
        """Of one instance or of all: bytes wait, or connections are reset; for a moment or for longer
        than a session."""
        cut = self.rng.choice((list("a"), list("b"), list("c"), list("abc")))
        how = self.rng.choice((Proxy.stall, Proxy.cut))
        for name in cut:
            how(self.proxies[name])
        self.produce()
        time.sleep(self.rng.choice((0.3, 2, 9)))
        for name in cut:
            self.proxies[name].heal()

    def snapshots(self):
        return sorted(glob.glob(os.path.join(self.disk or self.world.folder, "snapshots-*", "20*")))

    def do_delete_snapshot(self):
        for path in self.rng.sample(self.snapshots(), min(2, len(self.snapshots()))):
            shutil.rmtree(path, ignore_errors=True)

    def do_damage_snapshot(self):
        found = [p for s in self.snapshots() for p in glob.glob(os.path.join(s, "*"))]
        if found:
            try:
                with open(self.rng.choice(found), "r+b") as f:
                    f.seek(self.rng.randrange(40))
                    f.write(b"\xff?")
            except FileNotFoundError:
                pass  # it was replaced meanwhile

    def do_take_folder_away(self):
        name = self.rng.choice("abc")
        shutil.rmtree(self.options(name)["snapshot__dir"], ignore_errors=True)

    def do_fill_disk(self):
        if self.disk is None:
            return
        try:
            with open(os.path.join(self.disk, "filler"), "wb") as f:
                while True:
                    f.write(bytes(65536))
                    f.flush()
        except OSError:
            pass
        self.produce()
        time.sleep(2.5)
        os.unlink(os.path.join(self.disk, "filler"))

    def do_poison(self):
        value = self.rng.choice((b"garbage", b"\xc3\x01short", b"\x00\x7f\xff\xff\xff"))
        subprocess.run(["kcat", "-b", f"127.0.0.1:{self.broker.port}", "-P", "-t",
                        self.world.topic("browse"), "-k", f"u{self.rng.randrange(40)}", "-D", "\x1e",
                        "-X", "enable.idempotence=true"], input=value, check=True, timeout=120)
        self.poison += 1

    def produce(self):
        """Some events; now and then some of them twice, or with times long gone by."""
        events = self.world.events(self.rng.randrange(20, 120))
        if self.rng.random() < 0.3:
            again = self.rng.sample(events, 10)
            events += again
            self.world.sent += len(again)
        if self.rng.random() < 0.3:
            for e in self.rng.sample(events, 5):
                e["time"] -= 86400_000 * self.rng.randrange(1, 20)
        path = os.path.join(self.world.folder, "chaos.jsonl")
        with open(path, "w") as f:
            for e in sorted(events, key=lambda e: e["time"]):
                f.write(json.dumps(e) + "\n")
        done = subprocess.run([self.stream.BIN, "produce", "-c", self.world.config("produce"), "--in",
                               path, "--quiet"], capture_output=True, text=True, timeout=180)
        acked = re.search(r"^ *acknowledged +(\d+)$", done.stderr, re.M)
        assert done.returncode == 0 and int(acked[1]) == len(events), done.stderr

    # -- the end

    def mount_small(self):
        """A file system of a megabyte, where that is allowed."""
        path = os.path.join(self.world.folder, "disk")
        os.mkdir(path)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", path],
                              capture_output=True)
        if done.returncode != 0:
            print("a small file system cannot be mounted: the disk does not get full", flush=True)
            return None
        return path

    def run(self, seconds):
        what = [m for m in dir(self) if m.startswith("do_")]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.produce()
            name = self.rng.choice(what)
            getattr(self, name)()
            self.counts[name[3:]] += 1
            self.keep_up()
            time.sleep(self.rng.random())

    def input(self):
        """(topic, partition, offset) of every good event, and how many bad ones there are."""
        good, bad = collections.Counter(), 0
        for name in ("browse", "purchase"):
            out = subprocess.run(["kcat", "-b", f"127.0.0.1:{self.broker.port}", "-C", "-t",
                                  self.world.topic(name), "-e", "-q", "-f", "%p %o %S\n"],
                                 capture_output=True, text=True, timeout=120).stdout
            for line in out.splitlines():
                partition, offset, n = (int(x) for x in line.split())
                if n < 20:  # poison is shorter than any event
                    bad += 1
                else:
                    good[(self.world.topic(name), partition, offset)] += 1
        return good, bad

    def verdict(self, patience_s=120):
        """None, or what is wrong."""
        good, bad = self.input()
        until = time.monotonic() + patience_s
        while True:
            self.keep_up()
            got = collections.Counter(self.world.triggers())
            dead = len(self.world.read("dead"))
            is_whole = sum((good - got).values()) == 0 and dead >= bad
            if is_whole or time.monotonic() > until:
                break
            time.sleep(0.5)
        lost, more = good - got, got - good
        if lost or more or dead != bad or bad != self.poison:
            return (f"{sum(lost.values())} of {len(good)} events were not answered, "
                    f"{sum(more.values())} updates too many, {dead} dead letters for {bad} bad records; "
                    f"e.g. {list(lost)[:3]} {list(more)[:3]}")
        digests = {}
        for name, i in self.slots.items():
            i.joined()
            i.process.send_signal(signal.SIGTERM)
            if i.process.wait(timeout=120) != 0:
                return f"{name} did not end in order: {i.said()}"
            # It may not have applied everything yet: once more, from its snapshot to the end of the log.
            again = self.world.run(name, **self.options(name) | {"ready__lag": 0})
            digests[name] = again.joined().end()
        clean = self.world.run("clean", group="clean", output__start="latest").joined().end()
        wrong = {k: d for k, d in digests.items() if d != clean}
        return f"digests {wrong}, a clean run's is {clean}" if wrong else None

    def close(self):
        for i in self.world.instances:
            if i.process.poll() is None:
                i.process.send_signal(signal.SIGCONT)
        self.world.close()
        if self.disk is not None:
            subprocess.run(["umount", self.disk], capture_output=True)
        shutil.rmtree(self.world.folder, ignore_errors=True)


def one_round(stream, broker, proxies, seed, seconds, plant=None):
    world = stream.World(f"chaos{seed}")
    chaos = Chaos(world, broker, proxies, seed, plant)
    Chaos.stream = stream
    try:
        if plant is None:
            chaos.run(seconds)
        else:  # calm: what is found must be the plant
            until = time.monotonic() + seconds
            while time.monotonic() < until or world.sent < 1500:  # each plant is passed by then
                chaos.produce()
        fault = chaos.verdict(120 if plant is None else 20)
        print(f"{world.sent} events, {chaos.poison} poison, {dict(chaos.counts)}", flush=True)
        if fault and plant is None:
            for i in world.instances[-8:]:
                print(f"-- an instance said:\n{i.said()}", flush=True)
        return fault
    finally:
        chaos.close()


def main():
    p = argparse.ArgumentParser(prog="./dev chaos")
    p.add_argument("--minutes", type=float, default=10)
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--prove", action="store_true", help="plant faults and expect them to be found")
    args = p.parse_args()
    ports = {name: free_port() for name in "abc"}
    proxies = {name: Proxy(port) for name, port in ports.items()}
    broker = Broker({f"TO_{n.upper()}": ("PLAINTEXT", ports[n], proxies[n].port) for n in "abc"})
    os.environ["KINDRED_TEST_BROKERS"] = f"127.0.0.1:{broker.port}"
    import stream
    print(f"seed {args.seed}, broker at 127.0.0.1:{broker.port}", flush=True)
    code = 0
    try:
        if args.prove:
            for plant in PLANTS:
                fault = one_round(stream, broker, proxies, args.seed, 8, plant)
                print(f"{plant}: {'found: ' + fault if fault else 'NOT FOUND'}", flush=True)
                code |= fault is None
        else:
            fault = one_round(stream, broker, proxies, args.seed, args.minutes * 60)
            print("nothing lost, nothing twice" if fault is None else f"WRONG: {fault}", flush=True)
            code = fault is not None
    finally:
        broker.close()
    sys.exit(int(code))


if __name__ == "__main__":
    main()
