"""`./dev kafka down` removes what a broker wrote when it has stopped writing, however it ends."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

from common import ROOT, expect, finish

# Stands for a broker: told to end, its first thread does, and the others go on making folders.
WRITER = """
import ctypes, itertools, os, signal, sys, threading
def write(name):
    for i in itertools.count():
        os.makedirs(f"{sys.argv[1]}/data/{name}-{i}", exist_ok=True)
os.makedirs(sys.argv[1] + "/data")
for name in range(4):
    threading.Thread(target=write, args=(name,), daemon=True).start()
signal.signal(signal.SIGTERM, lambda *_: ctypes.CDLL(None).pthread_exit(None))
print("up", flush=True)
while True:
    signal.pause()
"""


def main():
    faults = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        tree = pathlib.Path(folder)
        shutil.copy(ROOT / "dev", tree / "dev")
        kafka = tree / "build" / "kafka"
        run = kafka / "run.test"
        run.mkdir(parents=True)
        broker = subprocess.Popen([sys.executable, "-c", WRITER, run], stdout=subprocess.PIPE, text=True)
        try:
            expect(broker.stdout.readline() == "up\n", "what stands for a broker did not come up")
            (kafka / "kafka.pid").write_text(f"{broker.pid} {run}\n")
            down = subprocess.run([tree / "dev", "kafka", "down"], capture_output=True, text=True)
            if down.returncode != 0:
                faults.append(f"dev kafka down: ended with {down.returncode}")
            faults += [f"{path.name}: is still there" for path in (run, kafka / "kafka.pid") if path.exists()]
            if faults:
                print(down.stderr)
        finally:
            broker.kill()
            broker.wait()
    finish(faults, 1, "broker")


main()
