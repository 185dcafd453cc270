#!/usr/bin/python3
"""kindred backtest as people use it: the same digests as replay's, numbers that a second judge, written here
from the definitions alone, finds too, several configurations, and reports in all forms."""

import csv
import datetime
import io
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile

BIN = os.environ["KINDRED_BIN"]
SEED = int(os.environ.get("KINDRED_SEED", "11"))
FOLDER = tempfile.mkdtemp(prefix="kindred-backtest-")
START = 1700000000000
print(f"seed {SEED} (KINDRED_SEED)", flush=True)


def kindred(*args, code=0):
    env = {k: v for k, v in os.environ.items() if not k.startswith("KINDRED_")}
    done = subprocess.run([BIN, *args], capture_output=True, text=True, env=env, timeout=250)
    assert done.returncode == code, f"{args}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr}"
    return done


def path(name, content=None):
    full = os.path.join(FOLDER, name)
    if content is not None:
        with open(full, "w") as f:
            f.write(content)
    return full


def event(user, item, time, action="VIEW", order=None):
    if action in ("PAID", "CANCELLED"):
        return {"type": "PurchaseEvent", "user_id": user, "item_id": item, "action": action, "time": time,
                "order_id": order, "quantity": 1}
    return {"type": "BrowseEvent", "user_id": user, "item_id": item, "action": action, "time": time}


def make_log(n, shoppers=25, items=30):
    """Views, baskets (some of them with another shopper's events in between), cancellations, repeats, and
    requests to forget."""
    rng, log, time = random.Random(SEED), [], START
    while len(log) < n:
        time += rng.choice([0, 1, 1000, 3600000])
        user = f"u{int(shoppers * rng.random() ** 2)}"
        item = lambda: f"i{int(items * rng.random() ** 2)}"
        what = rng.random()
        if what < 0.55:
            log.append(event(user, item(), time, rng.choice(["VIEW", "VIEW", "LIKE", "CART"])))
        elif what < 0.85:
            order = f"o{len(log)}"
            for _ in range(rng.choice([1, 2, 3, 6])):
                log.append(event(user, item(), time, "PAID", order))
                time += rng.choice([0, 0, 5])
                if rng.random() < 0.2:
                    log.append(event(f"u{rng.randrange(shoppers)}", item(), time))
        elif what < 0.95:
            log.append(event(user, item(), time, "CANCELLED", f"c{len(log)}"))
        elif what < 0.97:
            log.append({"type": "ForgetRequest", "shopper_id": user, "time": time, "request_id": f"r{len(log)}"})
        else:
            log.append(dict(log[-1]) if log else event(user, item(), time))
    return log[:n]


LOG = make_log(1500)


def line_of(e):
    """As it stands in a file."""
    if e["type"] == "ForgetRequest":
        return json.dumps(e)
    more = {"event_id": None, "session_id": None}
    if e["type"] == "PurchaseEvent":
        more |= {"status": e["action"], "price": None, "currency": None}
    return json.dumps({k: v for k, v in e.items() if k != "action" or e["type"] == "BrowseEvent"} | more)


EVENTS = path("events.jsonl", "".join(line_of(e) + "\n" for e in LOG))


def report(*args):
    return json.loads(kindred("backtest", "--quiet", "--json", "-", *args).stdout)


def replay(*args):
    out = path("updates.jsonl")
    said = kindred("replay", "--quiet", "--in", EVENTS, "--out", out, *args).stderr
    with open(out) as f:
        updates = [json.loads(line) for line in f]
    return updates, dict(re.findall(r"^(output|state) digest ([0-9a-f]{32})$", said, re.M))


# -- the second judge --------------------------------------------------------------------------------------

class Unit:
    def __init__(self, at, user, first, n_before):
        self.at, self.user, self.time, self.n_before = at, user, first["time"], n_before
        self.events = []

    def add(self, e):
        self.events.append(e)

    def takes(self, e):
        last = self.events[-1]
        order = e.get("order_id")
        return (order is not None and order == last.get("order_id")) or e["time"] == last["time"]


def units_of(log):
    """Each unit with its wanted items: {item: (kind, bought in it)}."""
    done, open_of, met, bought, count = [], {}, set(), set(), {}
    life = {}  # how often a shopper was forgotten: afterwards it is somebody else
    for at, e in enumerate(log):
        if e["type"] == "ForgetRequest":
            user = e["shopper_id"]
            open_of.pop(user, None)
            life[user] = life.get(user, 0) + 1
            count[user] = 0
            continue
        user, item = e["user_id"], e["item_id"]
        unit = open_of.get(user)
        if unit is None or not unit.takes(e):
            unit = open_of[user] = Unit(at, user, e, count.get(user, 0))
            unit.was_met = {i for u, n, i in met if u == user and n == life.get(user, 0)}
            unit.was_bought = {i for u, n, i in bought if u == user and n == life.get(user, 0)}
            unit.life = life.get(user, 0)
            done.append(unit)
        unit.add(e)
        count[user] = count.get(user, 0) + 1
        key = (user, life.get(user, 0), item)
        met.add(key)
        if e["action"] == "PAID":
            bought.add(key)
        elif e["action"] == "CANCELLED":
            bought.discard(key)
    for unit in done:
        unit.wants = {}
        for e in unit.events:
            if e["action"] != "CANCELLED":
                item = e["item_id"]
                paid = e["action"] == "PAID" or (item in unit.wants and unit.wants[item][1])
                kind = "new" if item not in unit.was_met else \
                    "re-buy" if paid and item in unit.was_bought else "known"
                unit.wants[item] = (kind, paid)
    return done


def judge(listed, wanted, k):
    hits = [r for r, item in enumerate(listed[:k], 1) if item in wanted]
    p, r = len(hits) / k, len(hits) / len(wanted)
    ideal = sum(1 / math.log2(r + 1) for r in range(1, min(k, len(wanted)) + 1))
    return {"HR": float(bool(hits)), "precision": p, "recall": r, "F1": 2 * p * r / (p + r) if p + r else 0.0,
            "MRR": 1 / hits[0] if hits else 0.0, "NDCG": sum(1 / math.log2(r + 1) for r in hits) / ideal,
            "MAP": sum((n + 1) / r for n, r in enumerate(hits)) / len(wanted)}


def segments_of(unit):
    n = unit.n_before
    yield "all events", set(unit.wants)
    yield ("after 1-2 events" if n < 3 else "after 3-9 events" if n < 10 else "after 10-49 events" if n < 50
           else "after 50 events or more"), set(unit.wants)
    yield "purchases", {i for i, (_, paid) in unit.wants.items() if paid}
    for kind, name in (("new", "items new to the shopper"), ("known", "items known to the shopper"),
                       ("re-buy", "re-buys")):
        yield name, {i for i, (k, _) in unit.wants.items() if k == kind}


def second_judge(log, updates, cutoffs, head, score_from=None):
    by_user, forgotten_at = {}, {}
    for u in updates:
        by_user.setdefault(u["shopper_id"], []).append((u["trigger"]["offset"], [i["item_id"] for i in u["items"]]))
    for at, e in enumerate(log):
        if e["type"] == "ForgetRequest":
            forgotten_at.setdefault(e["shopper_id"], []).append(at)
    found = {"units": {}, "sums": {}, "no_list_yet": 0, "cancellations": 0, "only_taught": 0, "shopper": {}}
    for unit in units_of(log):
        since = max([at for at in forgotten_at.get(unit.user, []) if at < unit.at], default=-1)
        before = [items for at, items in by_user.get(unit.user, []) if since < at < unit.at]
        if not unit.wants:
            found["cancellations"] += 1
        elif score_from is not None and unit.time < score_from:
            found["only_taught"] += 1
        elif not before:
            found["no_list_yet"] += 1
        else:
            for name, wanted in segments_of(unit):
                if wanted:
                    found["units"][name] = found["units"].get(name, 0) + 1
                    for k in cutoffs if name == "all events" else [head]:
                        for metric, value in judge(before[-1], wanted, k).items():
                            key = (name, metric, k)
                            found["sums"][key] = found["sums"].get(key, 0) + value
                            if name == "all events":
                                own = found["shopper"].setdefault((metric, k), {})
                                own.setdefault((unit.user, unit.life), []).append(value)
    return found


def close(a, b):
    return abs(a - b) <= 1e-9


def compare(run, found, cutoffs, head):
    total = found["units"]["all events"]
    q = run["questions"]
    assert q["judged"] == total, (q, total)
    assert all(q[name] == found[name] for name in ("no_list_yet", "cancellations", "only_taught")), (q, found)
    checked = 0
    for row in run["metrics"]:
        key = ("all events", row["metric"], row["k"])
        assert close(row["mean"]["value"], found["sums"][key] / total), (row, found["sums"][key] / total)
        own = found["shopper"][(row["metric"], row["k"])].values()
        assert close(row["mean_of_shoppers"]["value"], sum(sum(v) / len(v) for v in own) / len(own)), row
        assert row["mean"]["low"] <= row["mean"]["value"] <= row["mean"]["high"], row
        checked += 1
    assert checked == 7 * len(cutoffs)
    mean = {(r["metric"], r["k"]): r["mean"]["value"] for r in run["metrics"]}
    for row in run["f1_of_means"]:
        p, r = mean[("precision", row["k"])], mean[("recall", row["k"])]
        assert close(row["mean"]["value"], 2 * p * r / (p + r)), row
    for row in run["segments"]:
        n = found["units"].get(row["segment"], 0)
        assert row["questions"] == n, (row["segment"], row["questions"], n)
        for metric in ("HR", "precision", "recall", "F1", "MRR", "NDCG", "MAP"):
            want = found["sums"].get((row["segment"], metric, head), 0) / max(n, 1)
            assert close(row[metric]["mean"]["value"], want), (row["segment"], metric, want)
    assert sum(w["questions"] for w in run["windows"]) == total
    # The windows' means, weighed by their questions, are the mean of all.
    for metric in ("HR", "NDCG"):
        mean = sum(w[metric]["value"] * w["questions"] for w in run["windows"]) / total
        assert close(mean, found["sums"][("all events", metric, head)] / total)


OPTIONS = [("--set", "recommend.count=12"), ("--set", "recommend.count=12", "--set", "emit=always", "--set", "epoch.max=7"),
           ("--set", "recommend.count=12", "--set", "recommend.exclude=none", "--set", "usercf.similarity=cosine")]


def test_numbers_and_digests_are_those_of_a_replay_judged_by_the_definitions():
    cutoffs, head = [1, 3, 10, 12], 10
    for options in OPTIONS:
        updates, digests = replay(*options)
        run = report("--in", EVENTS, "--at", "1,3,10,12", *options)["runs"][0]
        assert run["output_digest"] == digests["output"] and run["state_digest"] == digests["state"]
        found = second_judge(LOG, updates, cutoffs, head)
        compare(run, found, cutoffs, head)
        assert found["sums"][("all events", "HR", 10)] > 50, "too few hits to show anything"
        assert found["units"].get("re-buys", 0) > 20 and found["cancellations"] > 20


class Lists:
    """What is said of the lists themselves, from the definitions; for epochs of one record."""

    def __init__(self, k):
        self.k, self.takers, self.shoppers, self.items = k, {}, set(), set()
        self.last, self.listed, self.window = {}, set(), None
        self.sums = {"lists": 0, "items": 0, "novelty": 0.0, "popular": 0, "churn": 0.0, "followed": 0}
        self.parts = {}

    def event(self, who, item):
        self.shoppers.add(who)
        self.items.add(item)
        self.takers.setdefault(item, set()).add(who)

    def find_popular(self):
        counts = sorted((len(t) for t in self.takers.values()), reverse=True)
        want = max(len(counts) // 100, 10)
        self.popular_from = counts[want - 1] if len(counts) >= want else 1

    def publish(self, who, update, window):
        if window != self.window:
            self.window = window
            self.find_popular()
        now = update["items"][:self.k]
        ids = [i["item_id"] for i in now]
        self.sums["lists"] += 1
        self.sums["items"] += len(ids)
        for i in now:
            n = len(self.takers[i["item_id"]])
            self.sums["novelty"] += math.log2(len(self.shoppers) / n)
            self.sums["popular"] += n >= self.popular_from
            parts = {name: x for name, x in i["parts"].items() if x is not None}
            part = max(parts, key=parts.get)
            self.parts[part] = self.parts.get(part, 0) + 1
        self.listed |= set(ids)
        if who in self.last:
            self.sums["followed"] += 1
            self.sums["churn"] += len(set(ids) - set(self.last[who])) / len(ids) if ids else 0
        self.last[who] = ids


def test_lists_are_described_by_the_definitions():
    for options in (["--set", "emit=always"], ["--set", "emit=on-change", "--set", "usercf.neighbours=2"]):
        options += ["--set", "epoch.max=1"]
        updates, _ = replay(*options)
        r = report("--in", EVENTS, "--at", "4,8", "--window", "1d", *options)
        run, seen, life = r["runs"][0], Lists(8), {}
        by_offset = {u["trigger"]["offset"]: u for u in updates}
        for at, e in enumerate(LOG):
            if e["type"] == "ForgetRequest":
                life[e["shopper_id"]] = life.get(e["shopper_id"], 0) + 1
                continue
            who = (e["user_id"], life.get(e["user_id"], 0))
            seen.event(who, e["item_id"])
            if at in by_offset:
                seen.publish(who, by_offset[at], (e["time"] - 4 * 86400000) // 86400000)
        s, said = seen.sums, run["lists"]
        assert said["lists"] == s["lists"] == len(updates) and said["listed_items"] == s["items"]
        assert close(said["novelty_bits"], s["novelty"] / s["items"]), (said, s)
        assert close(said["popular_share"], s["popular"] / s["items"]), (said, s)
        assert close(said["churn"], s["churn"] / s["followed"]), (said, s)
        assert close(said["coverage"], len(seen.listed) / len(seen.items)), (said, len(seen.listed))
        assert {p["part"]: p["items"] for p in said["parts"]} == seen.parts
        assert 0 < said["popular_share"] < 1 and said["churn"] > 0.01 and said["novelty_bits"] > 0.1
        assert sum(w["lists"] for w in run["windows"]) == s["lists"] and len(run["windows"]) > 5


def test_earlier_events_only_teach():
    middle = LOG[len(LOG) // 2]["time"]
    text = datetime.datetime.fromtimestamp(middle / 1000, datetime.timezone.utc)
    iso = text.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    run = report("--in", EVENTS, "--at", "5", "--score-from", iso)["runs"][0]
    updates, digests = replay()
    found = second_judge(LOG, updates, [5], 5, score_from=middle)
    assert found["only_taught"] > 100, iso
    compare(run, found, [5], 5)
    assert run["output_digest"] == digests["output"]


def test_parts_of_the_shoppers_are_judged_apart():
    whole = report("--in", EVENTS, "--at", "5")["runs"][0]
    judged = hits = taught = 0
    for k in range(1, 4):
        run = report("--in", EVENTS, "--at", "5", "--score-shoppers", f"{k}/3")["runs"][0]
        assert run["output_digest"] == whole["output_digest"]
        n = run["questions"]["judged"]
        assert 0 < n < whole["questions"]["judged"], n
        judged += n
        taught += run["questions"]["only_taught"]
        hits += run["metrics"][0]["mean"]["value"] * n
    assert judged == whole["questions"]["judged"] and whole["questions"]["only_taught"] == 0
    assert taught > judged  # each was asked once and taught twice, the first ones too
    assert abs(hits / judged - whole["metrics"][0]["mean"]["value"]) < 1e-9
    one = report("--in", EVENTS, "--score-shoppers", "1/1")["runs"][0]
    assert one["metrics"] == report("--in", EVENTS)["runs"][0]["metrics"]


def strip_measured(r):
    return {k: v for k, v in r.items() if k != "measured"}


def test_no_output_depends_on_threads_workers_or_company():
    base = report("--in", EVENTS, "--threads", "1", "--grid", "usercf.neighbours=1,5,20")
    for more in (["--threads", "2"], ["--threads", "5"]):
        assert strip_measured(report("--in", EVENTS, "--grid", "usercf.neighbours=1,5,20", *more)) == strip_measured(base)
    several = report("--in", EVENTS, "--threads", "3", "--set", "workers=3", "--grid", "usercf.neighbours=1,5,20")
    for one, other in zip(several["runs"], base["runs"]):
        assert one["output_digest"] == other["output_digest"] and one["metrics"] == other["metrics"]
    alone = report("--in", EVENTS, "--set", "usercf.neighbours=5")["runs"][0]
    beside = base["runs"][1]
    assert alone["output_digest"] == beside["output_digest"]
    assert [m["mean"] for m in alone["metrics"]] == [m["mean"] for m in beside["metrics"]]


def test_files_and_grids_multiply():
    one = path("one.yaml", "usercf.neighbours: 3\n")
    two = path("two.yaml", "usercf.similarity: cosine\n")
    r = report("--in", EVENTS, "-c", one, "--config", two, "--grid", "audience.max=5,50", "--grid", "recommend.count=5,6")
    names = [run["name"] for run in r["runs"]]
    assert names == [f"{f} audience.max={a} count={c}" for f in ("one", "two") for a in (5, 50)
                     for c in (5, 6)], names
    options = {o["name"]: o for o in r["options"]}
    assert options["usercf.neighbours"]["values"] == ["3"] * 4 + ["50"] * 4
    assert options["audience.max"]["differs"] and options["audience.max"]["default"] == "500"
    assert "history.max" not in options
    assert r["cutoffs"] == [1, 5]


def test_differences_are_paired_and_marked():
    r = report("--in", EVENTS, "--grid", "recommend.fill=popularity,none,popularity", "--set", "usercf.neighbours=2")
    first, none, same = r["runs"]
    assert same["name"].endswith("(3)") and same["output_digest"] == first["output_digest"]
    for row in same["metrics"]:
        assert row["versus"] == {"diff": 0, "low": 0, "high": 0, "p": 1, "significant": False}, row
    assert "versus" not in first["metrics"][0]
    for row, base in zip(none["metrics"], first["metrics"]):
        v = row["versus"]
        assert close(v["diff"], row["mean"]["value"] - base["mean"]["value"])
        assert v["low"] <= v["diff"] <= v["high"] and 0 < v["p"] <= 1
    assert any(row["versus"]["significant"] for row in none["metrics"])


def test_forms_agree():
    files = {f: path("r." + f) for f in ("json", "csv", "html")}
    said = kindred("backtest", "--quiet", "--in", EVENTS, "--grid", "usercf.neighbours=1,20", "--at", "5,10",
                   *[x for f, p in files.items() for x in ("--" + f, p)]).stdout
    with open(files["json"]) as f:
        r = json.load(f)
    with open(files["csv"], newline="") as f:
        rows = list(csv.DictReader(f))
    for run in r["runs"]:
        assert run["output_digest"] in said and run["state_digest"] in said
        mine = [x for x in rows if x["config"] == run["name"]]
        for m in run["metrics"]:
            x = next(x for x in mine if x["scope"] == "mean" and x["segment"] == "all events" and
                     x["window_start"] == "" and x["metric"] == m["metric"] and x["k"] == str(m["k"]))
            assert float(x["value"]) == m["mean"]["value"] and float(x["low"]) == m["mean"]["low"]
            if "versus" in m:
                assert float(x["diff"]) == m["versus"]["diff"] and float(x["p"]) == m["versus"]["p"]
            assert f'{m["mean"]["value"]:.5f}' in said
        assert len({x["window_start"] for x in mine}) == 1 + len(run["windows"])
        for part in run["lists"]["parts"]:
            assert part["part"] in ("usercf", "popularity") and 0 <= part["hits"] <= part["items"]
        assert sum(p["items"] for p in run["lists"]["parts"]) == run["lists"]["listed_items"]
        assert 0 < run["lists"]["coverage"] <= 1 and 0 <= run["lists"]["churn"] <= 1
    assert list(csv.reader(io.StringIO(kindred("backtest", "--quiet", "--in", EVENTS, "--csv", "-").stdout)))


def test_what_is_wrong_is_said():
    def wrong(*args, code=1):
        return kindred("backtest", "--quiet", *args, code=code).stderr
    assert "--in FILE is missing" in wrong()
    assert "one of the two" in wrong("--in", EVENTS, "--from", "2024-01-01")
    assert "growing numbers" in wrong("--in", EVENTS, "--at", "5,5")
    assert "growing numbers" in wrong("--in", EVENTS, "--at", "0")
    assert "growing numbers" in wrong("--in", EVENTS, "--at", "1,300")
    assert "OPTION=VALUE" in wrong("--in", EVENTS, "--grid", "usercf.neighbours")
    said = wrong("--in", EVENTS, "--grid", "usercf.neighbors=1,2")
    assert "did you mean usercf.neighbours" in said and "--grid" in said, said
    assert "out of range" in wrong("--in", EVENTS, "--grid", "usercf.neighbours=1,0")
    assert "shopper by shopper" in wrong("--in", EVENTS, "--grid", "shopper=user,session")
    many = ",".join(str(k) for k in range(1, 70))
    assert "more than 64" in wrong("--in", EVENTS, "--grid", f"usercf.neighbours={many}")
    assert "no time" in wrong("--in", EVENTS, "--score-from", "yesterday")
    for part in ("0/2", "3/2", "1", "1/", "-1/2", "1/2x", "1/-2"):
        assert "K/N" in wrong("--in", EVENTS, "--score-shoppers", part), part
    assert "cannot write" in wrong("--in", EVENTS, "--html", path("no/such/folder/x.html"), code=2)
    assert "a longer one is right" in wrong("--in", EVENTS, "--window", "100ms")
    bad = path("bad.jsonl", open(EVENTS).read() + "{}\nnot json\n")
    assert "dead letters" in wrong("--in", bad, "--max-dead-letters", "1", code=3)
    assert report("--in", bad)["dead_letters"] == 2


def test_nothing_judged_is_said():
    """No tables of zeros, and no success; the forms for programs say that nothing was judged."""
    first = path("first.jsonl", json.dumps(event("u1", "i1", START)) + "\n")
    for args, word in ((("--in", path("empty.jsonl", "")), "there is none"), (("--in", first), "its shopper's first"),
                       (("--in", EVENTS, "--score-from", "2040-01-01"), "only taught")):
        done = kindred("backtest", "--quiet", *args, code=1)
        assert "no event in this range was judged" in done.stderr and word in done.stderr, done.stderr
        assert done.stdout == "", done.stdout
        said = json.loads(kindred("backtest", "--quiet", *args, "--json", "-", code=1).stdout)
        assert said["runs"][0]["questions"]["judged"] == 0


def test_long_names_are_told_apart():
    """Names that differ in their last letters alone: numbers in the tables, whole names in a legend."""
    grids = [w for g in ("recommend.exclude=none", "usercf.similarity=cosine,jaccard", "usercf.neighbours=20,21")
             for w in ("--grid", g)]
    said = kindred("backtest", "--quiet", "--in", EVENTS, *grids).stdout
    legend = dict(re.findall(r"^(#\d+) +(exclude=none .*)$", said, re.M))
    assert len(legend) == len(set(legend.values())) == 4 and legend["#4"].endswith("neighbours=21"), legend
    assert len(re.findall(r"^#\d+ ", said, re.M)) >= 4 * 5 and "worse than #1," in said
    short = kindred("backtest", "--quiet", "--in", EVENTS, "--grid", "usercf.neighbours=20,21").stdout
    assert "#1" not in short and "worse than neighbours=20," in short


def main():
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name, flush=True)


if __name__ == "__main__":
    sys.exit(main())
