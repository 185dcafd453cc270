#!/usr/bin/python3
"""kindred explain: at any moment the list of a replay of the log cut there, votes that add up, and no name of another
shopper unless it is asked for."""

import json
import os
import random
import subprocess
import tempfile

BIN = os.environ["KINDRED_BIN"]
SEED = int(os.environ.get("KINDRED_SEED", "20261129"))
FOLDER = tempfile.mkdtemp(prefix="kindred-explain-")


def kindred(*args, code=0):
    env = {k: v for k, v in os.environ.items() if not k.startswith("KINDRED_")}
    done = subprocess.run([BIN, *map(str, args)], capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == code, f"{args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def path(name, lines=None):
    full = os.path.join(FOLDER, name)
    if lines is not None:
        with open(full, "w") as f:
            f.write("".join(json.dumps(x) + "\n" for x in lines))
    return full


def iso(ms):
    return subprocess.run(["date", "-u", "-d", f"@{ms / 1000:.3f}", "+%Y-%m-%dT%H:%M:%S.%3NZ"], capture_output=True,
                          text=True, check=True).stdout.strip()


def shop(rng, n=900):
    """A small shop: browsing and buying, logins, a cancellation now and then, somebody who is forgotten."""
    out, time = [], 1700000000000
    for k in range(n):
        time += rng.choice([0, 1, 1000, 60000])
        taste = rng.randrange(40)
        user, session = f"shopper-{taste}", f"session-{taste}-{k // 300}"
        item = f"item-{(taste % 4) * 8 + rng.randrange(12)}"
        kind = rng.random()
        who = {"user_id": user if kind < 0.8 else None, "session_id": session if kind > 0.6 else None}
        if kind < 0.02:
            out.append({"type": "ForgetRequest", "shopper_id": user, "time": time})
        elif kind < 0.2:
            out.append({"type": "PurchaseEvent", "item_id": item, "status": "CANCELLED" if kind < 0.04 else "PAID",
                        "order_id": f"o{k}", "time": time, **who})
        else:
            out.append({"type": "BrowseEvent", "item_id": item, "action": rng.choice(["VIEW", "VIEW", "LIKE", "CART"]),
                        "time": time, **who})
    return out


print("seed", SEED)
RNG = random.Random(SEED)
LOG = shop(RNG)
LOG_FILE = path("log.jsonl", LOG)
SETS = [[], ["--set", "usercf.similarity=stan", "--set", "usercf.idf.score=3", "--set", "recommend.exclude=seen"],
        ["--set", "usercf.similarity=cosine", "--set", "usercf.vote.recency=2", "--set", "usercf.vote.before=1.5",
         "--set", "usercf.half-life=1h", "--set", "audience.max=4", "--set", "history.max=6", "--set", "usercf.neighbours=7"]]


def who_of(event):
    return event.get("user_id") or event.get("session_id")


def explain(shopper, at, *more, log=(LOG_FILE,)):
    return json.loads(kindred("explain", "--json", "--shopper", shopper, "--at", iso(at), "--in", *log, *more).stdout)


def moments(n):
    events = [e for e in LOG[100:] if e["type"] != "ForgetRequest"]
    return RNG.sample(events, n)


def lists(items):
    return [(x["item_id"], x["score"], x["parts"]) for x in items]


def test_the_list_of_a_replay_cut_there():
    """The last event of the cut log is the shopper's: what a replay publishes for it is what is explained."""
    n_filled = 0
    for options in SETS:
        for event in moments(8):
            at = event["time"]
            shopper = who_of(event)
            cut = path("cut.jsonl", [e for e in LOG if e["time"] <= at])
            out = os.path.join(FOLDER, "out.jsonl")
            kindred("replay", "--quiet", "--in", cut, "--out", out, "--set", "emit=always", *options)
            said = explain(shopper, at, *options)
            with open(out) as f:
                updates = [json.loads(line) for line in f]
            mine = [u for u in updates if u["shopper_id"] == shopper]
            last = [e for e in LOG if e["time"] <= at and who_of(e) == shopper and e["type"] != "ForgetRequest"][-1]
            assert said["events"] == len([e for e in LOG if e["time"] <= at])
            assert said["later"] == len(LOG) - said["events"]
            assert said["last_event"] is None or said["last_event"]["item_id"] == last["item_id"]
            # Others may come after it at the same time; then the replay's list is of a moment before.
            if updates[-1]["shopper_id"] == shopper and mine[-1]["time"] == at:
                want = [(x["item_id"], x["score"], x["parts"]) for x in mine[-1]["items"]]
                assert lists(said["items"]) == want, (shopper, at)
                n_filled += len(want) > 0
    assert n_filled > 6, n_filled


def test_any_moment_is_a_question_to_the_cut_log():
    for options in SETS:
        for event in moments(4):
            at = event["time"] + 500
            shopper = who_of(RNG.choice(LOG[:300]))
            if shopper is None:
                continue
            cut = path("cut.jsonl", [e for e in LOG if e["time"] <= at])
            ask = path("ask.jsonl", [{"shopper_id": shopper, "time": at}])
            want = json.loads(kindred("recommend", "--in", cut, "--ask", ask, *options).stdout)
            said = explain(shopper, at, "--item", "", "--identities", *options)
            assert lists(said["items"]) == lists(want["items"])
            assert [(x["shopper_id"], x["similarity"]) for x in said["neighbours"]] == \
                [(x["shopper_id"], x["similarity"]) for x in want["neighbours"]]


def test_votes_add_up():
    n = 0
    for options in SETS:
        for event in moments(6):
            said = explain(who_of(event), event["time"], *options)
            own = {x["item_id"] for x in said["own"]}
            for neighbour in said["neighbours"]:
                assert 1 <= len(neighbour["shared"]) <= neighbour["items"]
                assert set(neighbour["shared"]) <= own
            for item in said["items"]:
                votes = 0.0
                for vote in item["votes"]:
                    votes += vote["vote"]
                if item["parts"]["usercf"] is not None:
                    assert votes * item["factor"] == item["parts"]["usercf"], item
                    n += 1
                else:
                    assert item["votes"] == []
    assert n > 50, n


def test_names_only_if_asked_for():
    names = {f"shopper-{k}" for k in range(40)} | {f"session-{k}-{j}" for k in range(40) for j in range(3)}
    n_named = 0
    for event in moments(8):
        args = ["explain", "--shopper", who_of(event), "--at", iso(event["time"]), "--in", LOG_FILE]
        for more in ([], ["--json"]):
            hidden = kindred(*args, *more).stdout
            shown = kindred(*args, *more, "--identities").stdout
            own = {who_of(event)} | set(explain(who_of(event), event["time"])["sessions"])
            said = {n for n in names - own if f'"{n}"' in hidden or f" {n} " in hidden}
            assert said == set(), said
            n_named += sum(f'"{n}"' in shown or f" {n} " in shown for n in names - own)
    assert n_named > 8


def test_text_says_why():
    event = [e for e in LOG if e["type"] == "BrowseEvent" and e["user_id"]][400]
    text = kindred("explain", "--shopper", event["user_id"], "--at", iso(event["time"]), "--in", LOG_FILE).stdout
    assert text.startswith(f"{event['user_id']} at {iso(event['time'])}\nlast event    {event['action']} {event['item_id']} at ")
    for piece in ("newest first", "similar shoppers vote (jaccard)", "  #1 ", "shares ", "the list: ", "of them voted: #",
                  "= usercf "):
        assert piece in text, (piece, text)
    nobody = kindred("explain", "--shopper", "nobody", "--at", iso(event["time"]), "--in", LOG_FILE).stdout
    assert "none up to then" in nobody and "popularity" in nobody
    before = kindred("explain", "--shopper", event["user_id"], "--at", "2001-01-01", "--in", LOG_FILE).stdout
    assert f"0 events, 0 shoppers; {len(LOG)} events are later" in before, before


def test_files_are_merged():
    halves = [path("a.jsonl", LOG[::2]), path("b.jsonl", LOG[1::2])]
    for event in moments(5):
        whole, parts = (explain(who_of(event), event["time"], "--item", event["item_id"], log=log)
                        for log in ([LOG_FILE], halves))
        del whole["last_event"], parts["last_event"]
        assert whole == parts


def test_what_was_forgotten_is_not_told():
    events = [{"type": "BrowseEvent", "user_id": "ann", "session_id": "s1", "item_id": "secret", "action": "VIEW", "time": 1700000000000},
              {"type": "BrowseEvent", "user_id": None, "session_id": "s1", "item_id": "secret", "action": "VIEW", "time": 1700000000000},
              {"type": "BrowseEvent", "user_id": "bob", "item_id": "secret", "action": "VIEW", "time": 1700000001000},
              {"type": "ForgetRequest", "shopper_id": "ann", "time": 1700000002000}]
    log = path("forgotten.jsonl", events)
    for shopper in ("ann", "s1"):
        before = explain(shopper, 1700000001500, log=[log])
        after = explain(shopper, 1700000002000, log=[log])
        assert before["last_event"]["item_id"] == "secret" and len(before["own"]) == 1
        assert after["last_event"] is None and after["own"] == [] and after["neighbours"] == [], (shopper, after)


def test_faults_are_named():
    assert "--shopper" in kindred("explain", code=1).stderr
    assert "--at" in kindred("explain", "--shopper", "u", code=1).stderr
    assert "noon" in kindred("explain", "--shopper", "u", "--at", "noon", "--in", LOG_FILE, code=1).stderr
    assert "--topics" in kindred("explain", "--shopper", "u", "--at", "2024-01-01", "--in", LOG_FILE, "--topics", code=1).stderr
    kindred("explain", "--shopper", "u", "--at", "2024-01-01", "--in", path("nosuch.jsonl"), code=2)


for name, test in sorted(globals().items()):
    if name.startswith("test_"):
        print(name, flush=True)
        test()
