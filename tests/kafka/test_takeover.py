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


def test_what_a_join_a_leave_and_a_kill_cost(world):
    """Measured, and no verdict on it. What is one: a join and a leave fence nobody and abort nothing, and
    after the kill what the dead one left open is ended by the survivor."""
    a = world.run("a", **EXACTLY).joined()
    load, reader = Load(world), stream.Reader(world)
    time.sleep(2)
    marks = [("alone", time.time())]
    time.sleep(2)
    marks.append(("join", time.time()))
    b = world.run("b", **EXACTLY).joined()
    time.sleep(3)
    marks.append(("leave", time.time()))
    b.end()
    time.sleep(3)
    assert "give its partitions up" not in a.said() and "again" not in a.said() + b.said(), \
        (a.said(), b.said())
    # Killed between send_offsets and commit: the worst moment.
    c = world.run("c", env={"KINDRED_FAULT": "txn.before-commit:25"}, **EXACTLY).joined()
    c.process.wait(timeout=stream.LIMIT_S)
    marks.append(("kill", time.time()))
    a.says("its transaction is ended")
    time.sleep(1)
    marks.append(("end", time.time()))
    load.end()
    world.all_answered()
    digest = a.end()
    for (what, since), (_, until) in zip(marks, marks[1:]):
        # What was in the dead one's hands waits longest, and was made before.
        print(f"{what}: worst {reader.slowest(since - 0.5, until - 0.5)} ms;", end=" ", flush=True)
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
