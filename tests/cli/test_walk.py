#!/usr/bin/python3
"""What somebody sees who has never seen Kindred: every output fits a terminal of 100 columns, a mistake gets an error that
says what would be right, and nothing that was asked for is left out in silence."""

import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import tempfile
import unicodedata

import test_cli
from test_cli import EVENTS, START, browse, kindred, path, replay


def columns(line):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in line)


def fits(text, most=100):
    for line in text.splitlines():
        assert columns(line) <= most, f"{columns(line)} columns: {line}"


def test_every_help_fits():
    verbs = re.findall(r"^  ([a-z]+) {2,}\S", kindred("help").stdout.split("every verb")[0], re.M)
    assert "backtest" in verbs and len(verbs) >= 16, verbs
    for verb in verbs:
        fits(kindred(verb, "--help").stdout)
    fits(kindred("help").stdout)


def test_an_unknown_ending_is_refused():
    for flag in ("--out", "--similar", "--needs"):
        for name in ("a.txt", "a.csv", "a.json", "a.jsonl.gz"):
            said = kindred("replay", "--in", EVENTS, flag, path(name), "--set", "content=on", code=1).stderr
            assert said.startswith(f"kindred: {flag} {path(name)}: "), said
            assert ("not written" if name.endswith(".gz") else ".jsonl or .avro") in said, said
            assert not os.path.exists(path(name))
    assert ".jsonl or .avro" in kindred("generate", "--out", path("a.txt"), "--events", "5", code=1).stderr
    replay("--in", EVENTS, "--out", path("no-ending"))
    assert json.loads(open(path("no-ending")).readline())["items"] is not None


def test_what_does_not_go_together_is_refused():
    for flags, says in ((["--why"], "--why goes with --table"), (["--lang", "zh"], "--lang goes with --table"),
                        (["--table", "--out", "-"], "both for standard output")):
        said = kindred("replay", "--in", EVENTS, *flags, code=1).stderr
        assert says in said, said
    assert "reasons come with blend: on" in replay("--in", EVENTS, "--table", "--why")[0].stderr
    assert "warning" not in replay("--in", EVENTS, "--table", "--why", "--set", "blend=on")[0].stderr
    said = kindred("tail", "x", "--json", "--why", "-X", "bootstrap.servers=127.0.0.1:1", code=1).stderr
    assert "not for --json" in said, said
    one, two = path("one.yaml", "workers: 1\n"), path("two.yaml", "workers: 2\n")
    assert "-c is given 2 times" in kindred("config", "-c", one, "-c", two, code=1).stderr


def test_the_first_bad_record_of_each_reason_is_shown():
    bad = path("bad.jsonl", "\n".join([browse("u", "i", 1704067200), browse("u", "i", 1704067201), "not json", browse("u", "i", START),
                                       browse("u", "i", 9999999999999)]) + "\n")
    for command in (["replay", "--in", bad], ["recommend", "--in", bad, "--ask", path("none.jsonl", "")]):
        said = [line for line in kindred(*command).stderr.splitlines() if "dead letter (" in line]
        assert len(said) == 2 and f"{bad}:1: time 1970-01-20T17:21:07.200Z is before 2000-01-01; milliseconds" in said[0], said
        assert f"{bad}:3: " in said[1] and "invalid token" in said[1], said


def test_a_missing_address_is_said():
    for verb in (["tail", "x"], ["backtest", "--from", "2024-01-01"], ["topics", "check"], ["forget", "ann"],
                 ["explain", "--topics", "--shopper", "ann", "--at", "2024-01-01"], ["produce", "--in", EVENTS]):
        said = kindred(*verb, code=1).stderr
        assert "bootstrap.servers is not set" in said, (verb, said)
    said = kindred("run", code=1).stderr
    assert "bootstrap.servers is not set" in said and len(said.splitlines()) == 1, said


def test_the_report_of_a_backtest_fits():
    dice = random.Random(3)
    lines = [browse(f"u{dice.randrange(60)}", f"i{dice.randrange(100)}", 1700000000000 + k * 1000) for k in range(900)]
    events = path("many.jsonl", "\n".join(lines) + "\n")
    common = ["backtest", "--quiet", "--in", events, "--resamples", "100"]
    grids = [w for g in ("usercf.neighbours=2,20,200", "usercf.similarity=cosine,jaccard", "recommend.exclude=none,seen")
             for w in ("--grid", g)]
    few = kindred(*common, "--grid", "usercf.neighbours=20,500,1000").stdout
    many = kindred(*common, *grids, "--at", "1,2,3,4,5,6,7,8").stdout
    blended = kindred(*common, "--set", "blend=on", "--grid", "usercf.neighbours=1,2").stdout
    for text in (few, many, blended):
        fits(text)
    heads = re.findall(r"^HR@8 by segment\n +questions(.*)$", many, re.M)
    assert [h.split() for h in heads] == [[f"#{k}" for k in range(1, 7)], [f"#{k}" for k in range(7, 13)]], heads
    rows = re.findall(r"^F1, .*\n +@1 +@5 +@10\n((?:neighbours=\S+(?: +0\.\d{5}){3}\n){3})", few, re.M)
    assert len(rows) == 2, few
    parts = blended.split("parts of the listed items\n")[1]
    assert re.match(r"neighbours=1(  [a-z]+ [0-9.]+%)*  usercf [0-9.]+%", parts), parts


def test_the_readme_can_be_followed():
    """What it does with files, line by line, on a smaller shop and with fewer trials."""
    root = pathlib.Path(__file__).resolve().parents[2]
    blocks = re.findall(r"```sh\n(.*?)```", (root / "README.md").read_text(), re.S)
    lines = [line for block in blocks for line in block.splitlines() if re.match(r"kindred|echo", line)]
    folder, done = tempfile.mkdtemp(prefix="kindred-walk-"), []
    os.symlink(os.path.abspath(test_cli.BIN), f"{folder}/kindred")
    smaller = {"generate": " --quiet --events 6000 ", "tune": " --trials 2 --quiet ", "backtest": " --resamples 100 --quiet ",
               "replay": " --quiet ", "explain": " ", "evaluate": " ", "recommend": " "}
    for line in lines:
        line = line.split("  #")[0]
        verb = line.split()[1] if line.startswith("kindred") else None
        if "my.yaml" in line or "online_retail" in line or "now.yaml" in line or verb == "state" or "shop.jsonl" in line:
            continue  # need brokers, or data that are not here
        if verb is not None:
            line = line.replace(f"kindred {verb} ", f"kindred {verb}{smaller[verb]}")
        ran = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, timeout=300,
                             env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"})
        assert ran.returncode == 0, (line, ran.stderr[-1000:])
        if verb in ("backtest", "explain", "evaluate") or "--table" in line:
            assert len(ran.stdout) > 300, (line, ran.stdout)
            fits(ran.stdout)
        done.append(verb)
    assert {"generate", "replay", "backtest", "explain", "recommend", "evaluate", "tune"} <= set(done), done
    assert "usercf.neighbours" in open(f"{folder}/found.yaml").read() and os.path.getsize(f"{folder}/report.html") > 10000
    shutil.rmtree(folder)


def chinese_shop():
    titles = ["纯棉长袖童装春夏新款", "实木茶几组合 现代简约", "阿迪达斯男鞋跑步鞋", "路由器千兆无线", "儿童益智积木100粒", "亚麻抱枕靠垫",
              "不锈钢保温杯500ml", "专柜正品洗面奶", "t恤男短袖", "吸顶灯led客厅卧室 现代简约"]
    dice = random.Random(8)
    products = [json.dumps({"type": "CatalogItem", "item_id": f"p{k}", "title": t + f" {k}号款", "description": None,
                            "category": None, "brand": None, "price": 9.5, "tags": [], "available": True,
                            "time": 1700000000000, "removed": False})
                for k, t in enumerate(titles * 3)]
    events = [browse(f"顾客{dice.randrange(20)}", f"p{dice.randrange(30)}", 1700000000000 + k * 1000) for k in range(1, 300)]
    return path("chinese.jsonl", "\n".join(products + events) + "\n")


def test_chinese_lists_read_as_chinese():
    shop, needs = chinese_shop(), path("needs.jsonl")
    options = ["--set", "content=on", "--set", "blend=on"]
    said = replay("--in", shop, "--table", "--why", "--lang", "zh", "--needs", needs, *options)[0].stdout
    fits(said)
    assert said.startswith("UTC          顾客        推荐商品及得分"), said[:100]
    assert re.search(r"\d+ 位和您一样选了“[^”]+款”的顾客也选了它", said) and "共有 " in said, said[-500:]
    assert "都提到“现代”、“简约”" in said or "都提到“简约”、“现代”" in said, said[-2000:]
    assert "p3" not in said, "an id is shown where there is a title"
    for line in said.splitlines():  # rows are aligned: the first item begins in the same column
        if re.match(r"\d\d-\d\d \d\d:\d\d ", line) and "号款" in line:
            start = re.match(r".{11}  顾客\d+ +", line).group(0)
            assert columns(start) == 25, line
    terms = {t["name"] for line in open(needs) for t in json.loads(line)["terms"]}
    assert {"茶几", "吸顶灯", "长袖", "男鞋", "t恤"} <= terms and not any(t.isdigit() for t in terms), terms


def test_explain_shows_titles_and_fits():
    options = ["--set", "content=on", "--set", "blend=on", "--set", "usercf.idf.score=1"]
    said = kindred("explain", "--shopper", "顾客1", "--at", "2023-12-01", "--in", chinese_shop(), *options).stdout
    fits(said)
    assert re.search(r"^  VIEW +\S+  p\d+  \(\d+ shoppers?\)  \S.*号款$", said, re.M), said
    assert re.search(r"^   1\. p\d+  \S.*号款\n      [0-9.]+ = usercf [0-9.]+", said, re.M), said
    assert re.search(r"^      \d+ of them voted: #.* and \d+ more$", said, re.M), said
    assert re.search(r"^      times [0-9.]+ for rarity$", said, re.M), said


def test_secrets_are_said_to_be_hidden():
    file = path("secret.yaml", "privacy.key: 0123456789abcdef0\nkafka:\n  sasl.password: hunter2\n  client.id: me\n")
    shown = kindred("config", "--yaml", "-c", file)
    assert "hunter2" not in shown.stdout and "0123456789abcdef0" not in shown.stdout
    assert f"# privacy.key is set ({file}:1:14) and not shown; --secrets shows it\n" in shown.stdout, shown.stdout
    assert f"  # sasl.password is set ({file}:3:18) and not shown" in shown.stdout, shown.stdout
    back = kindred("config", "--yaml", "-c", path("back.yaml", shown.stdout)).stdout
    assert 'privacy.key: ""' in back and '"client.id": "me"' in back, back
    whole = kindred("config", "--yaml", "--secrets", "-c", file).stdout
    assert kindred("config", "--yaml", "--secrets", "-c", path("whole.yaml", whole)).stdout == whole
    assert "hunter2" in whole and "hunter2" in kindred("config", "--json", "--secrets", "-c", file).stdout


def test_a_long_value_is_cut_in_the_table():
    rules = path("rules.yaml", "rules.boost:\n" + "".join(f"  - item:p-{k}=2\n" for k in range(3000)))
    row = [line for line in kindred("config", "-c", rules).stdout.splitlines() if line.startswith("rules.boost ")]
    assert row[0].endswith(f"\u2026 {rules}:2:3"), row
    assert columns(row[0]) < 100 + len(rules)
    text = kindred("config", "--yaml", "-c", rules).stdout
    assert kindred("config", "--yaml", "-c", path("rules-back.yaml", text)).stdout == text


if __name__ == "__main__":
    test_cli.main(globals())
