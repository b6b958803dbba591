"""A page of InstantSearch.js with two brands, a price range and a category of the second level chosen: five queries in one
request, which the query-api folds into one search, or an _msearch of two. Beside it, the five searches that answer them one by one,
sent to Elasticsearch as one _msearch. These were recorded from the query-api, which was given each of the five queries alone. No cache of
answers on either side: neither the query-api's nor Elasticsearch's own, which keeps answers without hits until the index changes."""
import json
import random
import urllib.parse

from harness.environment import call, get_json, say, table, until
from harness.recorder import Forwarder, of_products
from harness.wrk import side_by_side

PATH = "/1/indexes/*/queries"
HEADER = '{"request_cache":false}\n'
FACETS = ["brand", "cat.lvl0", "cat.lvl1", "cat.lvl2", "in_stock", "price"]


def page(query, brands, low, high, root, leaf):
    """What algoliasearch-helper makes of this state: the query for the hits, then one for each facet without its own choice."""
    base = {"indexName": "products", "query": query, "maxValuesPerFacet": 10}
    side = {**base, "hitsPerPage": 0, "page": 0, "analytics": False, "clickAnalytics": False}
    brand, price = [f"brand:{b}" for b in brands], [f"price>={low}", f"price<={high}"]
    leaf, root = [f"cat.lvl1:{root} > {leaf}"], [f"cat.lvl0:{root}"]
    return [{**base, "facets": FACETS, "facetFilters": [brand, leaf], "numericFilters": price},
            {**side, "facets": "brand", "facetFilters": [leaf], "numericFilters": price},
            {**side, "facets": ["cat.lvl0", "cat.lvl1"], "facetFilters": [brand, root], "numericFilters": price},
            {**side, "facets": "price", "facetFilters": [brand, leaf]},
            {**side, "facets": ["cat.lvl0"], "facetFilters": [brand], "numericFilters": price}]


def with_header(body):
    """A search, or an _msearch, as a part of an _msearch."""
    return "".join(HEADER + line + "\n" for line in body.splitlines() if line != "{}")


def random_page(url, tree, rng):
    """Brands and prices that the category has; None if it has too few."""
    root = rng.choice([n for n in tree if n["children"]])
    leaf = rng.choice(root["children"])
    facets = get_json(f"{url}/v1/search?" + urllib.parse.urlencode({"category": leaf["path"], "size": 0, "facets": "brand,price"}))["facets"]
    brands, price = [v["value"] for v in facets["brand"]["values"]], facets["price"]
    if len(brands) < 2 or price["min"] is None or price["max"] <= price["min"]:
        return None
    span = price["max"] - price["min"]
    low = price["min"] + int(span * rng.uniform(0, 0.2))
    return page(rng.choice(["", leaf["name"]]), rng.sample(brands, 2), low, low + int(span * rng.uniform(0.3, 0.8)), root["name"], leaf["name"])


def wait_for_categories(url):
    """On every loop, which connections reach in turn."""
    until(lambda: all(call(f"{url}/v1/categories/tree")[0] == 200 for _ in range(16)), 30, "categories")


def recorded(env, count, seed):
    """(pages that cost one search, the five searches of each as one _msearch, how many pages were left out)."""
    asked, pages, batches, left_out = [], [], [], 0
    forwarder = Forwarder(env.es, lambda *request: asked.append(request))
    query = env.program("query-api", {"READSIDE_QUERY_API_CACHE_BYTES": "0", "READSIDE_ELASTICSEARCH_URL": forwarder.url}).wait_ready()
    wait_for_categories(query.url)
    tree = get_json(f"{query.url}/v1/categories/tree")["nodes"]
    rng = random.Random(seed)

    def searches(requests):
        asked.clear()
        results = get_json(query.url + PATH, "POST", {"requests": requests})["results"]
        return results, [body.decode() for _, _, body in of_products(list(asked))]

    while len(pages) < count:
        state = random_page(query.url, tree, rng)
        results, folded = searches(state) if state else ([], [])
        alone = [searches([one])[1] for one in state or []]
        if not state or results[0]["nbHits"] == 0 or len(folded) != 1 or any(len(one) != 1 for one in alone):
            left_out += 1
            continue
        pages.append(json.dumps({"requests": state}, ensure_ascii=False))
        batches.append("".join(with_header(one[0]) for one in alone))
    query.stop()
    forwarder.close()
    return pages, batches, left_out


def run(env, args):
    env.load_and_project()
    pages, batches, left_out = recorded(env, 200, args.seed)
    say(f"{left_out} pages had no hits, or asked Elasticsearch twice, and are left out")
    query = env.program("query-api", {"READSIDE_QUERY_API_CACHE_BYTES": "0"}).wait_ready()
    wait_for_categories(query.url)
    direct = (env.es, [("POST", "/products/_msearch", batch) for batch in batches])
    through = (query.url, [("POST", PATH, one) for one in pages])
    rows, result = side_by_side(direct, through, args, "_msearch of 5")
    table(f"{len(pages)} pages of 5 queries over {args.products:,} products, in turns", rows,
          ["side, connections", "pages/s", "p50 ms", "p99 ms"])
    return {"throughput_ratio": result["throughput_ratio_8"], **result,
            "left_out": left_out, "rss_mib": round(query.peak_mib(), 1)}
