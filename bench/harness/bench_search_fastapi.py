"""The same Elasticsearch requests through the query-api (its cache is off) and through FastAPI with elasticsearch-py, a
process for each core, at 8 connections; the two alternate. Elasticsearch takes its own time on both sides, and most of it for pages
with words and facets: so the same for lists of a category, which cost it next to nothing, and what the sides themselves spend on
a search."""
import json
import os
import signal
import socket
import subprocess
import sys

from harness.bench_search import lists, recorded, searches
from harness.environment import PROJECT, VAR, call, cpu_seconds, median, ready, say, table, until
from harness.wrk import wrk

CONNECTIONS = 8


class FastApi:
    def __init__(self, env, strings, requests):
        path = os.path.join(VAR, "fastapi-requests.json")
        with open(path, "w") as f:
            json.dump({string: body for string, (_, _, body) in zip(strings, requests)}, f)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.log = open(os.path.join(VAR, "fastapi.log"), "wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "fastapi_search:app", "--port", str(port), "--workers", str(os.cpu_count()),
             "--loop", "uvloop", "--http", "httptools", "--no-access-log"], cwd=os.path.join(PROJECT, "bench/drivers"),
            env={**os.environ, "REQUESTS": path, "ENGINE": env.es}, stdout=self.log, stderr=self.log, start_new_session=True)
        until(lambda: self._answers(strings[0]), 60, f"answer of FastAPI (see {self.log.name})", 0.2)

    def _answers(self, string):
        if self.process.poll() is not None:
            raise RuntimeError(f"FastAPI ended, see {self.log.name}")
        try:
            return call(f"{self.url}/v1/search?{string}")[0] == 200
        except OSError:
            return False

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()


def compare(env, args, title, make):
    """{figure: value}"""
    strings, requests, _ = recorded(env, 200, args.seed, make)
    gets = [("GET", "/v1/search?" + s, None) for s in strings]
    query = ready(env, {"READSIDE_QUERY_API_CACHE_BYTES": "0"})
    fastapi = FastApi(env, strings, requests)
    sides = {"direct": (env.es, requests), "FastAPI": (fastapi.url, gets), "query-api": (query.url, gets)}
    groups = {"FastAPI": fastapi.process.pid, "query-api": query.process.pid}
    seen = {name: [] for name in sides}
    try:
        for side in sides.values():
            wrk(*side, CONNECTIONS, 4)
        for n in range(args.rounds):
            for name, side in sides.items():
                before = cpu_seconds(groups[name]) if name in groups else 0
                seen[name].append(wrk(*side, CONNECTIONS, args.seconds))
                spent = cpu_seconds(groups[name]) - before if name in groups else 0
                seen[name][-1]["cpu_ms"] = spent * 1000 / seen[name][-1]["requests"]
                if seen[name][-1]["errors"]:
                    raise RuntimeError(f"{name}: {seen[name][-1]['errors']} errors")
            say(f"round {n + 1}: " + ", ".join(f"{name} {ones[-1]['rate']:.0f}/s" for name, ones in seen.items()))
    finally:
        fastapi.stop()
        query.stop()
    middle = {name: {k: median([one[k] for one in ones]) for k in ("rate", "p50_ms", "p99_ms", "cpu_ms")} for name, ones in seen.items()}
    table(f"{len(strings)} {title} over {args.products:,} products, {CONNECTIONS} connections, medians of {args.rounds}",
          [[name, f"{m['rate']:.0f}", f"{m['p50_ms']:.2f}", f"{m['p99_ms']:.2f}", f"{m['cpu_ms']:.2f}"] for name, m in middle.items()],
          ["side", "searches/s", "p50 ms", "p99 ms", "own CPU ms"])
    return {"ratio_to_fastapi": round(median([b["rate"] / a["rate"] for a, b in zip(seen["FastAPI"], seen["query-api"])]), 2),
            **{f"{name.lower().replace('-', '_')}_rate": round(m["rate"]) for name, m in middle.items()},
            **{f"{name.lower().replace('-', '_')}_cpu_ms": round(middle[name]["cpu_ms"], 2) for name in groups}}


def run(env, args):
    env.load_and_project()
    pages = compare(env, args, "searches with 3 facets", searches)
    cheap = compare(env, args, "lists of a category without facets", lists)
    return {**pages, **{f"lists_{name}": value for name, value in cheap.items()}}
