#!/usr/bin/env python3
"""What bench_content measures, done by scikit-learn and River on the same texts; run by hand.

usage: content_sklearn.py CATALOGUE.csv.gz [PRODUCTS]     (needs scikit-learn and river)

The file is complete_journey_products.csv.gz or anything with a header line; each row's fields are one
text. One thread. Prints JSON lines like the benchmarks.
"""

import csv
import gzip
import json
import os
import sys
import time

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import NearestNeighbors


def result(bench, case, metric, value, unit, n=1):
    print(json.dumps({"bench": bench, "case": case, "metric": metric, "value": value, "unit": unit,
                      "n": n}), flush=True)


def texts(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        return [" ".join(row[2:]) for row in rows]


def river(docs):
    try:
        from river import feature_extraction
    except ImportError:
        return
    began = time.perf_counter()
    model = feature_extraction.TFIDF()
    for doc in docs:
        model.learn_one(doc)
        model.transform_one(doc)
    result("documents", "River, learn and transform", "documents/s",
           len(docs) / (time.perf_counter() - began), "1/s")


def main():
    docs = texts(sys.argv[1])
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 50000
    river(docs[:20000])

    began = time.perf_counter()
    vectorizer = TfidfVectorizer()
    matrix = vectorizer.fit_transform(docs[:n])
    fitted = time.perf_counter() - began
    index = NearestNeighbors(n_neighbors=21, metric="cosine", algorithm="brute", n_jobs=1).fit(matrix)
    for at in range(0, n, 1000):
        index.kneighbors(matrix[at:at + 1000])
    result("build", "scikit-learn", "seconds", time.perf_counter() - began, "s")
    result("build", "scikit-learn", "of them fit", fitted, "s")

    # One new product: with the old idf, and with everything fitted again as its idf asks for.
    frozen, refitted = [], []
    for k in range(n, n + 50):
        began = time.perf_counter()
        index.kneighbors(vectorizer.transform([docs[k % len(docs)]]))
        frozen.append(time.perf_counter() - began)
    for k in range(n, n + 5):
        began = time.perf_counter()
        again = vectorizer.fit_transform(docs[:n] + [docs[k % len(docs)]])
        index = NearestNeighbors(n_neighbors=21, metric="cosine", algorithm="brute").fit(again)
        index.kneighbors(again[n])
        refitted.append(time.perf_counter() - began)
    for case, times in (("scikit-learn, old idf", frozen), ("scikit-learn, fitted again", refitted)):
        result("one new", case, "p50", float(np.quantile(times, 0.5)) * 1e3, "ms", len(times))
        result("one new", case, "p99", float(np.quantile(times, 0.99)) * 1e3, "ms", len(times))


main()
