#!/usr/bin/python3
"""What a backtest costs beside a plain replay of the same log with the same options, and eight configurations beside
eight backtests of one. Runs take turns, so that what the machine does beside weighs on all alike; the ratios are of
the medians, of wall clock and of processor time.

usage: KINDRED_BIN=build/release/kindred backtest.py [--reps N] [--set NAME]   (result lines go to stdout)"""

import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("KINDRED_DATA", ROOT.parent / "shared/data"))
SETS = {"online_retail": "online_retail.csv.gz", "retailrocket": "retailrocket.csv.gz",
        "complete_journey": "complete_journey_transactions.csv.gz"}
KINDS = ["usercf.neighbours=20,50", "recommend.exclude=purchased,none", "usercf.similarity=jaccard,cosine"]


def run(verb, name, *options):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([os.environ["KINDRED_BIN"], verb, "--quiet", "--map", ROOT / f"consumers/maps/{name}.yaml",
                           "--in", DATA / SETS[name], "--set", "emit=always", "--set", "workers=1", *options],
                          capture_output=True, text=True, check=True)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, re.findall(r"\b[0-9a-f]{32}\b", done.stdout + done.stderr)


def each_alone():
    """The eight configurations of KINDS, one at a time."""
    ways = [[]]
    for grid in KINDS:
        name, values = grid.split("=")
        ways = [way + ["--set", f"{name}={v}"] for way in ways for v in values.split(",")]
    return ways


def main():
    args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    reps, name = int(args.get("--reps", "3")), args.get("--set", "complete_journey")
    if not (DATA / SETS[name]).exists():
        print(f"{SETS[name]} is neither in $KINDRED_DATA nor in ../shared/data: left out", file=sys.stderr)
        return
    found = {}

    def note(what, wall, cpu):
        found.setdefault((what, "wall"), []).append(wall)
        found.setdefault((what, "processor"), []).append(cpu)

    for _ in range(reps):
        *took, digests = run("replay", name)
        note("replay", *took)
        for threads in ("1", "2"):
            *took, other = run("backtest", name, "--threads", threads)
            note(f"backtest, threads {threads}", *took)
            assert other[:2] == digests[:2], (digests, other)
    *took, digests = run("backtest", name, "--threads", "2", *[x for g in KINDS for x in ("--grid", g)])
    note("eight at once, threads 2", *took)
    alone = [run("backtest", name, "--threads", "2", *way) for way in each_alone()]
    note("eight runs of one, threads 2", sum(a[0] for a in alone), sum(a[1] for a in alone))
    assert [d for *_, x in alone for d in x[:2]] == digests[:16]

    def result(kase, metric, value, unit, n):
        print(json.dumps({"bench": f"backtest, {name}", "case": kase, "metric": metric, "value": round(value, 4),
                          "unit": unit, "n": n}), flush=True)

    median = {key: statistics.median(v) for key, v in found.items()}
    for (what, clock), value in median.items():
        result(what, clock, value, "s", len(found[(what, clock)]))
    for clock in ("wall", "processor"):
        for threads in ("1", "2"):
            result(f"speed beside replay, threads {threads}; target 0.80", clock,
                   median[("replay", clock)] / median[(f"backtest, threads {threads}", clock)], "", reps)
        result("eight at once over eight runs; target below 1", clock,
               median[("eight at once, threads 2", clock)] / median[("eight runs of one, threads 2", clock)], "", 1)


main()
