#!/usr/bin/python3
"""kindred explain from topics: what the same log in a file explains, and nothing committed."""

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
START = 1700000000000


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
            del x["later"], x["last_event"]["topic"], x["last_event"]["partition"], x["last_event"]["offset"]
            said.append(x)
        assert said[0]["events"] == min(k + 1, 400) and said[0]["items"] and said[0]["neighbours"], said[0]
        assert said[0] == said[1] == said[2], (k, said)
    print("topics explain what the file explains, at 4 moments")


main()
