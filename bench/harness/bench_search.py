"""The same Elasticsearch query asked directly and through the query-api (its cache is off), at 1 and 8 connections.
The two alternate; wrk loads both with the same list of searches in rotation. What is asked directly was recorded from
the query-api. Searches for which it asks twice (too few hits, say) are counted and left out, for one request on each side.
Also what a search costs the allocator, and how long suggestions take."""
import random
import urllib.parse

from harness.allocations import allocations
from harness.environment import Connection, ask_each, call, get_json, median, percentile, ready, say, table, until
from harness.recorder import Forwarder, of_products
from harness.wrk import side_by_side, wrk

WORDS = ["노트북", "무선 이어폰", "운동화", "냉장고", "커피", "원피스", "laptop", "wireless earphones", "running shoes",
         "refrigerator", "coffee", "dress", "monitor", "샴푸", "캠핑 의자", "book"]


def searches(env, rng, count=200):
    """Query strings as a storefront sends them: words, category pages, filters, always with facets."""
    tree = get_json(f"{env.query}/v1/categories/tree")["nodes"]
    paths = [n["path"] for n in tree] + [c["path"] for n in tree for c in n["children"]]
    brands = [v["value"] for v in get_json(f"{env.query}/v1/search?size=0&facets=brand&facet_size=50")["facets"]["brand"]["values"]]
    result = []
    for _ in range(count):
        pairs = [("facets", "brand,category,price"), ("size", "20")]
        if rng.random() < 0.7:
            pairs.append(("q", rng.choice(WORDS)))
        else:
            pairs.append(("category", rng.choice(paths)))
        if rng.random() < 0.3:
            pairs.append(("brand", rng.choice(brands)))
        if rng.random() < 0.3:
            low = rng.choice([1000, 10000, 50000, 200000])
            pairs.append(("price", f"{low}..{low * 5}"))
        if rng.random() < 0.2:
            pairs.append(("in_stock", "true"))
        if rng.random() < 0.2:
            pairs.append(("sort", rng.choice(["price:asc", "newest"])))
        result.append(urllib.parse.urlencode(pairs))
    return result


def lists(env, rng, count=200):
    """Query strings of the cheapest pages that there are: a category in some order, without words and facets."""
    tree = get_json(f"{env.query}/v1/categories/tree")["nodes"]
    paths = [c["path"] for n in tree for c in n["children"]]
    return [urllib.parse.urlencode([("category", rng.choice(paths)), ("sort", rng.choice(["price:asc", "newest"])), ("size", "20")])
            for _ in range(count)]


def recorded(env, count, seed, make=searches):
    """(searches that cost one request, these requests, how many were left out): as the query-api asks Elasticsearch."""
    asked, strings, requests, left_out = [], [], [], 0
    forwarder = Forwarder(env.es, lambda *request: asked.append(request))
    query = env.program("query-api", {"READSIDE_QUERY_API_CACHE_BYTES": "0", "READSIDE_ELASTICSEARCH_URL": forwarder.url}).wait_ready()
    env.query = query.url
    until(lambda: all(call(f"{query.url}/v1/categories/tree")[0] == 200 for _ in range(8)), 30, "categories on every loop")
    rng = random.Random(seed)
    while len(strings) < count:
        for string in make(env, rng, count - len(strings)):
            asked.clear()
            get_json(f"{query.url}/v1/search?{string}")
            mine = [(method, path, body.decode()) for method, path, body in of_products(asked)]
            if len(mine) == 1:
                strings.append(string)
                requests.append(mine[0])
            else:
                left_out += 1
    query.stop()
    forwarder.close()
    return strings, requests, left_out


def overhead(direct, through, args):
    """Half of the searches take so many milliseconds more through the query-api, over one connection. Both sides are asked the same
    searches, ten in a row as a storefront asks and each time the other side first, so that both have the same moments of the machine.
    It is the median of the differences search by search: that of one side's p50 from the other's changes by more from run to run."""
    sides, seen, in_a_row = (direct, through), ([], []), 10
    clients = [Connection(url) for url, _ in sides]
    for n in range(2 * args.rounds):
        for first in range(0, len(direct[1]), in_a_row):
            for i in (0, 1) if (n + first // in_a_row) % 2 else (1, 0):
                for request in sides[i][1][first:first + in_a_row]:
                    seen[i].append(clients[i].milliseconds(*request))
    for client in clients:
        client.close()
    p50 = [percentile(one, 50) for one in seen]
    between = median([b - a for a, b in zip(*seen)])
    say(f"one search after the other: p50 {p50[0]:.2f} ms directly, {p50[1]:.2f} ms through the query-api; median of the differences {between:.2f} ms")
    return round(between, 3)


def suggest(env, args, plain):
    """The beginnings of words as they are typed: p99 without the cache, and with it."""
    begun = list(dict.fromkeys(word[:n] for word in WORDS for n in range(1, len(word) + 1)))
    requests = [("GET", "/v1/suggest?" + urllib.parse.urlencode({"q": q}), None) for q in begun]
    ask_each(plain.url, requests)
    uncached = wrk(plain.url, requests, 1, args.seconds)
    query = ready(env, {"READSIDE_QUERY_API_CACHE_FRESH": "600s"})
    for _ in range(4):  # each loop has a cache of its own
        ask_each(query.url, requests)
    cached = wrk(query.url, requests, 1, args.seconds)
    query.stop()
    if uncached["errors"] or cached["errors"]:
        raise RuntimeError(f"errors: {uncached['errors']} without the cache, {cached['errors']} with it")
    table(f"{len(begun)} beginnings of words, 1 connection",
          [[name, f"{one['rate']:.0f}", f"{one['p50_ms']:.2f}", f"{one['p99_ms']:.2f}"] for name, one in (("no cache", uncached), ("cached", cached))],
          ["suggest", "requests/s", "p50 ms", "p99 ms"])
    return {"suggest_p99_ms": round(uncached["p99_ms"], 2), "suggest_cached_p99_ms": round(cached["p99_ms"], 2)}


def run(env, args):
    env.load_and_project()
    strings, requests, left_out = recorded(env, 200, args.seed)
    say(f"{left_out} searches asked Elasticsearch twice and are left out")
    plain = {"READSIDE_QUERY_API_CACHE_BYTES": "0"}
    query = ready(env, plain)
    direct = (env.es, requests)
    through = (query.url, [("GET", "/v1/search?" + s, None) for s in strings])
    rows, result = side_by_side(direct, through, args, "direct")
    table(f"{len(strings)} searches with 3 facets over {args.products:,} products, in turns", rows,
          ["side, connections", "searches/s", "p50 ms", "p99 ms"])
    return {"throughput_ratio": result["throughput_ratio_8"],
            "p50_overhead_ms": overhead(direct, through, args), **result, "asked_twice": left_out, "rss_mib": round(query.peak_mib(), 1),
            **suggest(env, args, query), "allocations_per_request": round(allocations(env, plain, through[1]), 1)}
