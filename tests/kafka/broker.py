"""A broker of a test's own, for what the shared one must not be put through."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIB = os.path.join(ROOT, "build", "kafka", "lib")
OLD_LIB = os.path.join(ROOT, "build", "kafka", "lib-old")  # ./dev fetches both


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Broker:
    """One KRaft node on a log of its own, which outlives the process.

    Beside the plain listener there are `more`: {name: (protocol, port, advertised port)}. `lines` go into
    its properties, `format_options` to the tool that makes the log."""

    def __init__(self, more=None, lines="", format_options=(), lib=LIB):
        self.lib = os.path.join(lib, "*")
        self.folder = tempfile.mkdtemp(prefix="kindred-broker-")
        self.port, controller = free_port(), free_port()
        more = more or {}
        protocols = "".join(f",{n}:{protocol}" for n, (protocol, _, _) in more.items())
        listeners = "".join(f",{n}://127.0.0.1:{port}" for n, (_, port, _) in more.items())
        advertised = "".join(f",{n}://127.0.0.1:{port}" for n, (_, _, port) in more.items())
        self.conf = os.path.join(self.folder, "server.properties")
        with open(self.conf, "w") as f:
            f.write(f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
inter.broker.listener.name=PLAINTEXT
listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}{listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}{advertised}
log.dirs={self.folder}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
{lines}""")
        subprocess.run(["java", "-Xmx128m", "-cp", self.lib, "kafka.tools.StorageTool", "format", "-t",
                        "a2luZHJlZC1jaGFvcy0wMA", "-c", self.conf, *format_options],
                       check=True, capture_output=True)
        self.process = None
        self.start()

    def start(self):
        log = open(os.path.join(self.folder, "broker.log"), "a")
        self.process = subprocess.Popen(["java", "-Xms256m", "-Xmx512m", "-cp", self.lib, "kafka.Kafka",
                                         self.conf], stdout=log, stderr=log)
        until = time.monotonic() + 90
        while subprocess.run(["kcat", "-b", f"127.0.0.1:{self.port}", "-L", "-m", "2"],
                             capture_output=True).returncode != 0:
            assert self.process.poll() is None and time.monotonic() < until, "the broker does not start"

    def stop(self, how):
        self.process.send_signal(how)
        self.process.wait(timeout=120)

    def close(self):
        if self.process.poll() is None:
            self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)
