"""NDCG@10 of judged searches, beside plain Elasticsearch queries on the same index; weights by cross-validation.

--data FOLDER (or READSIDE_RELEVANCE_DATA) holds products.ndjson.gz, one product of a shop's feed per line ({id, name, title,
short_description, supplier, price, ean, attributes}), and judgements.csv (query,product_id,rating). Gain is 2^rating - 1, a
product without a judgement counts as 0, and the mean is over the searches that have a relevant product at all."""
import csv
import gzip
import json
import math
import os
import random
import re
import sys
import urllib.parse

from harness.environment import call, get_json, say, table, until

# One weight at a time beside the program's defaults (query-api --help), and the defaults themselves.
SETTINGS = [{}] + [{f"READSIDE_QUERY_API_RANK_{name.upper()}": str(value)} for name, values in (
    ("description", (100, 130, 300)), ("brand", (40, 100)), ("joined", (5, 40)), ("tie", (0, 10, 40)),
    ("accessory", (0, 100, 600))) for value in values]
FOLDS = 5
PLAIN_FIELDS = ["name.ko", "name.en", "description.ko", "description.en", "brand.text"]


def read_judgements(folder):
    judged = {}
    with open(os.path.join(folder, "judgements.csv"), encoding="utf-8", newline="") as f:
        for row in csv.DictReader(f):
            judged.setdefault(row["query"], {})[row["product_id"]] = float(row["rating"])
    return {query: ratings for query, ratings in judged.items() if max(ratings.values()) > 0}


def product(line):
    """A line of the feed as the write-api takes it."""
    feed = json.loads(line)
    attributes = {re.sub(r"[$.=\s]", "_", name)[:64]: value for name, value in feed.get("attributes", {}).items()}
    attributes["model"] = feed["name"]
    if feed.get("ean"):
        attributes["ean"] = feed["ean"]
    made = {"id": feed["id"], "name": {"en": feed["title"]}, "attributes": attributes}
    if feed.get("short_description"):
        made["description"] = {"en": feed["short_description"]}
    if feed.get("supplier"):
        made["brand"] = feed["supplier"]
    if isinstance(feed.get("price"), int):
        made["price"] = feed["price"]
    return json.dumps(made, ensure_ascii=False)


def load(env, folder):
    client = env.mongo()
    client.drop_database("readside")
    client.readside_bench.state.delete_many({})
    env.forget_projection()
    write_api = env.program("write-api").wait_ready()
    with gzip.open(os.path.join(folder, "products.ndjson.gz"), "rt", encoding="utf-8") as f:
        lines = [product(line) for line in f if line.strip()]
    say(f"loading {len(lines):,} products")
    for start in range(0, len(lines), 2000):
        body = ("\n".join(lines[start:start + 2000]) + "\n").encode()
        status, text = call(f"{write_api.url}/v1/products:import?results=errors", "POST", body, 300, "application/x-ndjson")
        if status != 200:
            raise RuntimeError(f"import: {status} {text[:500]!r}")
    projector = env.projector()
    until(lambda: env.count() >= len(lines), 900, "end of the projection", 0.5)
    projector.stop()
    write_api.stop()
    return len(lines)


def ndcg(ids, ratings, depth=10):
    def gain(ordered):
        return sum((2 ** rating - 1) / math.log2(place + 2) for place, rating in enumerate(ordered[:depth]))
    return gain([ratings.get(one, 0) for one in ids]) / gain(sorted(ratings.values(), reverse=True))


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def ask_plain(env, kind):
    def find(query):
        body = {"size": 10, "_source": False, "query": {"multi_match": {"query": query, "type": kind, "fields": PLAIN_FIELDS}}}
        return [hit["_id"] for hit in get_json(f"{env.es}/products/_search", "POST", body)["hits"]["hits"]]
    return find


def measure(find, judged):
    return {query: ndcg(find(query), ratings) for query, ratings in judged.items()}


def measure_settings(env, settings, judged):
    api = env.program("query-api", {"READSIDE_QUERY_API_SEARCH_TIMEOUT": "30s", **settings}).wait_ready()
    try:
        def find(query):
            reply = get_json(f"{api.url}/v1/search?" + urllib.parse.urlencode({"q": query, "size": 10}))
            return [hit["id"] for hit in reply["hits"]]
        return measure(find, judged)
    finally:
        api.stop()


def cross_validate(scores, judged, seed):
    """Every fold is scored with the settings that are best on the other folds: what to expect of searches not seen."""
    queries = sorted(judged)
    random.Random(seed).shuffle(queries)
    folds = [queries[n::FOLDS] for n in range(FOLDS)]
    held_out, chosen = {}, []
    for fold in folds:
        rest = [q for q in queries if q not in fold]
        best = max(range(len(scores)), key=lambda n: mean(scores[n][q] for q in rest))
        chosen.append(best)
        held_out.update({q: scores[best][q] for q in fold})
    return mean(held_out.values()), chosen


def run(env, args):
    folder = args.data or os.environ.get("READSIDE_RELEVANCE_DATA")
    if not folder:
        sys.exit("bench: relevance needs --data FOLDER with products.ndjson.gz and judgements.csv")
    judged = read_judgements(folder)
    args.products = load(env, folder)
    plain = {kind: mean(measure(ask_plain(env, kind), judged).values()) for kind in ("best_fields", "cross_fields")}
    scores = []
    for settings in SETTINGS:
        scores.append(measure_settings(env, settings, judged))
        say(f"{settings or 'defaults'}: {mean(scores[-1].values()):.4f}")
    if all(score == scores[0] for score in scores):
        raise RuntimeError("no setting changes any search: the weights do not reach the query-api")
    validated, chosen = cross_validate(scores, judged, args.seed)
    rows = [[f"plain Elasticsearch, {kind}", f"{value:.3f}"] for kind, value in plain.items()]
    rows += [["query-api", f"{mean(scores[0].values()):.3f}"], [f"query-api, {FOLDS}-fold cross-validation", f"{validated:.3f}"]]
    rows += [[f"  {query}", f"{value:.3f}"] for query, value in sorted(scores[0].items(), key=lambda item: item[1])]
    table(f"NDCG@10, {len(judged)} searches over {args.products:,} products; then by search", rows, ["", "NDCG@10"])
    return {"ndcg10": round(mean(scores[0].values()), 4), "ndcg10_cross_validated": round(validated, 4),
            "ndcg10_best_fields": round(plain["best_fields"], 4), "ndcg10_cross_fields": round(plain["cross_fields"], 4),
            "queries": len(judged), "chosen": [SETTINGS[n] for n in chosen]}
