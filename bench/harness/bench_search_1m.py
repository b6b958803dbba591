"""Whole pages: a query or a category or the home page, some filters chosen, twenty hits and six facets. Beside it the same
pages as Searchkit asks for them: one search for the hits and one more for each facet with a choice, in one _msearch, over
attributes as nested {name, value} in an index of their own, which is made from the same documents. No cache of answers on
either side: Elasticsearch keeps those of searches without hits, unless it is told not to."""
import json
import random
import urllib.parse

from harness.bench_search import WORDS
from harness.bench_search_cached import zipf
from harness.environment import Connection, ask_each, call, get_json, median, percentile, ready, say, table
from harness.wrk import wrk

FACETS = ("brand", "category", "price", "in_stock", "attr.color", "attr.material")
ATTRIBUTES = ("color", "material")
COLORS = ("black", "white", "blue", "red", "gray")
OTHER = "products-nested-attributes"
PAGES, CACHED_CONNECTIONS = 300, 16
FIELDS = ["name.ko^3", "name.en^3", "brand", "description.ko", "description.en"]
SCRIPT = """
def places = new ArrayList(); places.add(ctx._source);
if (ctx._source.variants != null) places.addAll(ctx._source.variants);
def seen = new HashSet();
for (place in places) {
  if (place.attrs != null) for (term in place.attrs) seen.add(term);
  if (place.code_attrs != null) for (term in place.code_attrs) seen.add(term);
}
def made = new ArrayList();
for (term in seen) { int at = term.indexOf('='); made.add(['name': term.substring(0, at), 'value': term.substring(at + 1)]); }
ctx._source.attributes = made; ctx._source.remove('attrs'); ctx._source.remove('code_attrs'); ctx._source.remove('numbers'); ctx._source.remove('variants');
ctx._source.remove('flat'); ctx._source.remove('varied'); ctx._source.remove('codes');
"""


def pages(env, rng):
    """(kind, {parameter: [values]})"""
    tree = get_json(f"{env.query}/v1/categories/tree")["nodes"]
    paths = [n["path"] for n in tree] + [c["path"] for n in tree for c in n["children"]]
    brands = [v["value"] for v in get_json(f"{env.query}/v1/search?size=0&facets=brand&facet_size=30")["facets"]["brand"]["values"]]
    made = []
    for _ in range(PAGES):
        kind = rng.choices(("text", "category", "home"), (60, 30, 10))[0]
        page = {"q": [rng.choice(WORDS)]} if kind == "text" else {"category": [rng.choice(paths)]} if kind == "category" else {}
        if kind != "home":
            if rng.random() < 0.3:
                page["brand"] = rng.sample(brands, rng.randint(1, 2))
            if rng.random() < 0.3:
                low = rng.choice([1000, 10000, 50000, 200000])
                page["price"] = [f"{low}..{low * 5}"]
            if rng.random() < 0.2:
                page["attr.color"] = [rng.choice(COLORS)]
            if rng.random() < 0.2:
                page["in_stock"] = ["true"]
        made.append((kind, page))
    return made


def ours(page):
    return "/v1/search?" + urllib.parse.urlencode([("facets", ",".join(FACETS)), ("size", "20")] + [(k, v) for k, vs in page.items() for v in vs])


# ---- the other side ----

def clause(key, values):
    if key == "price":
        low, high = values[0].split("..")
        return {"range": {"price_min": {"gte": int(low), "lte": int(high)}}}
    if key.startswith("attr."):
        return {"nested": {"path": "attributes", "query": {"bool": {"filter": [
            {"term": {"attributes.name": key[5:]}}, {"terms": {"attributes.value": values}}]}}}}
    field = {"brand": "brand", "category": "category_paths", "in_stock": "in_stock"}[key]
    return {"terms": {field: [v == "true" for v in values] if key == "in_stock" else values}}


def aggregation(facet):
    if facet.startswith("attr."):
        return {"nested": {"path": "attributes"}, "aggs": {"own": {"filter": {"term": {"attributes.name": facet[5:]}}, "aggs": {
            "values": {"terms": {"field": "attributes.value", "size": 10}}}}}}
    if facet == "price":
        return {"stats": {"field": "price_min"}}
    return {"terms": {"field": {"brand": "brand", "category": "category_paths", "in_stock": "in_stock"}[facet],
                      "size": 1000 if facet == "category" else 10}}


def words(q):
    fuzzy = {"query": q, "fields": FIELDS, "fuzziness": "AUTO:4,8"}
    return {"bool": {"should": [{"multi_match": fuzzy}, {"multi_match": {**fuzzy, "operator": "and"}},
                                {"multi_match": {"query": q, "fields": FIELDS, "type": "phrase"}}]}}


def theirs(page):
    """The body of one _msearch."""
    def search(skipped, size, facets):
        query = {"bool": {"filter": [clause(k, v) for k, v in page.items() if k not in ("q", skipped)]}}
        if "q" in page:
            query["bool"]["must"] = words(page["q"][0])
        return {"size": size, "query": query, "track_total_hits": True, "aggs": {f: aggregation(f) for f in facets},
                **({"highlight": {"fields": {"name.*": {}}}} if size and "q" in page else {})}

    searches = [search(None, 20, FACETS)] + [search(k, 0, [k]) for k in page if k in FACETS]
    return "".join('{"request_cache":false}\n' + json.dumps(s, ensure_ascii=False) + "\n" for s in searches)


def make_other(env, products):
    made = get_json(f"{env.es}/{env.index()}")
    made = made[next(iter(made))]
    shards = made["settings"]["index"]["number_of_shards"]
    if env.count(OTHER) == products and f'"{shards}"' in json.dumps(get_json(f"{env.es}/{OTHER}/_settings/index.number_of_shards")):
        return
    call(f"{env.es}/{OTHER}", "DELETE")
    mappings = made["mappings"]
    mappings.pop("_meta", None)
    for gone in ("variants", "flat", "attrs", "code_attrs", "numbers", "varied", "codes"):
        mappings["properties"].pop(gone, None)
    mappings["dynamic"] = False
    mappings["properties"]["attributes"] = {"type": "nested", "properties": {"name": {"type": "keyword"}, "value": {"type": "keyword"}}}
    settings = {"analysis": made["settings"]["index"].get("analysis", {}), "number_of_shards": shards, "number_of_replicas": 0, "refresh_interval": "-1"}
    get_json(f"{env.es}/{OTHER}", "PUT", {"settings": {"index": settings}, "mappings": mappings})
    body = {"source": {"index": "products", "size": 2000}, "dest": {"index": OTHER}, "script": {"source": SCRIPT}}
    answer = get_json(f"{env.es}/_reindex?refresh=true", "POST", body, timeout=3600)
    if answer["failures"] or answer["total"] != products:
        raise RuntimeError(f"the copy of the index failed: {str(answer)[:500]}")


def milliseconds(url, requests):
    client = Connection(url)
    seen = [client.milliseconds(*request) for request in requests]
    client.close()
    return seen


def run(env, args):
    env.load_and_project()
    say("the same documents with nested attributes")
    make_other(env, args.products)
    for index in ("products", OTHER):
        get_json(f"{env.es}/{index}/_forcemerge?max_num_segments=1", "POST", timeout=3600)
    plain = ready(env, {"READSIDE_QUERY_API_CACHE_BYTES": "0"})
    env.query = plain.url
    rng = random.Random(args.seed)
    made = pages(env, rng)
    sides = {"query-api": (plain.url, [("GET", ours(p), None) for _, p in made]),
             "Searchkit": (env.es, [("POST", f"/{OTHER}/_msearch", theirs(p)) for _, p in made])}
    seen = {name: [] for name in sides}
    for side in sides.values():
        milliseconds(*side)
    for n in range(args.rounds):
        for name, side in sides.items():
            seen[name].append(milliseconds(*side))
        say(f"round {n + 1}: " + ", ".join(f"{name} {sum(s[-1]) / PAGES:.1f} ms" for name, s in seen.items()))
    figures = {name: {"p50": median([percentile(s, 50) for s in ones]), "p99": median([percentile(s, 99) for s in ones]),
                      "mean": median([sum(s) / len(s) for s in ones])} for name, ones in seen.items()}
    cached = ready(env, {"READSIDE_QUERY_API_CACHE_BYTES": "64m", "READSIDE_QUERY_API_CACHE_FRESH": "600s"})
    gets = sides["query-api"][1]
    for _ in range(4):
        ask_each(cached.url, gets)
    order = zipf(rng, PAGES, 20000)
    rate = median([wrk(cached.url, gets, CACHED_CONNECTIONS, args.seconds, order)["rate"] for _ in range(args.rounds)])
    table(f"{PAGES} pages (60% text, 30% category, 10% home) with {len(FACETS)} facets over {args.products:,} products, medians of {args.rounds}",
          [[name, f"{f['p50']:.1f}", f"{f['p99']:.1f}", f"{f['mean']:.1f}"] for name, f in figures.items()], ["side", "p50 ms", "p99 ms", "mean ms"])
    kinds = {name: {kind: round(median([t for s in ones for t, (k, _) in zip(s, made) if k == kind]), 1) for kind in ("text", "category", "home")}
             for name, ones in seen.items()}
    a, b = figures["query-api"], figures["Searchkit"]
    return {"p50_ms": round(a["p50"], 1), "p99_ms": round(a["p99"], 1), "mean_ms": round(a["mean"], 1), "searchkit_p50_ms": round(b["p50"], 1),
            "searchkit_p99_ms": round(b["p99"], 1), "searchkit_mean_ms": round(b["mean"], 1), "ratio_to_searchkit": round(b["mean"] / a["mean"], 2),
            "p50_ms_by_kind": kinds["query-api"], "searchkit_p50_ms_by_kind": kinds["Searchkit"], "cached_rate": round(rate)}
