#!/usr/bin/python3
"""A broker that wants TLS and SASL/SCRAM, or a certificate of the client, all made here: every verb that
talks to Kafka works with librdkafka's own properties, and what is wrong with them is said, with what would be right.

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


def make_certificate(folder, name, ca_key, ca_cert):
    """A key of 127.0.0.1, be it a broker or a client, and its certificate by that authority."""
    at = {x: os.path.join(folder, f"{name}.{x}") for x in ("key", "csr", "pem", "ext")}
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", at["key"], "-out", at["csr"], "-subj",
            "/CN=127.0.0.1")
    with open(at["ext"], "w") as f:
        f.write("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", at["csr"], "-CA", ca_cert, "-CAkey", ca_key, "-CAcreateserial", "-days",
            "2", "-extfile", at["ext"], "-out", at["pem"])
    return at["key"], at["pem"]


def of_client(key, cert):
    return {"kafka__ssl.certificate.location": cert, "kafka__ssl.key.location": key}


def make_broker(folder):
    """The broker; what a client of its listener with passwords sets, and one of that with certificates."""
    authority = make_ca(folder, "authority")
    key, cert = make_certificate(folder, "broker", *authority)
    store = os.path.join(folder, "broker.p12")
    openssl("pkcs12", "-export", "-in", cert, "-inkey", key, "-passout", "pass:secret", "-out", store)
    port, mutual_port = free_port(), free_port()
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    broker = Broker({"SECURE": ("SASL_SSL", port, port), "MUTUAL": ("SSL", mutual_port, mutual_port)}, f"""
ssl.keystore.location={store}
ssl.keystore.password=secret
ssl.keystore.type=PKCS12
listener.name.secure.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.secure.scram-sha-512.sasl.jaas.config={scram}
listener.name.mutual.ssl.client.auth=required
listener.name.mutual.ssl.truststore.type=PEM
listener.name.mutual.ssl.truststore.location={authority[1]}
""", ["--add-scram", f"SCRAM-SHA-512=[name=shop,password={PASSWORD}]"], OLD_LIB)
    return broker, {"kafka__bootstrap.servers": f"127.0.0.1:{port}",
                    "kafka__security.protocol": "SASL_SSL", "kafka__sasl.mechanisms": "SCRAM-SHA-512",
                    "kafka__sasl.username": "shop", "kafka__sasl.password": PASSWORD,
                    "kafka__ssl.ca.location": authority[1]}, \
        {"kafka__bootstrap.servers": f"127.0.0.1:{mutual_port}", "kafka__security.protocol": "SSL",
         "kafka__ssl.ca.location": authority[1],
         **of_client(*make_certificate(folder, "client", *authority))}


def all_verbs(world, secure):
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


def test_all_verbs_with_a_password(world, secure, _):
    all_verbs(world, secure)


def test_all_verbs_with_a_certificate(world, _, mutual):
    all_verbs(world, mutual)


def test_what_is_wrong_is_said(world, secure, mutual):
    """By verbs, which end, and by instances, which go on trying."""
    stranger_key, stranger = make_ca(world.folder, "stranger")
    strange_client = of_client(*make_certificate(world.folder, "client", stranger_key, stranger))
    nobody = {k: v for k, v in mutual.items() if k not in strange_client}
    client = "ssl.certificate.location and ssl.key.location"
    wrong = {
        "password": (secure | {"kafka__sasl.password": "battery staple"}, "sasl.username and sasl.password"),
        "mechanism": (secure | {"kafka__sasl.mechanisms": "PLAIN"}, "sasl.mechanisms"),
        "authority": (secure | {"kafka__ssl.ca.location": stranger}, "ssl.ca.location"),
        "no-tls": (secure | {"kafka__security.protocol": "PLAINTEXT"}, "security.protocol"),
        "no-tls-there": (secure | {"kafka__bootstrap.servers": stream.BROKERS}, "security.protocol"),
        "no-certificate": (nobody, client),
        "strange-certificate": (mutual | strange_client, client),
        "authority-of-mutual": (mutual | {"kafka__ssl.ca.location": stranger}, "ssl.ca.location"),
    }

    def verb_fails(verb, path, says):
        done = subprocess.run([stream.BIN, *verb, "-c", path], text=True, capture_output=True,
                              timeout=stream.LIMIT_S)
        assert done.returncode == 2 and "check " + says in done.stderr, (verb, done)

    runs = [(world.run(f"run-{name}", delivery=d, **options), says)
            for d, (name, (options, says)) in
            zip(("exactly-once", "at-least-once") * 4, wrong.items())]
    with concurrent.futures.ThreadPoolExecutor(2 * len(wrong)) as pool:
        jobs = []
        for name, (options, says) in wrong.items():
            path = world.config(name, **options)
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


def test_files_that_are_wrong(world, _, mutual):
    """They are read before anything is asked: every verb ends, and says which property has which file."""
    other_key = make_certificate(world.folder, "other", *make_ca(world.folder, "stranger"))[0]
    no_pem = world.config("no-pem")
    for name, path in (("ssl.ca.location", "/nowhere.pem"), ("ssl.certificate.location", "/nowhere.pem"),
                       ("ssl.certificate.location", no_pem), ("ssl.key.location", "/nowhere.pem"),
                       ("ssl.key.location", no_pem), ("ssl.key.location", other_key)):
        config = world.config("wrong", **mutual | {f"kafka__{name}": path})
        for verb in (("topics", "check"), ("run",), ("tail", world.topic("browse"))):
            said = kindred(*verb, "-c", config, code=1).stderr
            assert f"{name}: {path} cannot be used: " in said, said
    key_alone = world.config("alone", **{k: v for k, v in mutual.items() if "certificate" not in k})
    said = kindred("topics", "check", "-c", key_alone, code=1).stderr
    assert "ssl.certificate.location is not set or not for ssl.key.location" in said, said


if __name__ == "__main__":
    if not os.path.isdir(OLD_LIB):
        print("skipped: there is no older broker in build/kafka; ./dev kafka up fetches one")
        sys.exit(77)
    folder = tempfile.TemporaryDirectory(prefix="kindred-security-")
    broker, secure, mutual = make_broker(folder.name)
    stream.BROKERS = f"127.0.0.1:{broker.port}"
    try:
        stream.main({k: (lambda world, test=v: test(world, secure, mutual)) for k, v in globals().items()
                     if k.startswith("test_")})
    finally:
        broker.close()
        folder.cleanup()
