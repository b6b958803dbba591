"""Searches as visitors repeat them (Zipf), from the query-api's cache, and beside it nginx proxy_cache in front of
Elasticsearch with the same time to live, asked the very requests that the query-api sends there. Both have seen every
search before it counts; they alternate in one run, and so does the query-api without its cache."""
import random

from harness.allocations import allocations
from harness.bench_search import recorded
from harness.environment import ask_each, median, ready, say, table
from harness.nginx import Nginx
from harness.wrk import wrk

FRESH_SECONDS, CACHE_MIB, CONNECTIONS, SEARCHES, LENGTH = 600, 64, 16, 300, 20000


def zipf(rng, searches, length, exponent=1.0):
    weights = [1 / (rank + 1) ** exponent for rank in range(searches)]
    return rng.choices(range(searches), weights, k=length)


def run(env, args):
    env.load_and_project()
    strings, bodies, _ = recorded(env, SEARCHES, args.seed)
    gets = [("GET", "/v1/search?" + s, None) for s in strings]
    order = zipf(random.Random(args.seed), len(strings), LENGTH)
    cached = {"READSIDE_QUERY_API_CACHE_BYTES": f"{CACHE_MIB}m", "READSIDE_QUERY_API_CACHE_FRESH": f"{FRESH_SECONDS}s"}
    query, plain = ready(env, cached), ready(env, {"READSIDE_QUERY_API_CACHE_BYTES": "0"})
    nginx = Nginx(env.es.removeprefix("http://"), f"{FRESH_SECONDS}s")
    try:
        sides = {"nginx": (nginx.url, bodies, nginx), "query-api": (query.url, gets, query), "no cache": (plain.url, gets, plain)}
        say("every search is asked once")
        for name in ("nginx", "query-api"):
            url, requests, _ = sides[name]
            for _ in range(4 if name == "query-api" else 1):  # each loop has a cache of its own
                ask_each(url, requests)
        if ask_each(nginx.url, bodies) != {"HIT"}:
            raise RuntimeError("nginx does not answer from its cache")
        seen = {name: [] for name in sides}
        for n in range(args.rounds):
            for name, (url, requests, program) in sides.items():
                before = program.cpu_seconds()
                # without the cache, more at a time would be refused: Elasticsearch's own limit
                one = wrk(url, requests, 8 if name == "no cache" else CONNECTIONS, args.seconds, order)
                if one["errors"]:
                    raise RuntimeError(f"{name}: {one['errors']} errors")
                one["cpu_us"] = (program.cpu_seconds() - before) / one["requests"] * 1e6
                seen[name].append(one)
            say(f"round {n + 1}: " + ", ".join(f"{name} {seen[name][-1]['rate']:.0f}/s" for name in sides))
    finally:
        nginx.stop()
    metrics = query.metrics()
    hits = {r: metrics.get(f'readside_query_api_cache_answers_total{{result="{r}"}}', 0) for r in ("fresh", "stale", "miss", "joined")}
    middle = {name: {k: median([one[k] for one in ones]) for k in ("rate", "p50_ms", "p99_ms", "cpu_us")} for name, ones in seen.items()}
    table(f"{SEARCHES} searches over {args.products:,} products, Zipf, {CONNECTIONS} connections, medians of {args.rounds}",
          [[name, f"{m['rate']:.0f}", f"{m['p50_ms']:.2f}", f"{m['p99_ms']:.2f}", f"{m['cpu_us']:.1f}"] for name, m in middle.items()],
          ["side", "searches/s", "p50 ms", "p99 ms", "CPU us each"])
    return {"ratio_to_nginx": round(median([b["rate"] / a["rate"] for a, b in zip(seen["nginx"], seen["query-api"])]), 3),
            "p99_ratio_to_nginx": round(median([b["p99_ms"] / a["p99_ms"] for a, b in zip(seen["nginx"], seen["query-api"])]), 3),
            "ratio_to_uncached": round(middle["query-api"]["rate"] / middle["no cache"]["rate"], 1),
            "rate": round(middle["query-api"]["rate"]), "nginx_rate": round(middle["nginx"]["rate"]),
            "cpu_us": round(middle["query-api"]["cpu_us"], 1), "nginx_cpu_us": round(middle["nginx"]["cpu_us"], 1),
            "hit_ratio": round(hits["fresh"] / max(1, sum(hits.values())), 4), "cache_mib": CACHE_MIB,
            "rss_mib": round(query.peak_mib(), 1), "allocations_per_request": round(allocations(env, cached, gets[:500]), 1)}
