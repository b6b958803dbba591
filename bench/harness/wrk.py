"""wrk with a list of requests in rotation, and its figures as numbers."""
import json
import os
import subprocess
import tempfile

from harness.environment import VAR

SCRIPT = """
local requests = {}
local n = 0
function init(args)
  for line in io.lines(args[1]) do
    local method, path, body = line:match("^(%S+) (%S+) ?(.*)$")
    requests[#requests + 1] = wrk.format(method, path, {["Content-Type"] = "application/json"}, body ~= "" and body:gsub("\\1", "\\n") or nil)
  end
end
function request()
  n = n % #requests + 1
  return requests[n]
end
function done(summary, latency)
  local e = summary.errors
  io.stdout:write(string.format(
    '\\nJSON {"requests":%d,"seconds":%f,"p50_ms":%f,"p99_ms":%f,"errors":%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def wrk(url, requests, connections, seconds):
    """requests: (method, path, body or None). {requests, seconds, rate, p50_ms, p99_ms, errors}"""
    with tempfile.TemporaryDirectory(dir=VAR) as folder:
        script, listing = os.path.join(folder, "script.lua"), os.path.join(folder, "requests")
        with open(script, "w") as f:
            f.write(SCRIPT)
        with open(listing, "w") as f:
            for method, path, body in requests:
                body = (body or "").replace("\n", "\1")  # a request is a line
                f.write(f"{method} {path} {body}".rstrip(" ") + "\n")
        text = subprocess.run(["wrk", "-t", "1", "-c", str(connections), "-d", f"{max(1, round(seconds))}s", "--timeout", "10s", "-s",
                               script, url, "--", listing], stdout=subprocess.PIPE, text=True, check=True).stdout
    result = json.loads(text.rpartition("JSON ")[2])
    result["rate"] = result["requests"] / result["seconds"]
    return result
