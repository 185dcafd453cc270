#!/usr/bin/python3
"""kindred explain from topics: what the same log in a file explains, and nothing committed; from a snapshot and what came
after it, what the topics explain from their start."""

import json
import os
import subprocess
import sys
import tempfile
import time

BIN = os.environ["KINDRED_BIN"]
BROKERS = os.environ.get("KINDRED_TEST_BROKERS")
REGISTRY = os.environ.get("KINDRED_TEST_REGISTRY")
if not BROKERS or not REGISTRY:
    sys.exit("KINDRED_TEST_BROKERS and KINDRED_TEST_REGISTRY are not set: ./dev kafka up sets them")
run_id = f"e{os.getpid()}x{int(time.time())}"
folder = tempfile.mkdtemp(prefix="kindred-test-")
START = int(time.time()) * 1000 - 7200_000


def kindred(*args):
    done = subprocess.run([BIN, *args], capture_output=True, text=True, timeout=120,
                          env={k: v for k, v in os.environ.items() if not k.startswith("KINDRED_")})
    assert done.returncode == 0, f"{args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def main():
    config, log = os.path.join(folder, "c.yaml"), os.path.join(folder, "log.jsonl")
    with open(config, "w") as f:
        f.write("topics:\n" + "".join(f"  {name}: {run_id}-{name}\n" for name in (
            "browse", "purchase", "catalog", "forget", "recommendations", "dead-letters", "receipts", "similar")))
        f.write(f"group.id: {run_id}\nschema.registry.url: {REGISTRY}\nkafka: {{bootstrap.servers: '{BROKERS}'}}\n")
    with open(log, "w") as f:
        for k in range(400):
            event = {"type": "BrowseEvent", "user_id": f"u{k * 7 % 23}", "item_id": f"i{k * k % 31}", "action": "VIEW",
                     "time": START + k * 1000}
            if k % 9 == 4:
                del event["action"]
                event.update(type="PurchaseEvent", status="PAID", order_id=f"o{k}")
            f.write(json.dumps(event) + "\n")
    kindred("topics", "create", "-c", config)
    kindred("produce", "-c", config, "--in", log, "--quiet")
    for k in (50, 199, 399, 500):
        shopper = f"u{min(k, 399) * 7 % 23}"
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START // 1000 + k))
        said = []
        for source in (["--in", log], ["-c", config], ["--topics", "-c", config]):
            x = json.loads(kindred("explain", "--json", "--identities", "--shopper", shopper, "--at", at, *source))
            del x["snapshot"], x["later"], x["last_event"]["topic"], x["last_event"]["partition"], x["last_event"]["offset"]
            said.append(x)
        assert said[0]["events"] == min(k + 1, 400) and said[0]["items"] and said[0]["neighbours"], said[0]
        assert said[0] == said[1] == said[2], (k, said)
    begin = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START // 1000 - 60))
    for source in (["--in", log], ["-c", config]):
        said = kindred("explain", "--shopper", "u3", "--at", begin, *source)
        assert "none up to then\n" in said and "400 events are later" in said, said
        said = kindred("explain", "--shopper", "nobody", "--at", begin, *source)
        assert "never seen in this log" in said, said
    snapshots = ["-c", config, "--set", f"snapshot.dir={folder}/snapshots"]
    run = subprocess.Popen([BIN, "run", *snapshots, "--set", "ready.lag=0", "--quiet"], stderr=subprocess.PIPE, text=True)
    try:
        for line in run.stderr:
            if "the group gave" in line:
                break
    finally:
        run.terminate()
    said = run.stderr.read()
    assert run.wait(timeout=60) == 0 and any(d.startswith("20") for d in os.listdir(f"{folder}/snapshots")), said
    with open(log, "w") as f:
        for k in range(400, 440):
            f.write(json.dumps({"type": "BrowseEvent", "user_id": f"u{k % 11}", "item_id": f"i{k % 31}", "action": "VIEW",
                                "time": START + k * 1000}) + "\n")
    kindred("produce", "-c", config, "--in", log, "--quiet")
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    for shopper in ("u3", "u20"):  # with events after the snapshot, and without
        whole, tail = [json.loads(kindred("explain", "--json", "--shopper", shopper, "--at", at, *how))
                       for how in (["-c", config], snapshots)]
        assert whole.pop("snapshot") is None and tail.pop("snapshot").startswith("20"), tail
        assert (whole.pop("events"), tail.pop("events")) == (440, 40)
        triggers = whole.pop("last_event"), tail.pop("last_event")
        assert all(triggers[0][k] == triggers[1][k] for k in ("action", "item_id", "time")), triggers
        assert whole == tail, (whole, tail)
    early = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START // 1000 + 300))
    assert json.loads(kindred("explain", "--json", "--shopper", "u3", "--at", early, *snapshots))["snapshot"] is None
    print("topics explain what the file explains, at 4 moments, and from a snapshot what they explain from their start")


main()
