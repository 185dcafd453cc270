#!/usr/bin/python3
"""The torture harness finds what is planted: a lost batch, one published twice, a skipped record."""

import glob
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if not glob.glob(os.path.join(ROOT, "build", "kafka", "lib", "*.jar")):
    print("skipped: there is no broker in build/kafka; ./dev kafka up fetches one")
    sys.exit(77)
os.execv(sys.executable, [sys.executable, os.path.join(ROOT, "tests", "chaos", "chaos.py"), "--prove",
                          "--seed", os.environ.get("KINDRED_SEED", "7")])
