#!/usr/bin/python3
"""What shoppers are looking for, on a real broker: published to topics.needs when it changes and not
when it does not, nulled when a shopper is forgotten, each change once however often an instance is
stopped or killed, and readable by people."""

import datetime
import json
import struct

import stream
from stream import kindred, read_long, read_str, wait_for

PRODUCTS = [("lamp", "oak lamp", "Home > Lamps", "Acme"), ("lamp2", "oak lamp", "Home > Lamps", "Acme"),
            ("desk", "steel desk", "Office", "Zenith"), ("tea", "green tea", "Food", "Kusmi"),
            ("mug", "blue mug", "Kitchen", "Kusmi")]


def read_needs(value):
    """(shopper, products, {kind: [(name, weight)]}), from the bytes by hand."""
    at = 10 if value[:2] == b"\xc3\x01" else 5
    shopper, at = read_str(value, at)
    _, at = read_long(value, at)
    products, at = read_long(value, at)
    lists = {}
    for kind in ("terms", "categories", "brands"):
        lists[kind] = []
        while True:
            n, at = read_long(value, at)
            if n == 0:
                break
            if n < 0:
                n, (_, at) = -n, read_long(value, at)
            for _ in range(n):
                name, at = read_str(value, at)
                weight = struct.unpack("<d", value[at:at + 8])[0]
                at += 8
                lists[kind].append((name, weight))
    assert at == len(value), (at, len(value))
    return shopper, products, lists


class Shop:
    """A world with texts, and events that are counted."""

    def __init__(self, world, **options):
        self.world, self.n = world, 0
        self.options = {"topics__needs": world.topic("needs"), "content": "on"} | options
        kindred("topics", "create", "-c", world.config(**self.options), "--partitions", "4")
        self.send(*({"type": "CatalogItem", "item_id": i, "title": t, "category": c, "brand": b}
                    for i, t, c, b in PRODUCTS))

    def run(self, **more):
        return self.world.run(**self.options, **more).joined()

    def send(self, *events):
        for e in events:
            self.world.clock += 1000
            e["time"] = self.world.clock
        self.world.produce(0, more=events)

    def views(self, *pairs):
        """(shopper, item) each, and waits until they are answered."""
        self.send(*({"type": "BrowseEvent", "event_id": f"v{self.n + k}", "user_id": who, "item_id": item,
                     "action": "VIEW"} for k, (who, item) in enumerate(pairs)))
        self.n += len(pairs)
        wait_for("updates", lambda: set(self.world.triggers()), lambda t: len(t) >= self.n)

    def needs(self, who):
        """What was published of one shopper, in order; None is a null."""
        return [v if v is None else read_needs(v) for k, v in self.world.read("needs") if k == who.encode()]


def names(needs, kind="terms"):
    return sorted(name for name, _ in needs[2][kind])


def test_published_when_they_change(world):
    shop = Shop(world)
    a = shop.run()
    shop.views(("ann", "lamp"), ("bob", "desk"))
    shop.views(("ann", "lamp"), ("bob", "desk"), ("eve", "no text"))  # nothing new
    shop.views(("ann", "lamp2"))  # says the same
    shop.views(("ann", "desk"))
    a.end()  # all is out
    first, second = shop.needs("ann")
    assert first[:2] == ("ann", 1) and names(first) == ["lamp", "oak"], first
    assert names(first, "brands") == ["acme"] and names(first, "categories") == ["home", "home > lamps"], first
    assert second[1] == 3 and names(second) == ["desk", "lamp", "oak", "steel"], second
    assert names(second, "brands") == ["acme", "zenith"], second
    for weights in ([w for _, w in second[2][kind]] for kind in ("terms", "categories", "brands")):
        assert weights == sorted(weights, reverse=True) and 0 < weights[-1] <= weights[0] <= 1, second
    assert len(shop.needs("bob")) == 1 and shop.needs("eve") == []
    tail = ["tail", world.topic("recommendations"), "--until-end", "-c", world.config(**shop.options)]
    by_id, by_title = kindred(*tail).stdout, kindred(*tail, "--titles").stdout
    assert "  desk " in by_id and "steel desk" not in by_id, by_id
    assert "  steel desk " in by_title and "  desk " not in by_title, by_title


def test_forgetting_leaves_a_null_and_what_comes_later_is_news(world):
    shop = Shop(world)
    a = shop.run()
    shop.views(("ann", "lamp"), ("bob", "lamp"))
    until = datetime.datetime.fromtimestamp(world.clock / 1000, datetime.timezone.utc).isoformat("T", "milliseconds")
    kindred("forget", "ann", "--time", until, "-c", world.config(**shop.options))
    wait_for("a null", lambda: shop.needs("ann"), lambda n: n[-1:] == [None])
    shop.views(("ann", "lamp"), ("bob", "lamp"))
    a.end()
    before, null, after = shop.needs("ann")
    assert null is None and names(before) == names(after) == ["lamp", "oak"], (before, after)
    assert len(shop.needs("bob")) == 1
    table = kindred("tail", world.topic("needs"), "--until-end", "-c", world.config(**shop.options)).stdout
    assert "ann looks for " in table and "ann forgotten (null)" in table, table
    assert "brand acme 0." in table and "(from 1 product)" in table, table
    table = kindred("tail", world.topic("needs"), "--until-end", "--lang", "zh", "-c",
                    world.config(**shop.options)).stdout
    assert "ann 在找：" in table and "品牌：acme 0." in table and "（依据 1 件商品）" in table, table
    assert "ann 已被遗忘（null）" in table, table
    lines = kindred("tail", world.topic("needs"), "--until-end", "--json", "-c",
                    world.config(**shop.options)).stdout.splitlines()
    assert sorted(m["key"] for m in map(json.loads, lines)) == ["ann", "ann", "ann", "bob"], lines


def test_each_change_once_over_stops_and_kills(world):
    shop = Shop(world, snapshot__dir=world.snapshots("a"), snapshot__interval="1h",
                delivery="exactly-once")
    a = shop.run()
    shop.views(("ann", "lamp"), ("bob", "lamp"))
    a.end()
    b = shop.run()
    shop.views(("ann", "lamp2"), ("bob", "tea"))  # ann's say the same, bob's do not
    b.end()
    assert len(shop.needs("ann")) == 1 and len(shop.needs("bob")) == 2, (shop.needs("ann"), shop.needs("bob"))
    c = shop.run()
    shop.views(("ann", "mug"), ("bob", "tea"))
    c.kill()
    d = shop.run()
    shop.views(("ann", "tea"))
    d.end()
    found = [names(n) for n in shop.needs("ann")]
    assert found == [["lamp", "oak"], ["blue", "lamp", "mug", "oak"],
                     ["blue", "green", "lamp", "mug", "oak", "tea"]], found
    assert len(shop.needs("bob")) == 2


if __name__ == "__main__":
    stream.main(globals())
