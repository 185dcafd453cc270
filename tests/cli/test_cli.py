#!/usr/bin/python3
"""The command line as scripts see it: help, exit codes, messages, replay's files and digests."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import tempfile

BIN = os.environ["KINDRED_BIN"]
FOLDER = tempfile.mkdtemp(prefix="kindred-cli-")
VERBS = ["demo", "run", "replay", "recommend", "backtest", "tune", "explain", "evaluate", "produce", "forget", "generate", "tail", "topics", "schemas", "state",
         "config", "version"]


def kindred(*args, code=0, env=None, text=None):
    full = {k: v for k, v in os.environ.items() if not k.startswith("KINDRED_")}
    full.update(env or {})
    done = subprocess.run([BIN, *args], capture_output=True, text=True, env=full, input=text,
                          timeout=120)
    assert done.returncode == code, f"{args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def path(name, content=None):
    full = os.path.join(FOLDER, name)
    if content is not None:
        with open(full, "w") as f:
            f.write(content)
    return full


def browse(user, item, time, action="VIEW", **more):
    return json.dumps({"type": "BrowseEvent", "event_id": None, "user_id": user, "session_id": None,
                       "item_id": item, "action": action, "time": time} | more)


START = 1700000000000
LINES = [browse(f"u{k % 4}", f"i{(k * 7) % 5}", START + k * 1000) for k in range(40)]
EVENTS = path("events.jsonl", "\n".join(LINES) + "\n")


def replay(*args, code=0, **more):
    done = kindred("replay", "--quiet", *args, code=code, **more)
    digests = re.findall(r"^(output|state) digest ([0-9a-f]{32})$", done.stderr, re.M)
    return done, dict(digests)


def count_in(text, name):
    return int(re.search(rf"^ *{re.escape(name)} +(\d+)$", text, re.M).group(1))


def count(done, name):
    return count_in(done.stderr, name)


def test_help_and_exit_codes():
    text = kindred("help").stdout
    for verb in VERBS:
        assert re.search(rf"^  {verb} ", text, re.M), verb
        assert "usage: kindred " + verb in kindred(verb, "--help").stdout
        assert kindred("help", verb).stdout == kindred(verb, "--help").stdout
    assert "exit codes" in text
    kindred(code=1)
    assert "did you mean replay" in kindred("repaly", code=1).stderr
    assert "did you mean --out" in kindred("replay", "--in", EVENTS, "--ot", "x", code=1).stderr
    assert "--in FILE is missing" in kindred("replay", code=1).stderr
    assert "needs a value" in kindred("replay", "--in", code=1).stderr


def test_forget_refuses_before_it_asks():
    assert "nobody is named" in kindred("forget", code=1).stderr
    assert "--time" in kindred("forget", "--help").stdout
    for wrong in (["--time", "yesterday"], ["--time", "2099-01-01"]):
        said = kindred("forget", "ann", *wrong, code=1).stderr
        assert said.startswith("kindred: ann: "), said
    said = kindred("forget", "ann", "x" * 513, code=1).stderr
    assert "512" in said, said


def test_configuration_errors_say_where_and_what():
    bad = path("bad.yaml", "usercf:\n  neighbours: 50\n  similarity: jacard\n")
    said = kindred("config", "-c", bad, code=1).stderr
    assert f"{bad}:3:15" in said and "jaccard|cosine" in said, said
    said = kindred("config", "-c", path("typo.yaml", "usercf.neighbors: 5\n"), code=1).stderr
    assert "typo.yaml:1:1" in said and "did you mean usercf.neighbours" in said, said
    said = kindred("config", "--set", "history.max=0", code=1).stderr
    assert "1 to 2000" in said and "--set" in said, said
    said = kindred("config", code=1, env={"KINDRED_USERCF_K": "3"}).stderr
    assert "KINDRED_USERCF_K" in said, said
    kindred("config", "-c", path("broken.yaml", "a: [1\n"), code=1)
    kindred("config", "-c", path("nosuch.yaml"), code=2)
    said = kindred("run", "-X", "no.such.property=1", code=1).stderr
    assert "no.such.property" in said and "-X" in said, said


def test_what_has_no_effect_is_said():
    given = ["--set", "rules.boost=brand:ACME=1.5", "--set", "blend.diversity=0.5", "--set", "recommend.category.max=2"]
    said = kindred("config", *given).stderr
    for name in ("rules.boost", "blend.diversity", "recommend.category.max"):
        assert f"warning: --set: {name} has no effect while blend is off" in said, said
    assert "warning" not in kindred("config", *given, "--set", "blend=on").stderr
    assert "warning" not in kindred("config", "--set", "blend.diversity=0").stderr


def test_a_misspelt_map_is_named():
    said = kindred("replay", "--quiet", "--in", EVENTS, "--map", "retailroket", code=1).stderr
    assert "did you mean retailrocket" in said and "complete_journey, online_retail, retailrocket, rsc15" in said, said
    assert "nosuch.yaml" in kindred("replay", "--quiet", "--in", EVENTS, "--map", "nosuch.yaml", code=2).stderr


def test_each_origin_is_shown_and_the_later_wins():
    file = path("ok.yaml", "usercf: {neighbours: 7}\nhistory.max: 9\nprivacy.key: 0123456789abcdef0\n"
                           "kafka:\n  sasl.password: hunter2\n  client.id: me\n")
    shown = kindred("config", "-c", file, "--set", "history.max=11",
                    env={"KINDRED_HISTORY_MAX": "10", "KINDRED_AUDIENCE_MAX": "77"}).stdout
    row = {line.split()[0]: line.split(None, 2)[1:] for line in shown.splitlines()}
    assert row["usercf.neighbours"] == ["7", f"{file}:1:22"], row["usercf.neighbours"]
    assert row["history.max"] == ["11", "--set"]
    assert row["audience.max"] == ["77", "environment KINDRED_AUDIENCE_MAX"]
    assert row["recommend.count"] == ["10", "default"]
    assert row["kafka.client.id"][0] == "me"
    assert "hunter2" not in shown and "0123456789abcdef0" not in shown


def test_every_option_can_be_set_and_read_back():
    text = kindred("config", "--yaml").stdout
    back = kindred("config", "--yaml", "-c", path("all.yaml", text)).stdout
    assert back == text
    names = re.findall(r"^([a-z_.-]+): ", text, re.M)
    assert len(names) > 30
    for name in names:
        value = re.search(rf'^{re.escape(name)}: "(.*)"$', text, re.M).group(1)
        row = [line for line in kindred("config", "--set", f"{name}={value}").stdout.splitlines()
               if line.split()[0] == name]
        assert row[0].split()[-1] == "--set", row


def test_configuration_as_json():
    env = {"KINDRED_KAFKA_SASL_PASSWORD": "hunter2", "KINDRED_KAFKA_CLIENT_ID": 'a"b\n'}
    said = kindred("config", "--json", "--set", "history.max=11", env=env).stdout
    rows = json.loads(said)
    assert rows["history.max"] == {"value": "11", "from": "--set"}
    assert rows["kafka.client.id"] == {"value": 'a"b\n',
                                       "from": "environment KINDRED_KAFKA_CLIENT_ID"}
    assert "hunter2" not in said and rows["kafka.sasl.password"]["value"] == "***"
    text = kindred("config", "--yaml", "--set", "group.id=x\ny\t\\").stdout
    assert kindred("config", "--yaml", "-c", path("odd.yaml", text)).stdout == text


def test_replay_gives_one_line_an_event_in_order():
    out = path("out.jsonl")
    done, digests = replay("--in", EVENTS, "--out", out, "--set", "emit=always")
    with open(out) as f:
        lines = [json.loads(line) for line in f]
    assert [u["trigger"]["offset"] for u in lines] == list(range(40))
    assert all(u["trigger"]["topic"] == "events.jsonl" and u["trigger"]["partition"] == 0 and
               u["trigger"]["event_id"] is None for u in lines)
    assert set(lines[0]) == {"shopper_id", "time", "state_time", "trigger", "items"}
    for u in lines:
        scores = [(-i["score"], i["item_id"]) for i in u["items"]]
        assert scores == sorted(scores)
        for i in u["items"]:
            assert sum(x for x in i["parts"].values() if x is not None) == i["score"]
    assert set(digests) == {"output", "state"}
    assert count(done, "records") == 40 and count(done, "updates") == 40
    piped = replay("--in", EVENTS, "--out", "-", "--set", "emit=always")[0].stdout
    with open(out) as f:
        assert piped == f.read()
    # What fills a list says so, even where it weighs nothing.
    filled = replay("--in", EVENTS, "--out", "-", "--set", "emit=always", "--set", "recommend.fill.weight=0")[0].stdout
    parts = [[(name, x) for name, x in i["parts"].items() if x is not None]
             for line in filled.splitlines() for i in json.loads(line)["items"]]
    assert [("popularity", 0)] in parts and [] not in parts, parts


def test_same_digest_whatever_the_workers_speed_and_packing():
    base = replay("--in", EVENTS)[1]
    for workers in ("2", "8"):
        assert replay("--in", EVENTS, "--set", f"workers={workers}")[1] == base
    assert replay("--in", EVENTS, "--speed", "1000x")[1] == base
    packed = path("events.jsonl.gz")
    with gzip.open(packed, "wt") as f:
        f.write("\n".join(LINES) + "\n")
    assert replay("--in", packed)[1]["state"] == base["state"]
    piped = replay("--in", "-", text="\n".join(LINES) + "\n")[1]
    assert piped["state"] == base["state"]
    assert replay("--in", EVENTS, "--set", "history.max=2")[1]["state"] != base["state"]


def test_order_of_lines_does_not_change_the_state():
    turned = path("turned.jsonl", "\n".join(reversed(LINES + LINES[:10])) + "\n")
    assert replay("--in", turned)[1]["state"] == replay("--in", EVENTS)[1]["state"]


def test_files_are_merged_by_time():
    even, odd = path("even.jsonl", "\n".join(LINES[::2])), path("odd.jsonl", "\n".join(LINES[1::2]))
    merged = replay("--in", odd, even)[1]
    again = replay("--in", even, "--in", odd)[1]
    assert merged == again
    assert merged["state"] == replay("--in", EVENTS)[1]["state"]


def test_on_change_drops_what_says_the_same():
    twice = path("twice.jsonl", "\n".join(LINES + [browse("u1", "i0", START + 50000 + k)
                                                   for k in range(5)]) + "\n")
    all_of_them = count(replay("--in", twice, "--set", "emit=always")[0], "updates")
    changed = count(replay("--in", twice)[0], "updates")
    assert 0 < changed < all_of_them


BAD = [
    ("{", "decode|field|framing"), ('{"type":"Nonsense"}', "field"),
    (browse("u", "i", 1), "time"), (browse("u", "i", 99999999999999), "time"),
    (browse("u", "", START), "id"), (browse("u", "x" * 600, START), "id"),
    (browse(None, "i", START), "no-shopper"), (browse("u", "i", START, action="STARE"), "field"),
    (browse("u", "i", "yesterday"), "time|field"),
    ('{"type":"PurchaseEvent","user_id":"u","item_id":"i","status":"PAID","price":-1,"time":%d}' %
     START, "number"),
]


def test_bad_input_loses_nothing_else():
    mixed = []
    for k, line in enumerate(LINES):
        mixed.append(line)
        if k < len(BAD):
            mixed.append(BAD[k][0])
    dead = path("dead.jsonl")
    file = path("mixed.jsonl", "\n".join(mixed) + "\n")
    done, digests = replay("--in", file, "--dead-letters", dead)
    assert count(done, "dead letters") == len(BAD), done.stderr
    assert digests["state"] == replay("--in", EVENTS)[1]["state"]
    with open(dead) as f:
        letters = [json.loads(line) for line in f]
    assert [d["offset"] for d in letters] == [2 * k + 1 for k in range(len(BAD))]
    for letter, (line, reason) in zip(letters, BAD):
        assert re.fullmatch(reason, letter["reason"]), (letter, reason)
        assert letter["value"] == line and letter["topic"] == "mixed.jsonl"
        assert "mixed.jsonl" in letter["message"], letter
    replay("--in", file, "--max-dead-letters", str(len(BAD)))
    said = kindred("replay", "--quiet", "--in", file, "--max-dead-letters", "3", code=3).stderr
    assert "more than 3 dead letters" in said


def test_forgetting_in_a_file():
    forget = json.dumps({"type": "ForgetRequest", "request_id": "r", "shopper_id": "u1",
                         "time": START + 60000})
    file = path("forget.jsonl", "\n".join(LINES + [forget, LINES[1]]) + "\n")
    receipts = path("receipts.jsonl")
    done, _ = replay("--in", file, "--out", "-", "--receipts", receipts)
    assert all("items" in json.loads(line) for line in done.stdout.splitlines())
    with open(receipts) as f:
        lines = [json.loads(line) for line in f]
    assert lines[0] == {"shopper_id": "u1", "forgotten": True} and len(lines) == 2, lines
    assert lines[1]["request_id"] == "r" and "u1" not in json.dumps(lines[1]), lines[1]
    assert count(done, "forget requests") == 1 and count(done, "refused") == 1
    hers = [line for line in LINES if '"u1"' in line]
    never = path("never.jsonl", "\n".join([x for x in LINES if x not in hers] + [forget]) + "\n")
    assert replay("--in", file)[1]["state"] == replay("--in", never)[1]["state"]


def test_now_refuses_the_future():
    done, _ = replay("--in", EVENTS, "--now", "2023-11-14T22:13:30Z")
    assert count(done, "dead letters") == 29


def test_generate_is_deterministic_and_replays():
    a, b = path("a.jsonl"), path("b.jsonl")
    flags = ["--shoppers", "50", "--items", "40", "--events", "2000", "--seed", "5"]
    kindred("generate", *flags, "--out", a)
    kindred("generate", *flags, "--out", b)
    with open(a) as f, open(b) as g:
        assert f.read() == g.read()
    done, _ = replay("--in", a, "--verify", "--table")
    assert "state verified: yes" in done.stderr and count(done, "dead letters") == 0
    packed = path("events.avro")
    kindred("generate", *flags, "--out", packed)
    assert replay("--in", packed)[1]["state"] == replay("--in", a)[1]["state"]
    assert "gzip is read" in kindred("generate", *flags, "--out", path("a.gz"), code=1).stderr
    kindred("generate", "--items", "3", "--shoppers", "3", "--events", "50", "--out", b)
    avro = path("a.avro")
    replay("--in", a, "--out", avro)
    with open(avro, "rb") as f:
        assert f.read(4) == b"Obj\x01"


def test_a_signal_ends_a_paced_replay_in_order():
    out = path("paced.jsonl")
    process = subprocess.Popen([BIN, "replay", "--in", EVENTS, "--speed", "0.01x", "--set",
                                "epoch.max=1", "--out", out], stderr=subprocess.PIPE, text=True)
    while not os.path.exists(out):  # it has started, and holds the second record back
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 130, (process.returncode, err)
    assert "output digest" in err and count_in(err, "updates") <= 2, err


def ask(*questions, code=0):
    file = path("ask.jsonl", "\n".join(json.dumps(q) for q in questions) + "\n")
    done = kindred("recommend", "--in", EVENTS, "--ask", file, code=code)
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_questions_teach_nothing():
    somebody = {"id": "q", "events": [{"item_id": "i0", "time": START, "action": "VIEW"},
                                      {"item_id": "i3", "time": START + 1, "action": "PAID"}]}
    answers, _ = ask({"shopper_id": "u1"}, somebody, {"shopper_id": "nobody"}, somebody,
                     {"shopper_id": "u1"}, {"id": "empty", "events": []})
    assert [a.get("shopper_id", a.get("id")) for a in answers] == ["u1", "q", "nobody", "q", "u1",
                                                                   "empty"]
    assert answers[0] == answers[4] and answers[1] == answers[3]
    assert set(answers[1]) == {"id", "items", "neighbours"}
    assert "i3" not in [i["item_id"] for i in answers[1]["items"]]
    assert answers[1]["neighbours"] and answers[2]["neighbours"] == []


def test_a_bad_question_is_answered_with_what_is_wrong():
    lines = ['{"shopper_id":"u1"}', "not json", "", '{"id":"bad","events":[{"time":5}]}', '{"shopper_id":5}', "[]", "{}",
             '{"id":"x","events":[{"item_id":"i0","action":"PEEK"}]}', '{"id":"x","events":{}}',
             '{"shopper_id":"u2","time":"yesterday"}', '{"shopper_id":"u1"}']
    done = kindred("recommend", "--in", EVENTS, "--ask", path("bad-ask.jsonl", "\n".join(lines) + "\n"), code=1)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 10, answers
    assert answers[0] == answers[9] and answers[0]["items"]
    assert [a["line"] for a in answers[1:9]] == [2, 4, 5, 6, 7, 8, 9, 10]
    assert [a.get("id", a.get("shopper_id")) for a in answers] == ["u1", None, "bad", None, None, None, "x", "x", "u2", "u1"]
    assert "item_id" in answers[2]["error"] and "VIEW" in answers[6]["error"] and "yesterday" in answers[8]["error"], answers
    said = done.stderr.splitlines()
    assert said[1].endswith("bad-ask.jsonl:4: event 0 has no item_id"), said
    assert said[-1].endswith("bad-ask.jsonl: 8 of 10 questions could not be answered, the first in line 2"), said
    many = "not json\n" * 1000
    done = kindred("recommend", "--in", EVENTS, "--ask", path("many-ask.jsonl", many), code=1)
    assert len(done.stdout.splitlines()) == 1000 and len(done.stderr.splitlines()) == 21


def test_a_snapshot_holds_the_state_and_answers_like_it():
    kept, ask_file = path("kept"), path("kept-ask.jsonl", '{"shopper_id":"u1"}\n{"shopper_id":"u2"}\n')
    _, digests = replay("--in", EVENTS, "--out", path("kept.jsonl"), "--snapshot", kept)
    shown = kindred("state", "show", kept).stdout
    assert digests["state"] in shown and re.search(r"^interactions +20$", shown, re.M), shown
    assert "is whole" in kindred("state", "verify", kept).stdout
    want = kindred("recommend", "--in", EVENTS, "--ask", ask_file).stdout
    assert kindred("recommend", "--snapshot", kept, "--ask", ask_file).stdout == want
    said = kindred("recommend", "--snapshot", kept, "--ask", ask_file, "--set", "history.max=9",
                   code=2).stderr
    assert "history.max=50, and now it is 9" in said, said
    more = path("more.jsonl", LINES[0] + "\n" + browse("u9", "i9", START) + "\n")
    replay("--in", more, "--out", path("kept.jsonl"), "--snapshot", path("other"))
    differs = kindred("state", "diff", kept, path("other"), code=4).stdout
    assert "shopper u9: only in the second" in differs and "u0: other" in differs, differs
    assert "states are equal" in kindred("state", "diff", kept, kept).stdout
    assert "no snapshot" in kindred("state", "show", FOLDER, code=1).stderr
    kindred("state", "show", path("nowhere"), code=2)
    kindred("state", "shew", kept, code=1)
    name = [n for n in os.listdir(kept) if n.startswith("20")][0]
    with open(os.path.join(kept, name, "state.kds"), "r+b") as f:
        f.seek(99)
        f.write(b"?!")
    assert "NOT whole" in kindred("state", "verify", os.path.join(kept, name), code=4).stdout
    assert "damaged" in kindred("recommend", "--snapshot", kept, "--ask", ask_file, code=2).stderr


def test_demo_runs_without_a_server():
    out = kindred("demo", "--events", "600", "--shoppers", "60", "--items", "40", "--rate", "0").stdout
    assert "recommended, with scores" in out, out
    assert re.search(r"^events +600 ", out, re.M) and re.search(r"^dead letters +0$", out, re.M), out
    assert re.search(r"^latency +p50 [0-9.]+ ms, p99 [0-9.]+ ms", out, re.M), out


def test_a_missing_broker_is_waited_for_and_said():
    process = subprocess.Popen([BIN, "run", "--quiet", "-X", "bootstrap.servers=127.0.0.1:1"],
                               stderr=subprocess.PIPE, text=True)
    said = process.stderr.readline()
    assert "trying again" in said, said
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)


def test_disk_full_is_said():
    if not os.path.exists("/dev/full"):
        return
    with open("/dev/full", "w") as full:
        for args in (["config"], ["help"], ["version"]):
            done = subprocess.run([BIN, *args], stdout=full, stderr=subprocess.PIPE, text=True)
            assert done.returncode == 2 and "standard output" in done.stderr, (args, done)
    said = kindred("replay", "--quiet", "--in", EVENTS, "--out", "/dev/full", code=2).stderr
    assert "/dev/full" in said


def main(names):
    tests = [v for k, v in names.items() if k.startswith("test_") and callable(v)]
    failed = 0
    for test in tests:
        try:
            test()
            print(f"{test.__name__} ok", flush=True)
        except AssertionError as e:
            failed += 1
            print(f"{test.__name__} FAILED: {str(e)[:2000]} (line {e.__traceback__.tb_next.tb_lineno})", flush=True)
    print(f"{len(tests) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main(globals())
