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

# What coordinate ascent tries of each weight, beside the program's default (query-api --help).
OPTIONS = {"rank_description": (100, 150, 300), "rank_brand": (40, 100), "rank_joined": (5, 40), "rank_attribute": (0, 50),
           "rank_tie": (10, 40), "rank_accessory": (0, 100, 600), "rank_type": (0, 200, 800), "rank_brand_asked": (0, 200, 1000)}
LEAST_GAIN = 0.002  # what a weight must win to be chosen: below it, one search moved
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


class Trials:
    """NDCG of every search under some weights, each set of weights measured once."""

    def __init__(self, env, judged):
        self.env, self.judged, self.scores = env, judged, {}

    def of(self, weights):
        key = tuple(sorted(weights.items()))
        if key not in self.scores:
            self.scores[key] = self._measure(weights)
            say(f"{weights or 'defaults'}: {mean(self.scores[key].values()):.4f}")
        return self.scores[key]

    def _measure(self, weights):
        settings = {f"READSIDE_QUERY_API_{name.upper()}": str(value) for name, value in weights.items()}
        api = self.env.program("query-api", {"READSIDE_QUERY_API_SEARCH_TIMEOUT": "30s", **settings}).wait_ready()
        try:
            def find(query):
                reply = get_json(f"{api.url}/v1/search?" + urllib.parse.urlencode({"q": query, "size": 10}))
                return [hit["id"] for hit in reply["hits"]]
            return measure(find, self.judged)
        finally:
            api.stop()

    def assert_options_reach(self):
        """Every option that is tried changes some search, by one of its values."""
        for name, values in OPTIONS.items():
            if all(self.of({name: value}) == self.of({}) for value in values):
                raise RuntimeError(f"{name} changes no search: it does not reach the query-api")

    def ascend(self, queries):
        """From the defaults on, one weight after the other, until none wins anything more on these searches."""
        def gained(weights):
            scores = self.of(weights)
            return mean(scores[query] for query in queries)
        chosen, best, moved = {}, gained({}), True
        while moved:
            moved = False
            for name, values in OPTIONS.items():
                for value in values:
                    tried = {**chosen, name: value}
                    if (score := gained(tried)) > best + LEAST_GAIN:
                        chosen, best, moved = tried, score, True
        return chosen


def cross_validate(trials, queries, seed):
    """Every fold is scored with the weights that the other folds choose: what to expect of searches not seen."""
    shuffled = sorted(queries)
    random.Random(seed).shuffle(shuffled)
    held_out, chosen = {}, []
    for fold in (shuffled[n::FOLDS] for n in range(FOLDS)):
        chosen.append(trials.ascend([query for query in shuffled if query not in fold]))
        held_out.update({query: trials.of(chosen[-1])[query] for query in fold})
    return mean(held_out.values()), chosen


def run(env, args):
    folder = args.data or os.environ.get("READSIDE_RELEVANCE_DATA")
    if not folder:
        sys.exit("bench: relevance needs --data FOLDER with products.ndjson.gz and judgements.csv")
    judged = read_judgements(folder)
    args.products = load(env, folder)
    plain = {kind: mean(measure(ask_plain(env, kind), judged).values()) for kind in ("best_fields", "cross_fields")}
    trials = Trials(env, judged)
    trials.assert_options_reach()
    defaults = trials.of({})
    validated, chosen = cross_validate(trials, judged, args.seed)
    best = trials.ascend(list(judged))
    known = mean(max(trial[query] for trial in trials.scores.values()) for query in judged)
    rows = [[f"plain Elasticsearch, {kind}", f"{value:.3f}"] for kind, value in plain.items()]
    rows += [["query-api", f"{mean(defaults.values()):.3f}"], [f"weights of {FOLDS}-fold cross-validation, held out", f"{validated:.3f}"],
             ["weights chosen on all searches", f"{mean(trials.of(best).values()):.3f}"],
             [f"best of {len(trials.scores)} weightings for each search", f"{known:.3f}"]]
    rows += [[f"  fold {n + 1}: {weights or 'defaults'}", ""] for n, weights in enumerate(chosen)]
    rows += [[f"  {query}", f"{value:.3f}"] for query, value in sorted(defaults.items(), key=lambda item: item[1])]
    table(f"NDCG@10, {len(judged)} searches over {args.products:,} products; then by search", rows, ["", "NDCG@10"])
    return {"ndcg10": round(mean(defaults.values()), 4), "ndcg10_cross_validated": round(validated, 4),
            "ndcg10_chosen_on_all": round(mean(trials.of(best).values()), 4), "ndcg10_best_of_each": round(known, 4),
            "ndcg10_best_fields": round(plain["best_fields"], 4), "ndcg10_cross_fields": round(plain["cross_fields"], 4),
            "queries": len(judged), "chosen_by_fold": chosen, "chosen_on_all": best}
