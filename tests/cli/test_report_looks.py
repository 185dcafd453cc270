#!/usr/bin/python3
"""The backtest's page in a real browser, where there is one (chromium): nothing is wider than the screen of a
phone, dark is dark, and the screenshots are left in the build folder for people to look at."""

import html
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

BIN = os.environ["KINDRED_BIN"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FOLDER = tempfile.mkdtemp(prefix="kindred-looks-")
SHOTS = os.path.join(os.environ.get("KINDRED_BUILD", FOLDER), "screenshots")
if not CHROMIUM:
    print("skipped: no chromium here; apt-get install chromium shows the page as people see it")
    sys.exit(77)


def make_page():
    rng, lines, time = random.Random(3), [], 1700000000000
    for _ in range(20000):
        time += rng.randrange(600000)
        user = rng.randrange(300)
        item = (user % 5 * 40 + int(40 * rng.random() ** 2)) if rng.random() < .8 else rng.randrange(200)
        lines.append(json.dumps({"type": "BrowseEvent", "event_id": None, "user_id": f"u{user}", "session_id": None,
                                 "item_id": f"i{item}", "action": "VIEW", "time": time}))
    events, page = os.path.join(FOLDER, "shop.jsonl"), os.path.join(FOLDER, "report.html")
    with open(events, "w") as f:
        f.write("\n".join(lines) + "\n")
    env = {k: v for k, v in os.environ.items() if not k.startswith("KINDRED_")}
    subprocess.run([BIN, "backtest", "--quiet", "--in", events, "--grid", "usercf.neighbours=5,50", "--grid",
                    "usercf.similarity=jaccard,cosine", "--html", page], check=True, env=env,
                   stdout=subprocess.DEVNULL, timeout=200)
    return page


def chromium(url, *args):
    profile = tempfile.mkdtemp(prefix="profile-", dir=FOLDER)
    done = subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                           "--disable-background-networking", "--disable-component-update", "--disable-sync",
                           "--hide-scrollbars", f"--user-data-dir={profile}", *args, url],
                          capture_output=True, text=True, timeout=120)
    shutil.rmtree(profile, ignore_errors=True)
    assert done.returncode == 0, done.stderr[-1000:]
    return done.stdout


def frame(page, width, height):
    """A browser's window is never narrower than 500; a frame in it is."""
    with open(page, encoding="utf-8") as f:
        inside = html.escape(f.read(), quote=True)
    wrapper = os.path.join(FOLDER, f"frame{width}.html")
    with open(wrapper, "w", encoding="utf-8") as f:
        f.write(f"""<!DOCTYPE html><html><head><meta charset="utf-8"><title>frame</title></head>
<body style="margin:0"><iframe id="f" style="border:0;width:{width}px;height:{height}px" srcdoc="{inside}"></iframe>
<script>onload=()=>{{const d=document.getElementById('f').contentDocument.documentElement;
document.title='wide '+d.scrollWidth+' high '+d.scrollHeight}}</script></body></html>""")
    return "file://" + wrapper


def first_pixel(png):
    """Colour of the upper left corner, by hand: PNG, RFC 2083."""
    with open(png, "rb") as f:
        data = f.read()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed, kind = 8, b"", None
    while at < len(data):
        n, name = struct.unpack(">I4s", data[at:at + 8])
        if name == b"IHDR":
            kind = struct.unpack(">IIBB", data[at + 8:at + 18])
        if name == b"IDAT":
            packed += data[at + 8:at + 8 + n]
        at += 12 + n
    assert kind[2] == 8 and kind[3] in (2, 6), kind
    row = zlib.decompressobj().decompress(packed, 8)
    return tuple(row[1:4])  # the first pixel is what it is under every filter of the first row


def main():
    page = make_page()
    os.makedirs(SHOTS, exist_ok=True)
    for width in (320, 360, 768, 1200):
        said = chromium(frame(page, width, 800), "--dump-dom", "--window-size=1300,900")
        wide, high = map(int, re.search(r"<title>wide (\d+) high (\d+)</title>", said).groups())
        assert wide <= width, f"{wide} wide on a screen of {width}"
        print(f"{width} wide: {high} high, nothing over the edge", flush=True)
        if width not in (360, 1200):
            continue
        for look, flag in (("light", "--disable-dark-mode"), ("dark", "--force-dark-mode")):
            shot = os.path.join(SHOTS, f"backtest-{'phone' if width == 360 else 'desktop'}-{look}.png")
            chromium(frame(page, width, high), f"--screenshot={shot}", f"--window-size={max(width, 500)},{high}", flag)
            corner = first_pixel(shot)
            assert (sum(corner) < 200) == (look == "dark"), (shot, corner)
            print(f"{shot}: ground {corner}", flush=True)


main()
