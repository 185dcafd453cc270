#!/usr/bin/python3
"""The blend beside each of its parts alone on the real data sets, test then learn. What is searched on and what is
reported are different questions:

  search   events before SPLIT (the first 60 %), of the first half of the shoppers, by a hash of their ids
  report   later   events from SPLIT on, of all shoppers
           others  events before SPLIT, of the second half of the shoppers: later on hardly anybody is new any more

usage: KINDRED_BIN=build/release/kindred blend.py search|report [--set NAME] [--trials N] [--seed N]

search draws weights at random and prints, best first, each one's rates over those of the best part alone, of all
questions, of shoppers with 1 or 2 events so far, and with 3 to 9. report prints rates, and whether the blend differs
(paired by shopper, corrected for all that is compared in a run: docs/evaluation.md)."""

import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("KINDRED_DATA", ROOT.parent / "shared/data"))
SETS = {
    "online_retail": (["online_retail.csv.gz"], "2011-09-11T15:52:00Z"),
    "retailrocket": (["retailrocket.csv.gz"], "2015-07-19T15:24:54Z"),
    "complete_journey": (["complete_journey_products.csv.gz", "complete_journey_transactions.csv.gz"],
                         "2017-08-07T12:38:50Z"),
}
NO_TEXTS = {"retailrocket"}
NONE = {"blend.usercf": 0, "blend.together": 0, "blend.content": 0, "blend.popularity": 0, "blend.popularity.new": 0,
        "blend.new": 0}
PARTS = {
    "user-CF": {"blend": "off"},
    "popularity": NONE | {"blend.popularity": 1},
    "content": NONE | {"blend.content": 1},
    "together": NONE | {"blend.together": 1},
}
SPACE = {"blend.together": (0.03, 0.3), "blend.content": (0.05, 0.8), "blend.popularity": (0.05, 1),
         "blend.popularity.new": (1, 20), "blend.popularity.known": (1, 10), "blend.few": (1, 50)}
SEGMENTS = ("all events", "after 1-2 events", "after 3-9 events")
METRICS = ("HR", "MRR")


def backtest(name, configs, *options):
    """{configuration: {(segment, metric): (mean, p or None)}}, {segment: questions}."""
    files, _ = SETS[name]
    with tempfile.TemporaryDirectory() as folder:
        args = []
        for n, config in enumerate(configs.values()):
            rows = {"blend": "on", "content": "off" if name in NO_TEXTS else "on", "recommend.count": 20,
                    "recommend.reasons": "false", "emit": "always"} | config
            path = pathlib.Path(folder) / f"{n:02}.yaml"
            path.write_text("".join(f'{key}: "{value}"\n' for key, value in rows.items()))
            args += ["-c", path]
        for file in files:
            args += ["--in", DATA / file]
        ran = subprocess.run([os.environ["KINDRED_BIN"], "backtest", "--quiet", "--map",
                              ROOT / f"consumers/maps/{name}.yaml", "--at", "20", "--max-dead-letters", "-1",
                              "--json", "-", *args, *options], capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            sys.exit(ran.stderr)
    out = ran.stdout
    report = json.loads(out[out.index("{"):out.rindex("}") + 1])
    found = {}
    for config, run in zip(configs, report["runs"]):
        rows = {s["segment"]: s for s in run["segments"]}
        found[config] = {(s, m): (rows[s][m]["mean"]["value"], rows[s][m].get("versus", {}).get("p"))
                         for s in SEGMENTS for m in METRICS}
        questions = {s: rows[s]["questions"] for s in SEGMENTS}
    return found, questions


def parts_of(name):
    return {p: c for p, c in PARTS.items() if p != "content" or name not in NO_TEXTS}


def search(names, trials, seed):
    rng = random.Random(seed)
    ways = {"defaults": {}}
    for _ in range(trials):
        way = {key: float(f"{math.exp(rng.uniform(math.log(low), math.log(high))):.2g}")
               for key, (low, high) in SPACE.items()}
        ways[" ".join(f"{k[6:]}={v}" for k, v in way.items())] = way
    ratios = {way: {} for way in ways}
    for name in names:
        parts = parts_of(name)
        best, left = {}, dict(parts) | ways
        while left:
            some = {k: left.pop(k) for k in list(left)[:8]}
            found, _ = backtest(name, some, "--now", SETS[name][1], "--score-shoppers", "1/2", "--resamples", "100")
            for way, rates in found.items():
                for key, (rate, _) in rates.items():
                    if way in parts:
                        best[key] = max(best.get(key, 0), rate)
                    else:
                        ratios[way][name, *key] = rate / best[key]

    def merit(way):
        r = ratios[way].values()
        return min(r) + sum(math.log(x) for x in r) / len(r)
    for way in sorted(ways, key=merit, reverse=True):
        print(f"{merit(way):.3f} {way}\n      " + " ".join(
            f"{n} " + "/".join(f"{ratios[way][n, s, m]:.3f}" for s in SEGMENTS for m in METRICS) for n in names))


def report(names):
    for name in names:
        configs = {"blend": {}} | parts_of(name)
        for what, options in (("later", ["--score-from", SETS[name][1]]),
                              ("others", ["--now", SETS[name][1], "--score-shoppers", "2/2"])):
            found, questions = backtest(name, configs, *options)
            for s in SEGMENTS[:2]:
                print(f"{name}, {what}, {s}: {questions[s]} questions (HR@20 / MRR@20, p of the difference from the blend)")
                for config, rates in found.items():
                    print(f"  {config:12}" + "".join(
                        f"  {rates[s, m][0]:.4f}" + ("" if rates[s, m][1] is None else f" (p {rates[s, m][1]:.4f})")
                        for m in METRICS), flush=True)


def main():
    if len(sys.argv) < 2 or sys.argv[1] not in ("search", "report"):
        sys.exit(__doc__)
    args = dict(zip(sys.argv[2::2], sys.argv[3::2]))
    names = [n for n in SETS if args.get("--set", n) == n and all((DATA / f).exists() for f in SETS[n][0])]
    if not names:
        sys.exit("no such data set, neither in $KINDRED_DATA nor in ../shared/data")
    if sys.argv[1] == "report":
        report(names)
    else:
        search(names, int(args.get("--trials", "20")), int(args.get("--seed", "1")))


if __name__ == "__main__":
    main()
