"""bench/run NAME [options]: a table for people, and a last line of JSON for machines."""
import argparse
import importlib
import json
import sys

BENCHES = {
    "sync": "first full projection, beside a replay of the same bulk bodies by curl; with MONSTACHE=binary beside it",
    "lag": "100 updates/s: commit -> indexed",
    "updates": "50,000 updates at once, and hot products; with MONSTACHE=binary beside it",
    "fanout": "a category with half of the products is moved, under live changes",
    "scale": "a million products: memory, restart, verify (with --products 1000000 --rounds 1)",
    "search": "the same Elasticsearch query directly and through the query-api",
    "instantsearch": "a page of five InstantSearch queries, beside the five searches as one _msearch",
    "search-cached": "searches as visitors repeat them, from the cache, beside nginx proxy_cache before Elasticsearch",
    "search-fastapi": "the same Elasticsearch query through the query-api and through FastAPI with elasticsearch-py",
    "search-1m": "whole pages with six facets, beside one query per chosen facet over nested attributes (with --products 1000000)",
    "relevance": "NDCG@10 of judged searches, beside plain Elasticsearch queries",
    "spike": "50 to 5,000 requests/s within a second, and three times the load that can be carried",
    "write": "product writes and import lines, beside the plain driver",
}


def main():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("name", choices=BENCHES, metavar="NAME",
                        help="; ".join(f"{k}: {v}" for k, v in BENCHES.items()))
    parser.add_argument("--products", type=int, default=200000, help="catalogue size (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds; medians are reported (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="length of one load phase (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the catalogue (default %(default)s)")
    parser.add_argument("--data", help="relevance: folder with products.ndjson.gz and judgements.csv")
    parser.add_argument("--lean", action="store_true",
                        help="sync, updates: a mapping that makes Elasticsearch keep documents and index next to nothing of them")
    parser.add_argument("--shards", type=int, default=1, help="search-1m: of the indexes of products (default %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit 1 if a figure misses its bar (bars.py)")
    parser.add_argument("--keep", action="store_true", help="leave the servers running for the next bench")
    args = parser.parse_args()
    from harness.bars import missed
    from harness.environment import Environment
    bench = importlib.import_module(f"harness.bench_{args.name.replace('-', '_')}")
    with Environment(args) as env:
        result = bench.run(env, args)
    misses = missed(args.name, args, result)
    print(json.dumps({"bench": args.name, "products": args.products, **({"lean": True} if args.lean else {}),
                      **({"shards": args.shards} if args.shards > 1 else {}), **result, "missed": misses}))
    return 1 if misses and args.check else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
