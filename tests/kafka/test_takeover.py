#!/usr/bin/python3
"""Instances of one group come and go under load: every event is answered once, all end with the state
that the topics give, and what a join, a leave and a kill cost is measured and printed.

KINDRED_TEST_SECONDS lengthens the coming and going (default 20)."""

import json
import os
import subprocess
import threading
import time

import stream

EXACTLY = {"delivery": "exactly-once", "ready__lag": 1000}
CAUGHT_UP = EXACTLY | {"ready__lag": 0}  # a member only when everything is applied


class Load:
    """One event every `every_s`, dated now, through one producer."""

    def __init__(self, world, every_s=0.01):
        self.world, self.every_s = world, every_s
        self.process = subprocess.Popen(
            [stream.BIN, "produce", "-c", world.config("produce"), "--in", "-", "--quiet",
             "--now", "2099-01-01"], stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        self.is_over = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        shopper = 0
        while not self.is_over:
            shopper = (shopper + 1 + self.world.rng.randrange(38)) % 40  # another one each time
            event = {"type": "BrowseEvent", "event_id": f"e{self.world.sent}",
                     "user_id": f"u{shopper}", "session_id": None, "action": "VIEW",
                     "item_id": f"i{self.world.rng.randrange(30)}", "time": int(time.time() * 1000)}
            self.process.stdin.write(json.dumps(event) + "\n")
            self.process.stdin.flush()
            self.world.sent += 1
            time.sleep(self.every_s)

    def end(self):
        self.is_over = True
        self.thread.join()
        self.process.stdin.close()
        assert self.process.wait(timeout=stream.LIMIT_S) == 0


def latencies(world):
    """Of each update: when its event was made, and how many ms later the update was."""
    out = subprocess.run(["kcat", "-b", stream.BROKERS, "-C", "-t", world.topic("recommendations"), "-e",
                          "-q", "-f", "%T %S %s", "-X", "isolation.level=read_committed"],
                         capture_output=True, timeout=stream.LIMIT_S).stdout
    rows, at = [], 0
    while at < len(out):
        end = out.index(b" ", at)
        stamp, at = int(out[at:end]), end + 1
        end = out.index(b" ", at)
        n, at = int(out[at:end]), end + 1
        value = out[at:at + n]
        at += n
        _, place = stream.read_str(value, 10)
        made, _ = stream.read_long(value, place)
        rows.append((made, stamp - made))
    return rows


def worst(rows, since, until):
    return max([ms for made, ms in rows if since <= made < until], default=-1)


def test_what_a_join_a_leave_and_a_kill_cost(world):
    a = world.run("a", **EXACTLY).joined()
    load = Load(world)
    marks = [("alone", time.time())]
    time.sleep(3)
    marks.append(("join", time.time()))
    b = world.run("b", **EXACTLY).joined()
    time.sleep(3)
    marks.append(("leave", time.time()))
    b.end()
    time.sleep(3)
    marks.append(("join again", time.time()))
    c = world.run("c", **EXACTLY).joined()
    time.sleep(2)
    marks.append(("kill", time.time()))
    c.kill()
    time.sleep(10)
    marks.append(("end", time.time()))
    load.end()
    world.all_answered()
    digest = a.end()
    rows = latencies(world)
    for (what, since), (_, until) in zip(marks, marks[1:]):
        print(f"{what}: worst {worst(rows, since * 1000, until * 1000)} ms;", end=" ", flush=True)
    assert digest == world.run("d", **CAUGHT_UP).joined().end()


def test_coming_and_going(world):
    seconds = int(os.environ.get("KINDRED_TEST_SECONDS", "20"))
    slots = {name: world.run(name, **EXACTLY) for name in "abc"}
    slots["a"].joined()
    load = Load(world, 0.004)
    until, turns = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        name = world.rng.choice("abc")
        if slots[name].process.poll() is None:
            is_up = "the group gave" in slots[name].said()  # before that no handler may be there
            if world.rng.random() < 0.5 or not is_up:
                slots[name].kill()
            else:
                slots[name].end()
        turns += 1
        time.sleep(world.rng.random() * 2)
        slots[name] = world.run(name, **EXACTLY)
        time.sleep(world.rng.random() * 3)
    load.end()
    world.all_answered()
    for i in slots.values():  # who came last may have joined before everything was applied
        i.joined().end()
    slots = {name: world.run(name, **CAUGHT_UP).joined() for name in "abc"}
    digests = [i.end() for i in slots.values()]
    print(f"{turns} turns, {world.sent} events;", end=" ", flush=True)
    assert len(set(digests)) == 1, digests


if __name__ == "__main__":
    stream.main(globals())
