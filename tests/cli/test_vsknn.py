#!/usr/bin/python3
"""V-SKNN against published lists: the 387 positions of rsc15_100k/vsknn_top50.csv.gz, made by session-rec's program.

The settings that made them: k = 500, every session that shares an item is a candidate, quadratic position weights, votes
divided by the steps to the most recent shared item, IDF weight 5. Two things there are no settings: which of equally
similar sessions are the last of the 500 is decided by the order in which a CPython set hands them out, and the
document frequency of an item is its clicks, not its sessions.

The second is a weight of each item, 1 + 5 ln(n / clicks), and Kindred takes weights of items: `rules.boost`, one rule an
item, in a blend of user-CF alone. So Kindred is asked twice, with its own document frequency and with that one, and
compared with the published lists and with the slow twin below, which has each of the two things as a switch. Positions at
which both take the same 500 sessions must be as published. At the others the cut goes through equals: the sessions that
one takes and the other does not are checked to have exactly the similarity of the cut, and a score counts as a match if it
is the published one with the equals that the publishing program took."""

import collections
import gzip
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

BIN = os.environ["KINDRED_BIN"]
DATA = pathlib.Path(os.environ.get("KINDRED_DATA", pathlib.Path(__file__).resolve().parents[3] / "shared/data")) / "rsc15_100k"
MAP = pathlib.Path(__file__).resolve().parents[2] / "consumers/maps/rsc15.yaml"
K, IDF, TOP = 500, 5.0, 20
OPTIONS = ["shopper=session", "usercf.similarity=vsknn", f"usercf.neighbours={K}", "audience.max=10000000",
           "history.max=2000", "recommend.exclude=none", "recommend.fill=none"]
BY_SESSIONS = [f"usercf.idf.score={IDF:g}", "recommend.count=1000"]
BY_CLICKS = ["blend=on", "blend.together=0", "blend.content=0", "blend.popularity=0", "blend.popularity.new=0",
             "recommend.count=50"]


def rows(name, sep):
    with gzip.open(DATA / name, "rt") as f:
        next(f)
        for line in f:
            yield line.rstrip("\n").split(sep)


class Train:
    def __init__(self):
        self.items, self.sessions = {}, {}  # session -> set of items and the reverse
        self.last = {}
        clicks = collections.Counter()
        for session, item, time in rows("train.tsv.gz", "\t"):
            session, item = int(session), int(item)
            self.items.setdefault(session, set()).add(item)
            self.sessions.setdefault(item, set()).add(session)
            self.last[session] = max(self.last.get(session, 0), float(time))
            clicks[item] += 1
        n = len(self.items)
        self.idf_clicks = {i: math.log(n / c) for i, c in clicks.items()}
        self.idf_sessions = {i: math.log(n / len(s)) for i, s in self.sessions.items()}


def similarities(train, events, candidates):
    """Weight of the item at place p of n events: (p / n)^2, of its latest click; their sum over the shared ones, newest
    first, so that equal sets give equal bits, / items."""
    weight = {}
    for p, item in reversed(list(enumerate(events, 1))):
        weight.setdefault(item, (p / len(events)) ** 2)
    return [(s, sum(w for i, w in weight.items() if i in train.items[s]) / len(weight)) for s in candidates]


def score(train, events, near, idf):
    total = collections.defaultdict(float)
    for session, similarity in near:
        theirs = train.items[session]
        step = next(k for k, item in enumerate(reversed(events), 1) if item in theirs)
        for item in theirs:
            total[item] += similarity / step
    return {i: s * (1 + IDF * idf[i]) for i, s in total.items()}


def normalised(scores):
    best = max(scores.values(), default=1)
    return {i: s / best for i, s in scores.items()}


def kindred(questions, options, boosts=()):
    """Kindred's answers; `boosts` are its rules."""
    with tempfile.TemporaryDirectory(prefix="kindred-vsknn-") as folder:
        ask, out = f"{folder}/ask.jsonl", f"{folder}/out.jsonl"
        with open(ask, "w") as f:
            for (session, place), events in questions.items():
                f.write(json.dumps({"id": f"{session}:{place}",
                                    "events": [{"item_id": str(i), "time": 1500000000000 + k, "action": "VIEW"}
                                               for k, i in enumerate(events)]}) + "\n")
        with open(f"{folder}/shop.yaml", "w") as f:
            f.write("rules.boost:\n" + "".join(f"  - item:{i}={factor!r}\n" for i, factor in boosts) if boosts else "")
        subprocess.run([BIN, "recommend", "-c", f"{folder}/shop.yaml", "--map", MAP, "--in", DATA / "train.tsv.gz", "--ask", ask, "--out", out]
                       + [x for o in OPTIONS + options for x in ("--set", o)], check=True, timeout=120)
        with open(out) as f:
            return [json.loads(line) for line in f]


def matches(want, *gots):
    """Of the published items with a score among the first 20: how many have it to 1e-4 in one of `gots`; how many they are."""
    scored = [(i, s) for i, s in want[:TOP] if s > 0]
    return sum(any(abs(got.get(i, 0) - s) <= 1e-4 for got in gots) for i, s in scored), len(scored)


def main():
    if not DATA.is_dir():
        print("skipped: rsc15_100k is neither in $KINDRED_DATA nor in ../shared/data")
        sys.exit(77)
    train = Train()
    clicks = collections.defaultdict(list)
    for session, item, _ in rows("test.tsv.gz", "\t"):
        clicks[int(session)].append(int(item))
    published = {(int(s), int(p)): list(zip(map(int, items.split(",")), map(float, scores.split(","))))
                 for s, p, items, scores in rows("vsknn_top50.csv.gz", ";")}
    questions = {(s, p): clicks[s][:p + 1] for s, p in published}
    answers = kindred(questions, BY_SESSIONS)
    boosted = kindred(questions, BY_CLICKS, [(i, 1 + IDF * idf) for i, idf in train.idf_clicks.items()])

    twins, worst, worst_boosted = 0, 0.0, 0.0
    tied, elsewhere = collections.Counter(), collections.Counter()
    relevant, of_session = set(), None
    for ((session, place), events), answer, boost in zip(questions.items(), answers, boosted):
        if session != of_session:
            relevant, of_session = set(), session
        for item in events if not relevant else events[-1:]:
            relevant = relevant | train.sessions.get(item, set())  # as there: the order of the set is what it becomes
        near = similarities(train, events, relevant)
        theirs = sorted(near, key=lambda x: x[1], reverse=True)[:K]
        ours = sorted(near, key=lambda x: (x[1], train.last[x[0]], str(x[0]).encode()), reverse=True)[:K]

        # Kindred is the twin: neighbours, their order and similarities, every score.
        assert [x["shopper_id"] for x in answer["neighbours"]] == [str(s) for s, _ in ours], (session, place)
        assert answer["neighbours"] == boost["neighbours"], (session, place)
        for x, (_, similarity) in zip(answer["neighbours"], ours):
            assert abs(x["similarity"] - similarity) <= 1e-12, (session, place)
        twin = score(train, events, ours, train.idf_sessions)
        got = {int(x["item_id"]): x["score"] for x in answer["items"]}
        assert len(got) == min(len(twin), 1000) and got.keys() <= twin.keys(), (session, place)
        for item, s in got.items():
            worst = max(worst, abs(s - twin[item]) / twin[item])
        twin = normalised(score(train, events, ours, train.idf_clicks))
        got = normalised({int(x["item_id"]): x["score"] for x in boost["items"]})
        assert len(got) == min(len(twin), 50) and got.keys() <= twin.keys(), (session, place)
        for item, s in got.items():
            worst_boosted = max(worst_boosted, abs(s - twin[item]))

        # Kindred is as published, but for which of equals are taken.
        want = published[session, place]
        with_theirs = normalised(score(train, events, theirs, train.idf_clicks))
        differ = set(ours) ^ set(theirs)
        assert {similarity for _, similarity in differ} <= {ours[-1][1]} if ours else not differ, (session, place)
        kind = tied if differ else elsewhere
        plain, n = matches(want, got)
        kind.update(positions=1, plain=plain, scores=n, counting_ties=matches(want, got, with_theirs)[0] if differ else plain)
        twins += matches(want, with_theirs)[0]
    n = tied["scores"] + elsewhere["scores"]
    plain, counting_ties = (tied[k] + elsewhere[k] for k in ("plain", "counting_ties"))
    print(f"{len(answers)} positions; Kindred's scores are the twin's to {worst:.1e}, with clicks for document frequencies to "
          f"{worst_boosted:.1e}")
    print(f"of the {n} published scores Kindred, by configuration alone, has {plain} ({plain / n:.4f}):")
    print(f"  {elsewhere['plain'] / elsewhere['scores']:.4f} of {elsewhere['scores']} at the {elsewhere['positions']} positions "
          "where no tie is cut")
    print(f"  {tied['plain'] / tied['scores']:.4f} of {tied['scores']} at the {tied['positions']} where the cut goes through "
          "equally similar sessions")
    print(f"counting ties at the cut as a match {counting_ties} ({counting_ties / n:.4f}); the twin with the publishing "
          f"program's choice everywhere has {twins / n:.4f}")
    assert worst <= 1e-9 and worst_boosted <= 1e-9
    assert elsewhere["plain"] == elsewhere["scores"]
    assert counting_ties / n >= 0.99 and twins / n >= 0.99


main()
