#!/usr/bin/python3
"""kindred evaluate and kindred tune: figures against a twin that asks `kindred recommend` about every prefix and counts
in Python; the search goes on after an interruption as if there had been none."""

import collections
import json
import os
import random
import subprocess
import tempfile

BIN = os.environ["KINDRED_BIN"]
SEED = int(os.environ.get("KINDRED_SEED", "20261129"))
FOLDER = tempfile.mkdtemp(prefix="kindred-protocol-")
OPTIONS = ["--set", "recommend.exclude=none", "--set", "usercf.similarity=cosine", "--set", "usercf.neighbours=20",
           "--set", "usercf.vote.recency=1.5", "--set", "usercf.vote.after=3", "--set", "usercf.vote.shared=0.5"]


def kindred(*args, code=0):
    env = {k: v for k, v in os.environ.items() if not k.startswith("KINDRED_")}
    done = subprocess.run([BIN, *map(str, args)], capture_output=True, text=True, env=env, timeout=300)
    assert done.returncode == code, f"{args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def path(name, content=None):
    full = os.path.join(FOLDER, name)
    if content is not None:
        with open(full, "w") as f:
            f.write(content)
    return full


def sessions(n, rng):
    """Sessions that walk along a ring of items, now and then back, so that there is something to predict."""
    out = []
    for _ in range(n):
        at, items = rng.randrange(60), []
        for _ in range(rng.choice([1, 2, 2, 3, 4, 6])):
            items.append(f"i{at % 60}")
            at += rng.choice([1, 1, 1, 2, 0, -1])
        out.append(items)
    return out


print("seed", SEED)
RNG = random.Random(SEED)
TRAIN, TEST = sessions(400, RNG), sessions(80, RNG)
TEST[3] = ["i1", "never-learned", "i2"]
LINES = "".join(" ".join(s) + "\n" for s in TRAIN)
TRAIN_FILE = path("train.txt", LINES)
TEST_FILE = path("test.txt", "".join(" ".join(s) + "\n" for s in TEST))
PREFIXES = path("test.tsv", "".join(f"{' '.join(s[:k])}\t{s[k]}\n" for s in TEST for k in range(1, len(s))))


def evaluate(*args, train=TRAIN_FILE, options=OPTIONS):
    return json.loads(kindred("evaluate", "--train", train, "--json", *options, *args).stdout)


def twin(train_file, held_out, cuts=(5, 10, 20)):
    """Figures by asking one question after the other."""
    asked = [(s[:k], s[k]) for s in held_out for k in range(1, len(s))]
    ask = path("ask.jsonl", "".join(
        json.dumps({"id": "q", "events": [{"item_id": i, "time": 1700000000000 + k} for k, i in enumerate(prefix)]}) + "\n"
        for prefix, _ in asked))
    said = kindred("recommend", "--in", train_file, "--ask", ask, "--set", f"recommend.count={max(cuts)}", *OPTIONS).stdout
    figures = {k: collections.Counter() for k in cuts}
    for line, (_, want) in zip(said.splitlines(), asked):
        ids = [x["item_id"] for x in json.loads(line)["items"]]
        rank = ids.index(want) + 1 if want in ids else None
        for k in cuts:
            if rank is not None and rank <= k:
                figures[k]["hr"] += 1 / len(asked)
                figures[k]["mrr"] += 1 / rank / len(asked)
    return len(asked), figures


def same(got, want):
    for k, figures in want.items():
        for name in ("hr", "mrr"):
            assert abs(got["at"][str(k)][name] - figures[name]) < 1e-12, (k, name, got["at"], figures)


def test_figures_are_the_twins():
    n, want = twin(TRAIN_FILE, TEST)
    got = evaluate("--test", TEST_FILE)
    assert got["positions"] == n and got["unknown"] == 1 and got["sessions"] == len(TRAIN), got
    assert got["held_out"] == sum(len(s) > 1 for s in TEST)
    assert got["events"] == sum(map(len, TRAIN))
    assert got["items"] == len({i for s in TRAIN for i in s})
    same(got, want)
    assert 0.3 < got["at"]["20"]["hr"] < 1  # there was something to find, and to miss


def test_prefixes_are_the_same_questions():
    a, b = evaluate("--test", TEST_FILE), evaluate("--test", PREFIXES, "--prefixes")
    assert a["at"] == b["at"] and a["positions"] == b["positions"]


def test_workers_do_not_matter():
    a, b = evaluate("--test", TEST_FILE, "--set", "workers=1"), evaluate("--test", TEST_FILE, "--set", "workers=5")
    assert a["at"] == b["at"] and a["listed"] == b["listed"]


def test_holdout_is_the_last_sessions():
    cut = len(TRAIN) - 50
    n, want = twin(path("first.txt", "".join(" ".join(s) + "\n" for s in TRAIN[:cut])), TRAIN[cut:])
    for holdout in ("50", "12.5%"):
        got = evaluate("--holdout", holdout)
        assert got["positions"] == n and got["sessions"] == cut
        same(got, want)


def test_lists_of_another_program():
    rows, hits, mrr = ["SessionId;Position;Recommendations;Scores"], 0, 0
    asked = [(s, k) for s in range(5, 40) for k in range(len(TEST[s]) - 1)]
    RNG.shuffle(asked)
    for s, k in asked:
        ids = [f"i{RNG.randrange(60)}" for _ in range(9)]
        want = TEST[s][k + 1]
        if want in ids[:5]:
            hits, mrr = hits + 1, mrr + 1 / (ids.index(want) + 1)
        rows.append(f"{s + 1};{k};{','.join(ids)};{','.join('0.5' for _ in ids)}")
    file = path("lists.csv", "\n".join(rows) + "\n")
    got = evaluate("--test", TEST_FILE, "--lists", file, "--at", "5")
    assert got["positions"] == len(asked)
    assert abs(got["lists_at"]["5"]["hr"] - hits / len(asked)) < 1e-12
    assert abs(got["lists_at"]["5"]["mrr"] - mrr / len(asked)) < 1e-12
    text = kindred("evaluate", "--train", TRAIN_FILE, "--test", TEST_FILE, "--lists", file, *OPTIONS).stdout
    assert "\nkindred " in text and "\nlists " in text, text
    bad = path("bad-lists.csv", rows[0] + "\n999;0;i1;1\n")
    said = kindred("evaluate", "--train", TRAIN_FILE, "--test", TEST_FILE, "--lists", bad, code=1).stderr
    assert "bad-lists.csv:2" in said and "999" in said, said


def test_faults_are_named():
    assert "--train" in kindred("evaluate", code=1).stderr
    assert "--holdout" in kindred("evaluate", "--train", TRAIN_FILE, code=1).stderr
    assert "5000" in kindred("evaluate", "--train", TRAIN_FILE, "--holdout", "x", code=1).stderr
    assert "cannot be held out" in kindred("evaluate", "--train", TRAIN_FILE, "--holdout", "400", code=1).stderr
    assert "--at" in kindred("evaluate", "--train", TRAIN_FILE, "--holdout", "5", "--at", "0", code=1).stderr
    bad = path("bad.tsv", "i1 i2\ti3\ni1 i2 i3\n")
    said = kindred("evaluate", "--train", TRAIN_FILE, "--test", bad, "--prefixes", code=1).stderr
    assert "bad.tsv:2" in said and "tab" in said, said
    kindred("evaluate", "--train", path("nosuch.txt"), "--holdout", "5", code=2)


SPACE = path("space.yaml", "usercf.similarity: [jaccard, cosine]\nusercf.neighbours: {from: 2, to: 60, log: true}\n"
                           "usercf.vote.after: {from: 0.5, to: 10, log: true}\nusercf.half-life: {from: 1h, to: 30d, log: true}\n"
                           "usercf.idf.score: {from: 0, to: 2}\n")


def tune(journal, trials, *more, space=SPACE, code=0):
    return kindred("tune", "--train", TRAIN_FILE, "--holdout", "60", "--space", space, "--journal", journal, "--trials", trials,
                   "--set", "recommend.exclude=none", "--objective", "hr@5+2*mrr@10", *more, code=code)


def trials_of(journal):
    with open(journal) as f:
        lines = [json.loads(line) for line in f]
    return lines[0], [{k: v for k, v in t.items() if not k.endswith("_ms")} for t in lines[1:]]


def test_a_search_goes_on_where_it_was():
    straight, broken = path("straight.jsonl"), path("broken.jsonl")
    best = tune(straight, 16).stdout
    tune(broken, 5)
    with open(broken, "a") as f:
        f.write('{"trial":6,"value":0.')  # the machine went down here
    again = tune(broken, 16)
    assert "5 trials in" in again.stderr
    assert trials_of(straight) == trials_of(broken)
    assert again.stdout == best and best.startswith("# kindred tune: trial "), best
    before = open(broken).read()
    assert tune(broken, 16, "--quiet").stdout == best  # nothing is left to do
    assert tune(broken, 7, "--quiet").stdout.startswith("# kindred tune: trial ")  # fewer: the first 7
    assert open(broken).read() == before
    assert trials_of(straight)[1] != trials_of(path_of_seed(2))[1]


def path_of_seed(seed):
    journal = path(f"seed{seed}.jsonl")
    tune(journal, 16, "--seed", seed)
    return journal


def test_no_setting_is_tried_twice():
    for name, text, settings in (("two", "usercf.similarity: [jaccard, cosine]\n", 2),
                                 ("twelve", "usercf.similarity: [jaccard, cosine]\nusercf.neighbours: {from: 3, to: 8, log: true}\n",
                                  12)):
        space, journal = path(f"{name}.yaml", text), path(f"{name}.jsonl")
        assert "no other setting" not in tune(journal, settings - 1, space=space).stderr
        done = tune(journal, 30, space=space)
        tried = [json.dumps(t["options"]) for t in trials_of(journal)[1]]
        assert len(tried) == len(set(tried)) == settings, tried
        assert f"{settings} trials, and no other setting is in the space" in done.stderr, done.stderr
        assert tune(journal, 30, space=space).stdout == done.stdout


def test_what_was_found_reads_back():
    journal, found = path("found.jsonl"), path("found.yaml")
    tune(journal, 14, "--out", found)
    head, trials = trials_of(journal)
    best = max(trials, key=lambda t: t["value"])
    assert head["objective"] == "hr@5+2*mrr@10" and "usercf.neighbours 2..60 log" in head["space"], head
    at = evaluate("--holdout", "60", "-c", found, "--at", "5,10", options=[])["at"]
    assert abs(at["5"]["hr"] + 2 * at["10"]["mrr"] - best["value"]) < 1e-12
    assert "recommend.exclude: \"none\"" in open(found).read()
    for t in trials:  # every setting is of the space
        assert t["options"]["usercf.similarity"] in ("jaccard", "cosine")
        assert 2 <= int(t["options"]["usercf.neighbours"]) <= 60
        assert 0.5 <= float(t["options"]["usercf.vote.after"]) <= 10
        assert 0 <= float(t["options"]["usercf.idf.score"]) <= 2


def test_another_search_is_refused():
    journal = path("mine.jsonl")
    tune(journal, 2)
    other = path("other.yaml", "usercf.neighbours: {from: 2, to: 61, log: true}\n")
    assert "another search" in tune(journal, 3, space=other, code=1).stderr
    assert "another search" in tune(journal, 3, "--seed", "9", code=1).stderr
    assert "another search" in tune(journal, 3, "--set", "audience.max=7", code=1).stderr
    with open(journal) as f:
        lines = f.read().splitlines(True)
    broken = path("swapped.jsonl", lines[0] + lines[2] + lines[1])
    assert "swapped.jsonl:2" in tune(broken, 3, code=1).stderr


def test_a_wrong_space_says_where():
    for text, place, word in [
            ("usercf.neighbors: {from: 1, to: 2}\n", ":1:1", "did you mean usercf.neighbours"),
            ("usercf.neighbours: {from: 0, to: 2}\n", ":1:27", "1 to 100000"),
            ("usercf.neighbours: {from: 9, to: 2}\n", ":1:34", "above"),
            ("usercf.idf.score: {from: 0, to: 2, log: true}\n", ":1:26", "above 0"),
            ("usercf.similarity: {from: jaccard, to: cosine}\n", ":1:20", "a list"),
            ("usercf.similarity: [jaccard, jacard]\n", ":1:30", "jaccard|cosine"),
            ("usercf.neighbours: 5\n", ":1:20", "a list of values"),
            ("[]\n", ":1:1", "a map")]:
        said = tune(path("none.jsonl"), 1, space=path("wrong.yaml", text), code=1).stderr
        assert "wrong.yaml" + place in said and word in said, (text, said)
    assert "--objective" in tune(path("none.jsonl"), 1, "--objective", "hr", code=1).stderr


for name, test in sorted(globals().items()):
    if name.startswith("test_"):
        print(name, flush=True)
        test()
