#!/usr/bin/python3
"""What one, two and sixteen instances of a group do, from parts that are measured.

Every instance reads and applies every event (F, processor time an event) and makes lists for its own
partitions alone (R, an owned event). Three set-ups on the real broker, each answering the same generated events as a
backlog, taking turns:

  alone      one instance                                   F + R
  standby    two, one partition: an owner and a standby      F + R and F
  shared     two, four partitions                            F + R/2 each

F and R come from owner and standby; "shared" is what they predict, and what it was. Sixteen are worked out: F + R/16.

usage: KINDRED_BIN=build/release/kindred KINDRED_TEST_BROKERS=... instances.py [--events N] [--reps N]
(result lines go to stdout; everything else to stderr)"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/kafka"))
import stream  # noqa: E402

SETUPS = {"alone": (1, 4), "standby": (2, 1), "shared": (2, 4)}  # instances, partitions
LOOP = "kindred"
LIMIT_S, STILL_S = 120, 2


def threads(pid):
    """Seconds of processor time by thread: the loop, librdkafka's."""
    out = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{tid}/comm") as f:
                name = LOOP if tid == str(pid) else f.read().split(":")[0].strip()
            with open(f"/proc/{pid}/task/{tid}/schedstat") as f:
                out[name] = out.get(name, 0.0) + int(f.read().split()[0]) / 1e9
        except FileNotFoundError:
            pass  # it ended meanwhile
    return out


def ends(topic, partitions):
    """How many records there are, by the ends of the partitions."""
    out = subprocess.run(["kcat", "-b", stream.BROKERS, "-Q"] +
                         [x for p in range(partitions) for x in ("-t", f"{topic}:{p}:-1")],
                         capture_output=True, text=True, check=True, timeout=stream.LIMIT_S).stdout
    return sum(int(line.rsplit(None, 1)[1]) for line in out.splitlines() if "offset" in line)


def until_still(topic, partitions, n):
    """When the last update came: most are there (adjacent records of one basket share one), and no more come."""
    last, since, limit = -1, time.monotonic(), time.monotonic() + LIMIT_S
    while time.monotonic() < limit:
        now = ends(topic, partitions)
        if now != last:
            last, since = now, time.monotonic()
        elif last >= 0.9 * n and time.monotonic() - since > STILL_S:
            return since
        time.sleep(0.1)
    sys.exit(f"{last} of about {n} updates after {LIMIT_S} s")


def measure(setup, path, n):
    """Processor time an event (microseconds) of each instance by thread, most first; events a second."""
    instances, partitions = SETUPS[setup]
    world = stream.World(f"bench-{setup}", partitions)
    try:
        each = [world.run(f"i{k}", workers=1, usercf__neighbours=50, audience__max=500, ready__lag=1000)
                for k in range(instances)]
        for x in each:
            x.joined()
        for x in each[:-1]:  # until the last one has its share
            x.says("the group gave", stream.LIMIT_S)
        time.sleep(2 if instances > 1 else 0)  # a rebalance is over; no verdict depends on it
        before = [threads(x.process.pid) for x in each]
        began = time.monotonic()
        stream.kindred("produce", "-c", world.config("produce"), "--in", path, "--quiet")
        took = until_still(world.topic("recommendations"), partitions, n) - began
        spent = []
        for x, b in zip(each, before):
            now = threads(x.process.pid)
            spent.append({name: (s - b.get(name, 0.0)) / n * 1e6 for name, s in now.items()})
        lists = []
        for x in each:
            x.end()
            lists.append(int(x.said().split(" lists,")[0].rsplit(None, 1)[1]))
        print(f"  {setup}: {took:.1f} s, lists {lists}", file=sys.stderr, flush=True)
        order = sorted(range(instances), key=lambda k: -lists[k])
        return n / took, [spent[k] for k in order]
    finally:
        world.close()


def result(kase, metric, value, unit, n):
    print(json.dumps({"bench": "instances", "case": kase, "metric": metric, "value": round(value, 4), "unit": unit,
                      "n": n}), flush=True)


def main():
    args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    n, reps = int(args.get("--events", "200000")), int(args.get("--reps", "3"))
    folder = stream.tempfile.mkdtemp(prefix="kindred-bench-")
    path = os.path.join(folder, "events.jsonl")
    stream.kindred("generate", "--out", path, "--events", str(n), "--no-catalog", "--quiet")
    rows = {setup: [] for setup in SETUPS}
    for _ in range(reps):
        for setup in SETUPS:
            rows[setup].append(measure(setup, path, n))
    stream.shutil.rmtree(folder)

    def us(setup, k, name=None):
        """The median of instance k's processor time an event, of one thread or all."""
        return statistics.median(sum(v for t, v in row[1][k].items() if name in (None, t)) for row in rows[setup])

    for setup in SETUPS:
        result(setup, "events/s, all instances and the broker on this machine",
               statistics.median(row[0] for row in rows[setup]), "1/s", reps)
        for k in range(SETUPS[setup][0]):
            who = {"standby": ["owner", "standby"]}.get(setup, ["instance 1", "instance 2"])[k]
            for name in (None, LOOP, "rdk"):
                label = {None: "all threads", LOOP: "loop", "rdk": "librdkafka's threads"}[name]
                result(setup, f"{who}: {label}, cpu an event", us(setup, k, name), "us", reps)
    for name, label in ((None, "all threads"), (LOOP, "loop")):
        f, r = us("standby", 1, name), us("standby", 0, name) - us("standby", 1, name)
        result("parts", f"F, {label}: each event in each instance", f, "us", reps)
        result("parts", f"R, {label}: each event in its owner", r, "us", reps)
        result("parts", f"shared, {label}: predicted F + R/2", f + r / 2, "us", reps)
        result("parts", f"shared, {label}: measured", (us("shared", 0, name) + us("shared", 1, name)) / 2, "us", reps)
        for m in (1, 2, 4, 16):
            result("on paper", f"{m} instances, {label}: F + R/{m}", f + r / m, "us", reps)
            result("on paper", f"{m} instances, {label}: events/s, a core each", 1e6 / (f + r / m), "1/s", reps)
        result("on paper", f"limit, {label}: 1/F", 1e6 / f, "1/s", reps)


main()
