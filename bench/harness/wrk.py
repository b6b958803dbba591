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


SLICE_SECONDS = 2


def side_by_side(direct, through, args, name):
    """Both sides, (url, requests) each, in turn at 1 and 8 connections after a warm-up: rows for a table, and by "_1" and "_8"
    throughput_ratio and p50_overhead_ms. name: of the direct side. They take turns every two seconds, each time with the same
    part of the list: a machine that others share changes its speed within seconds by more than the sides differ."""
    for side in (direct, through):
        wrk(*side, 8, 5)
    rows, result = [], {}
    for connections in (1, 8):
        slices, pairs = max(1, round(args.rounds * args.seconds / SLICE_SECONDS)), []
        for n in range(slices):
            first = n * len(direct[1]) // slices
            order = [*range(first, len(direct[1])), *range(first)]
            pair = [None, None]
            for i in (0, 1) if n % 2 else (1, 0):
                pair[i] = wrk(*(direct, through)[i], connections, SLICE_SECONDS, order)
            if pair[0]["errors"] or pair[1]["errors"]:
                raise RuntimeError(f"errors: {name} {pair[0]['errors']}, through the query-api {pair[1]['errors']}")
            pairs.append(pair)
        rates = [sum(p[i]["requests"] for p in pairs) / sum(p[i]["seconds"] for p in pairs) for i in (0, 1)]
        say(f"{connections} connections: {name} {rates[0]:.0f}/s, query-api {rates[1]:.0f}/s; ratios "
            + " ".join(f"{b['rate'] / a['rate']:.2f}" for a, b in pairs))
        for title, i in ((name, 0), ("query-api", 1)):
            rows.append([f"{title}, {connections}", f"{rates[i]:.0f}", f"{median([p[i]['p50_ms'] for p in pairs]):.2f}",
                         f"{median([p[i]['p99_ms'] for p in pairs]):.2f}"])
        result[f"throughput_ratio_{connections}"] = round(rates[1] / rates[0], 3)
        result[f"p50_overhead_ms_{connections}"] = round(median([b["p50_ms"] - a["p50_ms"] for a, b in pairs]), 3)
    return rows, result
