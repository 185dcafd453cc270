#!/usr/bin/python3
"""Replays of real data sets by the program itself: a list for every event, with processor time and peak memory of the
whole process, and the same without lists (all that reading, decoding and applying cost).

usage: KINDRED_BIN=build/release/kindred real.py [--audience N] [--neighbours N]   (result lines go to stdout)"""

import json
import os
import pathlib
import re
import resource
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("KINDRED_DATA", ROOT.parent / "shared/data"))
SETS = {"online_retail": "online_retail.csv.gz", "retailrocket": "retailrocket.csv.gz",
        "complete_journey": "complete_journey_transactions.csv.gz", "rsc15": "rsc15_100k/train.tsv.gz"}


def run(verb, name, options):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([os.environ["KINDRED_BIN"], verb, "--map", ROOT / f"consumers/maps/{name}.yaml",
                           "--in", DATA / SETS[name], *options], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stderr, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def count(text, row):
    return int(re.search(rf"^ *{row} +(\d+)$", text, re.M).group(1))


def main():
    args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    audience, neighbours = args.get("--audience", "500"), args.get("--neighbours", "50")
    kase = f"audience {audience}, k {neighbours}"
    for name in SETS:
        if not (DATA / SETS[name]).exists():
            print(f"{SETS[name]} is neither in $KINDRED_DATA nor in ../shared/data: left out", file=sys.stderr)
            continue
        options = ["--set", "workers=1", "--set", f"audience.max={audience}",
                   "--set", f"usercf.neighbours={neighbours}", "--set", "emit=always"]
        text, cpu = run("replay", name, ["--quiet", *options])
        _, learn = run("recommend", name, ["--ask", "/dev/null", *options])
        lists = count(text, "lists computed")
        records = count(text, "records")

        def result(metric, value, unit):
            print(json.dumps({"bench": f"replay, {name}", "case": kase, "metric": metric, "value": round(value, 3),
                              "unit": unit, "n": 1}), flush=True)

        result("records", records, "")
        result("lists", lists, "")
        result("records/s", records / cpu, "1/s")
        result("records/s, learned only", records / learn, "1/s")
        result("lists/s", lists / max(cpu - learn, 1e-3), "1/s")


main()
