"""wrk with a list of requests in rotation, and its figures as numbers."""
import json
import os
import subprocess
import tempfile

from harness.environment import VAR, median, say

SCRIPT = """
local requests, order = {}, {}
local n = 0
function init(args)
  for line in io.lines(args[1]) do
    local method, path, body = line:match("^(%S+) (%S+) ?(.*)$")
    requests[#requests + 1] = wrk.format(method, path, {["Content-Type"] = "application/json"}, body ~= "" and body:gsub("\\1", "\\n") or nil)
  end
  for line in io.lines(args[2]) do
    order[#order + 1] = requests[tonumber(line)]
  end
end
function request()
  n = n % #order + 1
  return order[n]
end
function done(summary, latency)
  local e = summary.errors
  io.stdout:write(string.format(
    '\\nJSON {"requests":%d,"seconds":%f,"p50_ms":%f,"p99_ms":%f,"errors":%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def wrk(url, requests, connections, seconds, order=None):
    """requests: (method, path, body or None). order: indexes of them as they shall be sent; None: one after the other. {requests, seconds, rate, p50_ms, p99_ms, errors}"""
    with tempfile.TemporaryDirectory(dir=VAR) as folder:
        script, listing, ranks = (os.path.join(folder, name) for name in ("script.lua", "requests", "order"))
        with open(ranks, "w") as f:
            f.writelines(f"{i + 1}\n" for i in (order or range(len(requests))))
        with open(script, "w") as f:
            f.write(SCRIPT)
        with open(listing, "w") as f:
            for method, path, body in requests:
                body = (body or "").replace("\n", "\1")  # a request is a line
                f.write(f"{method} {path} {body}".rstrip(" ") + "\n")
        text = subprocess.run(["wrk", "-t", "1", "-c", str(connections), "-d", f"{max(1, round(seconds))}s", "--timeout", "10s", "-s",
                               script, url, "--", listing, ranks], stdout=subprocess.PIPE, text=True, check=True).stdout
    result = json.loads(text.rpartition("JSON ")[2])
    result["rate"] = result["requests"] / result["seconds"]
    return result


def joined(first, second):
    """Two runs of one side as one."""
    both = {key: first[key] + second[key] for key in ("requests", "seconds", "errors")}
    means = {key: (first[key] + second[key]) / 2 for key in ("p50_ms", "p99_ms")}
    return {**both, **means, "rate": both["requests"] / both["seconds"]}


def side_by_side(direct, through, args, name):
    """Both sides, (url, requests) each, at 1 and 8 connections after a warm-up: rows for a table, and by "_1" and "_8" the
    medians of throughput_ratio and p50_overhead_ms. A round asks direct, through, through, direct, so that a machine that
    grows faster or slower meanwhile favours neither. name: of the direct side."""
    for side in (direct, through):
        wrk(*side, 8, 5)
    rows, result = [], {}
    for connections in (1, 8):
        pairs = []
        for n in range(args.rounds):
            runs = [wrk(*side, connections, args.seconds / 2) for side in (direct, through, through, direct)]
            a, b = joined(runs[0], runs[3]), joined(runs[1], runs[2])
            if a["errors"] or b["errors"]:
                raise RuntimeError(f"errors: {name} {a['errors']}, through the query-api {b['errors']}")
            pairs.append((a, b))
            say(f"{connections} connections, round {n + 1}: {name} {a['rate']:.0f}/s, query-api {b['rate']:.0f}/s")
        for title, i in ((name, 0), ("query-api", 1)):
            rows.append([f"{title}, {connections}", f"{median([p[i]['rate'] for p in pairs]):.0f}",
                         f"{median([p[i]['p50_ms'] for p in pairs]):.2f}", f"{median([p[i]['p99_ms'] for p in pairs]):.2f}"])
        result[f"throughput_ratio_{connections}"] = round(median([b["rate"] / a["rate"] for a, b in pairs]), 3)
        result[f"p50_overhead_ms_{connections}"] = round(median([b["p50_ms"] - a["p50_ms"] for a, b in pairs]), 3)
    return rows, result
