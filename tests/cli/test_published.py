#!/usr/bin/python3
"""Published protocols on the real data: the figures that the README states, with the settings that stand in
evaluation/protocols and were found on the training part alone (docs/decisions.md). Skipped where the data are not there, and
under sanitizers, where test_protocol runs the same code on small worlds."""

import json
import os
import pathlib
import subprocess
import sys

BIN = os.environ["KINDRED_BIN"]
SOURCE = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("KINDRED_DATA", SOURCE.parent / "shared/data"))
PROTOCOLS = SOURCE / "evaluation/protocols"


def evaluate(*args):
    env = {k: v for k, v in os.environ.items() if not k.startswith("KINDRED_")}
    done = subprocess.run([BIN, "evaluate", "--json", *map(str, args)], capture_output=True, text=True, env=env, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def expect(name, at, hr, mrr):
    """Equal to four digits but for the last one, which a C library's pow and exp may turn."""
    print(f"{name:24} HR@20 {at['20']['hr']:.4f}  MRR@20 {at['20']['mrr']:.4f}", flush=True)
    assert abs(at["20"]["hr"] - hr) < 2e-4 and abs(at["20"]["mrr"] - mrr) < 2e-4, (name, at["20"], hr, mrr)


def yoochoose():
    data = DATA / "yoochoose_1_64"
    args = ["--train", data / "train_sessions.txt.gz", "--test", data / "test_prefix_label.tsv.gz", "--prefixes", "-c"]
    for name, hr, mrr, least in (("yoochoose_plain", 0.7005, 0.3059, (0.650, 0.253)),
                                 ("yoochoose_weighted", 0.7092, 0.3095, (0.690, 0.285))):
        got = evaluate(*args, PROTOCOLS / f"{name}.yaml")
        assert got["positions"] == 55898 and got["sessions"] == 116167 and got["bad"] == 0, got
        expect(name, got["at"], hr, mrr)
        assert got["at"]["20"]["hr"] >= least[0] and got["at"]["20"]["mrr"] >= least[1]


def rsc15():
    data = DATA / "rsc15_100k"
    got = evaluate("--train", data / "train.tsv.gz", "--test", data / "test.tsv.gz", "--map", "rsc15",
                   "--lists", data / "vsknn_top50.csv.gz", "-c", PROTOCOLS / "rsc15_vsknn.yaml")
    assert got["positions"] == 387
    expect("rsc15, V-SKNN's lists", got["lists_at"], 0.6098, 0.3342)
    expect("rsc15, ours beside them", got["at"], 0.6124, 0.3322)


def main():
    if os.path.basename(os.environ.get("KINDRED_BUILD", "")) in ("asan", "tsan"):
        print("skipped: figures of real data are not for a build with sanitizers")
        sys.exit(77)
    sets = {"yoochoose_1_64": yoochoose, "rsc15_100k": rsc15}
    there = [name for name in sets if (DATA / name).is_dir()]
    for name in sets.keys() - there:
        print(f"skipped: {name} is neither in $KINDRED_DATA nor in ../shared/data")
    if not there:
        sys.exit(77)
    for name in there:
        sets[name]()


main()
