#!/usr/bin/python3
"""The backtest's page: well-formed, whole in itself, every chart with its text alternative, numbers as in the
JSON."""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

BIN = os.environ["KINDRED_BIN"]
FOLDER = tempfile.mkdtemp(prefix="kindred-report-")
X = "{http://www.w3.org/1999/xhtml}"


def path(name, content=None):
    full = os.path.join(FOLDER, name)
    if content is not None:
        with open(full, "w", encoding="utf-8") as f:
            f.write(content)
    return full


def make_events(n=3000):
    rng, lines, time = random.Random(5), [], 1700000000000
    for _ in range(n):
        time += rng.randrange(3600000)
        lines.append(json.dumps({"type": "BrowseEvent", "event_id": None, "user_id": f"u{rng.randrange(60)}",
                                 "session_id": None, "item_id": f"i{int(80 * rng.random() ** 2)}",
                                 "action": "VIEW", "time": time}))
    return path("events.jsonl", "\n".join(lines) + "\n")


def backtest(*args, code=0):
    page, numbers = path("report.html"), path("report.json")
    env = {k: v for k, v in os.environ.items() if not k.startswith("KINDRED_")}
    done = subprocess.run([BIN, "backtest", "--quiet", *args, "--html", page, "--json", numbers],
                          capture_output=True, text=True, env=env, timeout=200)
    assert done.returncode == code, done.stderr
    with open(page, encoding="utf-8") as f, open(numbers, encoding="utf-8") as g:
        return f.read(), json.load(g)


def tag(e):
    return e.tag.split("}")[-1]


def check_whole(text):
    """Nothing is fetched, and nothing runs."""
    root = ElementTree.fromstring(text)
    for e in root.iter():
        assert tag(e) not in ("script", "link", "iframe", "object", "embed", "img", "base"), tag(e)
        for name, value in e.attrib.items():
            assert not name.lower().startswith("on"), name
            if name.split("}")[-1] in ("href", "src", "action", "poster", "data"):
                assert value.startswith("#"), value
    style = "".join(root.find(f"{X}head/{X}style").itertext())
    assert "url(" not in style and "@import" not in style and "prefers-color-scheme:dark" in style
    outside = re.findall(r"(?:https?:)?//[a-z0-9.-]+", text.replace("http://www.w3.org/1999/xhtml", ""))
    assert not outside, outside
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids)), sorted(i for i in ids if ids.count(i) > 1)
    for e in root.iter():
        if tag(e) == "use":
            assert e.get("href")[1:] in ids
    assert root.get("lang") == "en" and root.find(f"{X}head/{X}title").text
    return root


def check_figures(root):
    figures = list(root.iter(f"{X}figure"))
    for f in figures:
        svg = next(s for s in f.iter(f"{X}svg") if s.get("class") == "chart")
        assert svg.get("role") == "img"
        named = {e.get("id"): "".join(e.itertext()) for e in svg if tag(e) in ("title", "desc")}
        assert svg.get("aria-labelledby").split() == list(named) and all(named.values()), named
        assert "".join(f.find(f"{X}figcaption").itertext()).strip()
        axes = [t for t in svg.iter(f"{X}text") if t.get("class") == "axis"]
        assert axes and all(t.text for t in axes), f.get("id")
        ticks = [t for t in svg.iter(f"{X}text") if "tick" in (t.get("class") or "")]
        assert len(ticks) >= 2, f.get("id")
        rows = list(f.find(f"{X}details").iter(f"{X}tr"))
        series = len(list(f.find(f"{X}ul").iter(f"{X}li")))
        assert len(rows) > 1 and all(len(list(r)) == 1 + series for r in rows), f.get("id")
        for e in svg.iter():
            for name in ("d", "x", "y", "width", "height"):
                assert "nan" not in (e.get(name) or "") and "inf" not in (e.get(name) or ""), (f.get("id"), e.attrib)
    return {f.get("id") for f in figures}


def test_page_of_three():
    odd = path('a & "b" <c>.yaml', "usercf.neighbours: 2\n")
    text, r = backtest("--in", make_events(), "-c", odd, "--grid", "recommend.fill=popularity,none", "--at", "1,5,10")
    root = check_whole(text)
    found = check_figures(root)
    assert found == {"differences", "time-NDCG", "time-HR", "time-MRR", "time-recall", "segment-NDCG", "segment-HR",
                     "churn", "novelty", "popular", "parts", "latency", "throughput"}, found
    said = "".join(root.itertext())
    for run in r["runs"]:
        assert run["name"] in said and run["output_digest"] in said and run["state_digest"] in said
        for m in run["metrics"]:
            assert f'{m["mean"]["value"]:.5f}' in said, m
    assert 'a & "b" <c>' in said and "2000-" not in said
    marks = [e for e in root.iter(f"{X}abbr")]
    want = sum(m["versus"]["significant"] for run in r["runs"][1:] for m in run["metrics"])
    assert len(marks) == want, (len(marks), want)
    table = root.find(f".//{X}figure[@id='time-NDCG']/{X}details")
    starts = [w["start"][:10] for w in r["runs"][0]["windows"]]
    assert [row.find(f"{X}th").text for row in table.iter(f"{X}tr")][1:] == starts


def test_page_of_one_of_many_and_of_nothing():
    text, _ = backtest("--in", make_events(400))
    assert "differences" not in check_figures(check_whole(text))
    many = ",".join(str(k) for k in range(1, 13))
    text, _ = backtest("--in", make_events(400), "--grid", f"usercf.neighbours={many}")
    check_figures(check_whole(text))
    text, _ = backtest("--in", path("one.jsonl", open(make_events(1)).read()), code=1)
    check_whole(text)
    text, _ = backtest("--in", path("none.jsonl", ""), code=1)
    check_whole(text)


def main():
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name, flush=True)


if __name__ == "__main__":
    sys.exit(main())
