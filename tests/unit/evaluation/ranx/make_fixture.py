"""Writes fixture.txt: random lists and what other implementations say of them.

Run once, by hand, with ranx and scikit-learn installed (pip install ranx scikit-learn); the test that reads
the fixture needs neither. Per line: list items | relevant items | k | the values in the order of NAMES.
"""

import pathlib
import random

import numpy
from ranx import Qrels, Run, evaluate
from sklearn.metrics import ndcg_score

NAMES = ["hit_rate", "precision", "recall", "f1", "mrr", "ndcg", "map"]


def cases():
    rng = random.Random(20261129)
    for _ in range(120):
        items = list(range(rng.choice([12, 30, 80])))
        n_list = rng.choice([1, 2, 3, 5, 10, 10, 20])
        listed = rng.sample(items, min(n_list, len(items)))
        relevant = rng.sample(items, rng.choice([1, 1, 2, 3, 5, 8, 12]))
        yield listed, relevant, rng.choice([1, 2, 3, 5, 10, 20])


def by_ranx(listed, relevant, k):
    qrels = Qrels({"q": {f"i{x}": 1 for x in relevant}})
    run = Run({"q": {f"i{x}": float(len(listed) - at) for at, x in enumerate(listed)}})
    got = evaluate(qrels, run, [f"{name}@{k}" for name in NAMES])
    return [float(got[f"{name}@{k}"]) for name in NAMES]


def ndcg_by_sklearn(listed, relevant, k):
    """Of a full ranking: items that are not listed have the least score; only where none of them is
    relevant, or the list reaches k, is that the list's NDCG."""
    if len(listed) < k or len(listed) < 2:
        return None
    items = sorted(set(listed) | set(relevant))
    truth = numpy.array([[1.0 if x in relevant else 0.0 for x in items]])
    score = numpy.array([[float(len(listed) - listed.index(x)) if x in listed else -1.0 for x in items]])
    return float(ndcg_score(truth, score, k=k, ignore_ties=True))


def main():
    lines = ["# made by make_fixture.py with ranx and scikit-learn: list | relevant | k | " + " ".join(NAMES)]
    compared = 0
    for listed, relevant, k in cases():
        values = by_ranx(listed, relevant, k)
        other = ndcg_by_sklearn(listed, relevant, k)
        if other is not None:
            assert abs(other - values[5]) < 1e-12, (listed, relevant, k, other, values[5])
            compared += 1
        lines.append(" | ".join([" ".join(map(str, listed)), " ".join(map(str, relevant)), str(k),
                                 " ".join(f"{v:.15g}" for v in values)]))
    pathlib.Path(__file__).with_name("fixture.txt").write_text("\n".join(lines) + "\n")
    print(f"{len(lines) - 1} lists; scikit-learn agrees with ranx on the NDCG of {compared}")


main()
