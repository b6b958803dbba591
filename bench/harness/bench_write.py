"""Product writes/s and import lines/s through the write-api, beside the plain driver (mongo-c-driver) doing the same
inserts in one process. The sides alternate; every round starts with an empty collection."""
import json
import os
import subprocess
import tempfile
import time

from harness.environment import BUILD, VAR, median, say, table
from harness.wrk import wrk

WRITERS = 8


def generate(args, what, path, products):
    with open(path, "wb") as f:
        subprocess.run([os.path.join(BUILD, "bin/catalogue"), what, "--products", str(products), "--seed", str(args.seed)],
                       stdout=f, check=True)


def plain(env, mode, threads, path, seconds=None):
    command = [os.path.join(BUILD, "bin/plain_insert"), env.servers["READSIDE_MONGO_URI"], "readside_plain", mode,
               str(threads), path] + ([str(seconds)] if seconds else [])
    result = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return result["documents"] / result["seconds"]


def fresh(env):
    """Both collections empty, with the same indexes."""
    client = env.mongo()
    client.readside.products.delete_many({})
    client.drop_database("readside_plain")
    client.readside_plain.products.create_index("categories")
    client.readside_plain.products.create_index("variants.sku", unique=True,
                                                partialFilterExpression={"variants.sku": {"$exists": True}})


def import_rate(write, path, lines):
    begun = time.monotonic()
    text = subprocess.run(["curl", "-fsS", "--noproxy", "*", "-X", "POST", "-T", path, "-H", "Content-Type: application/x-ndjson",
                           f"{write.url}/v1/products:import?results=errors"], stdout=subprocess.PIPE, check=True).stdout
    seconds = time.monotonic() - begun
    summary = json.loads(text.splitlines()[-1])["summary"]
    if summary["failed"] or summary["lines"] != lines:
        raise RuntimeError(f"the import answered {summary}")
    return lines / seconds


def run(env, args):
    write = env.program("write-api").wait_ready()
    env.mongo().readside_bench.state.delete_one({"_id": "catalogue"})  # the products are dropped below
    with tempfile.TemporaryDirectory(dir=VAR) as folder:
        path, categories = os.path.join(folder, "products.ndjson"), os.path.join(folder, "categories.ndjson")
        generate(args, "products", path, args.products)
        generate(args, "categories", categories, args.products)
        with open(categories) as f:
            for line in f:
                subprocess.run(["curl", "-sS", "--noproxy", "*", "-o", os.devnull, "-H", "Content-Type: application/json", "-d", line,
                                f"{write.url}/v1/categories"], check=True)
        with open(path) as f:
            lines = [line.rstrip("\n") for line in f]
        posts = [("POST", "/v1/products", line) for line in lines]
        figures = {"posts": [], "one": [], "import": [], "bulk": []}
        for n in range(args.rounds + 1):
            fresh(env)
            one = plain(env, "one", WRITERS, path, args.seconds)
            result = wrk(write.url, posts, WRITERS, args.seconds)
            if result["errors"]:
                raise RuntimeError(f"{result['errors']} of {result['requests']} posts failed")
            fresh(env)
            bulk = plain(env, "bulk", 1, path)
            imported = import_rate(write, path, len(lines))
            if n == 0:
                continue  # warm-up
            for key, value in (("one", one), ("posts", result["rate"]), ("bulk", bulk), ("import", imported)):
                figures[key].append(value)
            say(f"round {n}: posts {result['rate']:,.0f}/s (driver {one:,.0f}), import {imported:,.0f} lines/s (driver {bulk:,.0f})")
        env.mongo().drop_database("readside_plain")
    rows = [["POST /v1/products, 8 connections", f"{median(figures['posts']):,.0f}", f"{median(figures['one']):,.0f}"],
            ["POST /v1/products:import, one stream", f"{median(figures['import']):,.0f}", f"{median(figures['bulk']):,.0f}"]]
    table(f"writes of the catalogue's products ({args.products:,}), medians of {args.rounds}", rows, ["", "ours/s", "plain driver/s"])
    ratio = lambda a, b: round(median([x / y for x, y in zip(figures[a], figures[b])]), 3)
    return {"posts_per_s": round(median(figures["posts"])), "driver_inserts_per_s": round(median(figures["one"])),
            "post_ratio": ratio("posts", "one"), "import_lines_per_s": round(median(figures["import"])),
            "driver_bulk_per_s": round(median(figures["bulk"])), "import_ratio": ratio("import", "bulk"),
            "rss_mib": round(write.peak_mib(), 1)}
