#!/usr/bin/python3
"""A backtest from topics of a real broker: the same as from the files that were produced into them; between two
times; nothing committed and nothing published."""

import datetime
import json
import os
import random
import subprocess
import sys
import tempfile
import time

BIN = os.environ["KINDRED_BIN"]
BROKERS = os.environ.get("KINDRED_TEST_BROKERS")
REGISTRY = os.environ.get("KINDRED_TEST_REGISTRY")
if not BROKERS or not REGISTRY:
    sys.exit("KINDRED_TEST_BROKERS and KINDRED_TEST_REGISTRY are not set: ./dev kafka up sets them")
SEED = int(os.environ.get("KINDRED_SEED", "13"))
print(f"seed {SEED} (KINDRED_SEED)", flush=True)
run_id = f"b{os.getpid()}x{int(time.time())}"
folder = tempfile.mkdtemp(prefix="kindred-backtest-")
START = int(time.time() * 1000) - 40 * 86400_000


def kindred(*args, code=0):
    env = {k: v for k, v in os.environ.items() if not k.startswith("KINDRED_")}
    done = subprocess.run([BIN, *args], capture_output=True, text=True, timeout=100, env=env)
    assert done.returncode == code, f"{args}: exit {done.returncode}\n{done.stdout[-1000:]}\n{done.stderr}"
    return done


def path(name, text):
    full = os.path.join(folder, name)
    with open(full, "w") as f:
        f.write(text)
    return full


CONFIG = path("kindred.yaml", "topics:\n" + "".join(
    f"  {name}: {run_id}-{name}\n" for name in
    ("browse", "purchase", "catalog", "forget", "recommendations", "dead-letters", "receipts")) + f"""
group.id: {run_id}
emit: always
schema.registry.url: {REGISTRY}
kafka:
  bootstrap.servers: {BROKERS}
""")


def make_log(n=3000):
    """No two records at one time, so that files and topics give them in one order."""
    rng, log, at = random.Random(SEED), [], START
    for k in range(60):
        log.append({"type": "CatalogItem", "item_id": f"i{k}", "time": at, "title": f"Item {k}", "description": None,
                    "category": f"c{k % 5}", "brand": None, "price": 1.5, "tags": ["x", f"t{k % 3}"],
                    "available": k % 11 != 7})
        at += 1
    for k in range(n):
        at += 1000 + rng.randrange(600_000)
        e = {"event_id": f"e{k}", "user_id": f"u{int(50 * rng.random() ** 2)}", "session_id": None,
             "item_id": f"i{int(60 * rng.random() ** 2)}", "time": at}
        if rng.random() < 0.01:
            e = {"type": "ForgetRequest", "request_id": f"r{k}", "shopper_id": e["user_id"], "time": at}
        elif rng.random() < 0.25:
            e |= {"type": "PurchaseEvent", "order_id": f"o{k}", "status": rng.choice(["PAID"] * 9 + ["CANCELLED"]),
                  "quantity": 1, "price": 9.5, "currency": "EUR"}
        else:
            e |= {"type": "BrowseEvent", "action": rng.choice(["VIEW", "CART", "LIKE"])}
        log.append(e)
    return log


LOG = make_log()


def as_file(name, log):
    return path(name, "".join(json.dumps(e) + "\n" for e in log))


def iso(ms):
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def backtest(*args, code=0):
    return json.loads(kindred("backtest", "--quiet", "-c", CONFIG, "--json", "-", *args, code=code).stdout)


def computed(report, digests=True):
    """What does not depend on where the records stood: a list names its trigger's place, so the output digest
    does."""
    kept = {k: v for k, v in report.items() if k not in ("measured", "input")}
    kept["runs"] = [{k: v for k, v in run.items() if digests or k != "output_digest"} for run in report["runs"]]
    return kept


GRID = ("--grid", "usercf.neighbours=5,50")


def test_topics_as_files():
    events = as_file("events.jsonl", LOG)
    kindred("topics", "create", "-c", CONFIG, "--partitions", "4")
    kindred("produce", "-c", CONFIG, "--in", events, "--quiet")
    by_file = backtest("--in", events, *GRID)
    by_topic = backtest("--from", "2000-01-01", "--threads", "1", *GRID)
    assert by_file["records"] == len(LOG) and by_file["runs"][0]["questions"]["judged"] > 2000
    assert computed(by_topic, digests=False) == computed(by_file, digests=False)
    for threads in ("2", "3"):
        again = backtest("--from", "2000-01-01", "--threads", threads, *GRID)
        assert computed(again) == computed(by_topic)


def test_between_two_times():
    first, last = LOG[1000]["time"], LOG[2400]["time"]
    part = [e for e in LOG if (first <= e["time"] or e["type"] == "CatalogItem") and e["time"] < last]
    by_file = backtest("--in", as_file("part.jsonl", part))
    by_topic = backtest("--from", iso(first), "--to", iso(last))
    assert by_topic["records"] == len(part) == 1460, (by_topic["records"], len(part))
    assert computed(by_topic, digests=False) == computed(by_file, digests=False)
    nothing = backtest("--from", iso(LOG[-1]["time"] + 1), code=1)
    assert nothing["records"] == 60 and nothing["runs"][0]["questions"]["judged"] == 0


def test_history_after_newer_events():
    """What was produced after newer events, and one stray record of tomorrow before all, change nothing but places."""
    stray = {"type": "BrowseEvent", "event_id": "stray", "user_id": "u1", "session_id": None, "item_id": "i1",
             "time": LOG[-1]["time"] + 3_600_000, "action": "VIEW"}
    topics = ("browse", "purchase", "catalog", "forget")
    behind = [w for name in topics for w in ("--set", f"topics.{name}={run_id}-behind-{name}")]
    kindred("topics", "create", "-c", CONFIG, "--partitions", "4", *behind)
    rng, blocks = random.Random(SEED + 1), [LOG[k:k + 500] for k in range(0, len(LOG), 500)]
    rng.shuffle(blocks)
    for name, block in [("stray", [stray])] + list(enumerate(blocks)):
        kindred("produce", "-c", CONFIG, *behind, "--in", as_file(f"block{name}.jsonl", block), "--quiet")
    whole = backtest("--in", as_file("whole.jsonl", LOG + [stray]), *GRID, *behind)
    for threads in ("1", "3"):
        done = kindred("backtest", "--quiet", "-c", CONFIG, "--json", "-", "--from", "2000-01-01", "--threads", threads,
                       *GRID, *behind)
        assert computed(json.loads(done.stdout), digests=False) == computed(whole, digests=False)
        assert "sorted by time" in done.stderr, done.stderr
    first, last = LOG[1000]["time"], LOG[2400]["time"]
    part = [e for e in LOG if (first <= e["time"] or e["type"] == "CatalogItem") and e["time"] < last]
    done = kindred("backtest", "--quiet", "-c", CONFIG, "--json", "-", "--from", iso(first), "--to", iso(last), *behind)
    by_file = backtest("--in", as_file("part.jsonl", part), *behind)
    assert computed(json.loads(done.stdout), digests=False) == computed(by_file, digests=False)
    later = len([e for e in LOG if e["time"] >= last]) + 1
    assert f"{later} records are later than the range\n" in done.stderr, done.stderr
    for at in (LOG[60]["time"], first, last, LOG[-1]["time"]):
        said = []
        for source in (["--in", as_file("whole.jsonl", LOG + [stray])], []):
            x = json.loads(kindred("explain", "--json", "--identities", "--shopper", "u1", "--at", iso(at), "-c", CONFIG,
                                   *behind, *source).stdout)
            for place in ("topic", "partition", "offset"):
                (x["last_event"] or {}).pop(place, None)
            said.append(x)
        assert said[0] == said[1], (at, said)
        assert said[1]["events"] == len([e for e in LOG if e["time"] <= at]), (at, said[1]["events"])


def test_nothing_is_left_behind():
    for name in ("recommendations", "dead-letters", "receipts"):
        got = subprocess.run(["kcat", "-b", BROKERS, "-C", "-t", f"{run_id}-{name}", "-e", "-q"],
                             capture_output=True, timeout=60).stdout
        assert got == b"", (name, got[:100])
    # The group exists only once something was committed or somebody joined; __consumer_offsets has neither.
    offsets = subprocess.run(["kcat", "-b", BROKERS, "-C", "-t", "__consumer_offsets", "-e", "-q", "-f", "%k\n"],
                             capture_output=True, timeout=60).stdout
    assert run_id.encode() not in offsets and b"kindred.backtest" not in offsets


def test_a_bad_record_is_counted():
    subprocess.run(["kcat", "-b", BROKERS, "-P", "-t", f"{run_id}-browse", "-p", "1"], input=b"no avro\n", check=True,
                   timeout=60)
    r = backtest("--from", "2000-01-01", *GRID)
    assert r["dead_letters"] == 1 and r["records"] == len(LOG) + 1
    kindred("backtest", "--quiet", "-c", CONFIG, "--from", "2000-01-01", "--max-dead-letters", "0", code=3)


def test_what_is_missing_is_said():
    said = kindred("backtest", "--quiet", "-c", CONFIG, "--from", "2000-01-01", "--set", f"topics.browse={run_id}-no",
                   code=1).stderr
    assert f"{run_id}-no does not exist" in said, said
    said = kindred("backtest", "--quiet", "-c", CONFIG, "--from", "2024-01-02", "--to", "2024-01-01", code=1).stderr
    assert "later than --from" in said, said


def main():
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name, flush=True)


main()
