"""Makes one table of the result lines of the benchmarks, with the efficiency worked out.

usage: report.py RESULTS.jsonl   (the table goes to stdout)
"""

import json
import sys


def show(value, unit):
    if unit == "bytes":
        return f"{value / 1048576:,.1f} MiB" if value >= 1048576 else f"{value:,.0f} B"
    if unit == "1/s":
        return f"{value:,.0f} /s"
    if unit == "":
        return f"{value:.2f}"
    return f"{value:,.2f} {unit}" if value < 100 else f"{value:,.0f} {unit}"


def ratios(found):
    """Rows that are worked out of others: pass-through over raw copy, and the efficiency."""
    def rate(bench, kase, metric="events/s"):
        return found.get((bench, kase, metric))

    rows = []
    raw = rate("raw copy", "")
    for (bench, kase, metric), through in list(found.items()):
        if bench == "pass-through" and metric == "events/s" and raw:
            rows.append(("pass-through / raw copy", kase, "target 0.70", through / raw, ""))
    for (bench, kase, metric), pipeline in list(found.items()):
        if bench != "pipeline" or metric != "events/s":
            continue
        setting = kase.split("; ")[0]
        if "; blend" in kase:
            alone = kase.split("; blend")[0]
            if rate("pipeline", alone):
                rows.append(("blend / user-CF alone", kase, "pipeline, target 0.80",
                             pipeline / rate("pipeline", alone), ""))
                for threads in "the loop's thread", "all threads":
                    took = f"of {threads}, an event"
                    rows.append(("blend / user-CF alone", kase, f"by {threads}",
                                 rate("pipeline", alone, took) / rate("pipeline", kase, took), ""))
        if "in turns" in kase:
            continue
        through, lists = rate("pass-through", setting), rate("recommend", setting, "lists/s")
        if through and lists:
            possible = 1 / (1 / through + 1 / lists)
            rows.append(("efficiency", kase, "target 0.80", pipeline / possible, ""))
    return rows


def main():
    rows, found = [], {}
    with open(sys.argv[1], encoding="utf-8") as lines:
        for line in lines:
            r = json.loads(line)
            rows.append((r["bench"], r["case"], r["metric"], r["value"], r["unit"]))
            found[(r["bench"], r["case"], r["metric"])] = r["value"]
    worked_out = ratios(found)
    with open(sys.argv[1], "a", encoding="utf-8") as out:
        for bench, kase, metric, value, unit in worked_out:
            print(json.dumps({"bench": bench, "case": kase, "metric": metric, "value": round(value, 4),
                              "unit": unit, "n": 1}), file=out)
    cells = [("what", "case", "measure", "value")]
    cells += [(b, k, m, show(v, u)) for b, k, m, v, u in rows + worked_out]
    width = [max(len(row[i]) for row in cells) for i in range(4)]
    for row in cells:
        print(f"{row[0]:<{width[0]}}  {row[1]:<{width[1]}}  {row[2]:<{width[2]}}  {row[3]:>{width[3]}}")


main()
