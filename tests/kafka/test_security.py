#!/usr/bin/python3
"""A broker that wants TLS and SASL/SCRAM, with certificates made here: every verb that talks to Kafka
works with librdkafka's own properties, and what is wrong with them is said, with what would be right.

The broker is an older one: Kafka 4 refuses the SCRAM of librdkafka before 2.6.1, which is what Debian 12
has (it appends the client's nonce twice)."""

import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import tempfile

import stream
from broker import OLD_LIB, Broker, free_port
from stream import kindred

PASSWORD = "correct-horse"


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def make_ca(folder, name):
    key, cert = (os.path.join(folder, f"{name}.{x}") for x in ("key", "pem"))
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
            "-subj", f"/CN=Kindred's test {name}")
    return key, cert


def make_keystore(folder, ca_key, ca_cert):
    """The broker's key and certificate for 127.0.0.1."""
    at = {x: os.path.join(folder, f"broker.{x}") for x in ("key", "csr", "pem", "ext", "p12")}
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", at["key"], "-out", at["csr"], "-subj",
            "/CN=127.0.0.1")
    with open(at["ext"], "w") as f:
        f.write("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", at["csr"], "-CA", ca_cert, "-CAkey", ca_key, "-CAcreateserial", "-days",
            "2", "-extfile", at["ext"], "-out", at["pem"])
    openssl("pkcs12", "-export", "-in", at["pem"], "-inkey", at["key"], "-passout", "pass:secret", "-out",
            at["p12"])
    return at["p12"]


def make_broker(folder):
    key, ca = make_ca(folder, "authority")
    port = free_port()
    store = make_keystore(folder, key, ca)
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    broker = Broker({"SECURE": ("SASL_SSL", port, port)}, f"""
ssl.keystore.location={store}
ssl.keystore.password=secret
ssl.keystore.type=PKCS12
listener.name.secure.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.secure.scram-sha-512.sasl.jaas.config={scram}
""", ["--add-scram", f"SCRAM-SHA-512=[name=shop,password={PASSWORD}]"], OLD_LIB)
    return broker, {"kafka__bootstrap.servers": f"127.0.0.1:{port}",
                    "kafka__security.protocol": "SASL_SSL", "kafka__sasl.mechanisms": "SCRAM-SHA-512",
                    "kafka__sasl.username": "shop", "kafka__sasl.password": PASSWORD,
                    "kafka__ssl.ca.location": ca}


def test_all_verbs(world, secure):
    config = world.config("secure", **secure)
    kindred("topics", "create", "-c", config)
    assert "wrong" not in kindred("topics", "check", "-c", config).stdout
    runs = [world.run(d, group=d, delivery=d, ready__lag=1000, **secure).joined()
            for d in ("exactly-once", "at-least-once")]
    events = os.path.join(world.folder, "secure.jsonl")
    with open(events, "w") as f:
        for event in world.events(60):
            f.write(json.dumps(event) + "\n")
    kindred("produce", "-c", config, "--in", events, "--quiet")
    stream.wait_for("updates of both", world.triggers, lambda t: len(t) >= 2 * world.sent)
    assert len(world.triggers()) == 2 * len(set(world.triggers())) == 2 * world.sent
    tail = kindred("tail", world.topic("recommendations"), "-c", config, "--from", "beginning", "--until-end", "--json")
    assert tail.stdout.count("\n") == 2 * world.sent, tail.stdout[:500]
    for i in runs:
        i.end()


def test_what_is_wrong_is_said(world, secure):
    """By verbs, which end, and by instances, which go on trying."""
    _, stranger = make_ca(world.folder, "stranger")
    wrong = {
        "password": ({"kafka__sasl.password": "battery staple"}, "sasl.username and sasl.password"),
        "mechanism": ({"kafka__sasl.mechanisms": "PLAIN"}, "sasl.mechanisms"),
        "authority": ({"kafka__ssl.ca.location": stranger}, "ssl.ca.location"),
        "no-tls": ({"kafka__security.protocol": "PLAINTEXT"}, "security.protocol"),
        "no-tls-there": ({"kafka__bootstrap.servers": stream.BROKERS}, "security.protocol"),
    }

    def verb_fails(verb, path, says):
        done = subprocess.run([stream.BIN, *verb, "-c", path], text=True, capture_output=True,
                              timeout=stream.LIMIT_S)
        assert done.returncode == 2 and "check " + says in done.stderr, (verb, done)

    runs = [(world.run(f"run-{name}", delivery=d, **secure | options), says)
            for d, (name, (options, says)) in
            zip(("exactly-once", "at-least-once") * 3, wrong.items())]
    with concurrent.futures.ThreadPoolExecutor(2 * len(wrong)) as pool:
        jobs = []
        for name, (options, says) in wrong.items():
            path = world.config(name, **secure | options)
            for verb in (("topics", "check"), ("tail", world.topic("browse"))):
                jobs.append(pool.submit(verb_fails, verb, path, says))
        for job in jobs:
            job.result()
    for i, says in runs:
        i.says("check " + says)
        assert i.process.poll() is None, i.said()
    for i, _ in runs:
        i.process.send_signal(signal.SIGTERM)
    for i, _ in runs:
        assert i.process.wait(timeout=stream.LIMIT_S) == 0, i.said()


if __name__ == "__main__":
    if not os.path.isdir(OLD_LIB):
        print("skipped: there is no older broker in build/kafka; ./dev kafka up fetches one")
        sys.exit(77)
    folder = tempfile.TemporaryDirectory(prefix="kindred-security-")
    broker, secure = make_broker(folder.name)
    stream.BROKERS = f"127.0.0.1:{broker.port}"
    try:
        stream.main({k: (lambda world, test=v: test(world, secure)) for k, v in globals().items()
                     if k.startswith("test_")})
    finally:
        broker.close()
        folder.cleanup()
