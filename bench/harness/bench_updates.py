"""50,000 updates as fast as MongoDB takes them, until the index has them all; and hot products, which coalesce. The
ceiling: the bulk bodies of such a burst, replayed by curl over 4 connections into a copy of the index, with no writer beside.
With MONSTACHE=/path/to/monstache the same updates once more with monstache following, each alone."""
import json
import os
import random
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from harness.bench_fanout import CEILING, copy_index, copyable, replay, to
from harness.bench_sync import indexed, post_all
from harness.environment import VAR, call, get_json, median, say, table, until
from harness.monstache import INDEX as MONSTACHE_INDEX, monstache
from harness.recorder import Recorder

UPDATES = 50000
BATCH = 1000
HOT_PRODUCTS, HOT_UPDATES = 100, 1000


def flat_ids(env, count):
    """Products without variants: their price is the document's price."""
    found = env.mongo().readside.products.find({"variants.0": {"$exists": False}}, {"_id": 1}).limit(count)
    return [d["_id"] for d in found]


def write(env, ids, price):
    """All of them get the price: (seconds it took, moment of the last commit)."""
    import pymongo
    products = env.mongo().readside.products
    begun = time.monotonic()
    for at in range(0, len(ids), BATCH):
        products.bulk_write([pymongo.UpdateOne({"_id": i}, {"$set": {"price": price}, "$inc": {"version": 1}})
                             for i in ids[at:at + BATCH]], ordered=False)
    ended = time.monotonic()
    return ended - begun, ended


def has_price(env, index, field, ids, price):
    status, text = call(f"{env.es}/{index}/_mget?_source_includes={field}&realtime=true", "POST", {"ids": ids})
    return status == 200 and all(d.get("_source", {}).get(field) == price for d in json.loads(text)["docs"])


def follow(env, index, field, ids, price):
    """One burst: (updates/s written, seconds from the last commit until the last product is there, until all are)."""
    seconds, committed = write(env, ids, price)
    until(lambda: has_price(env, index, field, ids[-1:], price), 600, "last update in the index", 0.02)
    last = time.monotonic() - committed
    for at in range(0, len(ids), 5000):  # found by asking for each, not by a count
        until(lambda: has_price(env, index, field, ids[at:at + 5000], price), 600, "all updates in the index", 0.02)
    return len(ids) / seconds, last, len(ids) / (seconds + time.monotonic() - committed)


def hot(env, projector, rng):
    """Index writes that 100 products updated 1,000 times each cost."""
    import pymongo
    products = env.mongo().readside.products
    ids = flat_ids(env, HOT_PRODUCTS)
    before = indexed(projector)
    updates = [i for i in ids for _ in range(HOT_UPDATES)]
    rng.shuffle(updates)
    for at in range(0, len(updates), BATCH):
        products.bulk_write([pymongo.UpdateOne({"_id": i}, {"$set": {"price": at + k}, "$inc": {"version": 1}})
                             for k, i in enumerate(updates[at:at + BATCH])], ordered=False)
    prices = {d["_id"]: d["price"] for d in products.find({"_id": {"$in": ids}}, {"price": 1})}
    until(lambda: all(has_price(env, "products", "price_min", [i], p) for i, p in prices.items()), 60, "hot products", 0.05)
    return int(indexed(projector) - before)


def beside_writer(env, ids, price, bodies, definition):
    """The bodies from the first write on, whether or not their changes are written yet: seconds from the last commit until
    they are in the index. Nobody who sends what was written can be there before, with the same cores."""
    copy_index(env, CEILING, definition)
    try:
        env.settle()
        with ThreadPoolExecutor(1) as threads:
            ended = threads.submit(lambda: (post_all(env, to(CEILING, bodies)), time.monotonic())[1])
            committed = write(env, ids, price)[1]
            return max(0.0, ended.result() - committed)
    finally:
        call(f"{env.es}/{CEILING}", "DELETE")


def ceiling(env, ids, rounds):
    """Of Elasticsearch by itself: updates/s, and seconds behind the last commit with the writer beside it."""
    with tempfile.TemporaryDirectory(dir=VAR) as folder:
        recorder = Recorder(env.es, folder)
        projector = env.projector({"READSIDE_ELASTICSEARCH_URL": recorder.url}).wait_ready()
        follow(env, "products", "price_min", ids, 2_500_000_000)
        projector.stop()
        recorder.close()
        definition = copyable(env)
        alone = [len(ids) / replay(env, recorder.bodies, definition) for _ in range(rounds)]
        behind = [beside_writer(env, ids, 2_600_000_000 + n, recorder.bodies, definition) for n in range(rounds)]
        return median(alone), median(behind)


def peer(env, ids, rounds):
    """The same bursts with monstache following."""
    with monstache(env, 'change-stream-namespaces = ["readside.products"]') as process:
        price = [3_000_000_000]

        def follows():
            price[0] += 1
            write(env, ids[:1], price[0])
            time.sleep(0.5)
            return has_price(env, MONSTACHE_INDEX, "price", ids[:1], price[0])
        until(follows, 60, f"update in monstache's index (see {process.log_name})", 0.1)
        return [follow(env, MONSTACHE_INDEX, "price", ids, price[0] + n + 1) for n in range(rounds)]


def run(env, args):
    env.load(env.program("write-api").wait_ready())
    env.forget_projection()
    projector = env.projector()
    say("projecting the catalogue")
    until(lambda: indexed(projector) >= args.products, 600, "end of the projection", 0.1)
    projector.wait_ready()
    env.settle(projected=True)
    env.mongo().readside_bench.state.delete_one({"_id": "catalogue"})  # prices are no longer the catalogue's
    rng = random.Random(args.seed)
    count = UPDATES if args.products >= 200000 else args.products // 4  # a smaller catalogue has not as many flat products
    ids = flat_ids(env, count)
    if len(ids) < count:
        raise RuntimeError(f"{count} products without variants are needed, there are {len(ids)}")
    rng.shuffle(ids)
    rounds = []
    for n in range(args.rounds + 1):
        rounds.append(follow(env, "products", "price_min", ids, 2_000_000_000 + n))
        say(f"{f'round {n}' if n else 'warm-up'}: the last one indexed after {rounds[-1][1]:.2f} s, {rounds[-1][2]:,.0f} updates/s until all are there")
    del rounds[0]
    say("hot products")
    writes = hot(env, projector, rng)
    projector.stop()
    say("the same bulk bodies, replayed by curl")
    top, behind = ceiling(env, ids, args.rounds)
    others = peer(env, ids, args.rounds) if os.environ.get("MONSTACHE") else []
    rows, result = [["curl replay, 4 connections", "", "", f"{top:,.0f}"],
                    ["the same, with the writer beside it", "", f"{behind:.2f}", ""]], {}
    for name, found in (("projector", rounds), ("monstache", others)):
        if found:
            taken, last, rate = (median([r[i] for r in found]) for i in range(3))
            rows.append([name, f"{taken:,.0f}", f"{last:.2f}", f"{rate:,.0f}"])
            result[name] = rate
    table(f"{count:,} updates as fast as MongoDB takes them, medians of {args.rounds}", rows,
          ["", "written/s", "last one indexed after, s", "updates/s until all are there"])
    table("hot products", [[f"{HOT_PRODUCTS} products, {HOT_UPDATES:,} updates each", f"{writes:,}"]], ["", "index writes"])
    last = median([r[1] for r in rounds])
    return {"updates": count, "last_indexed_s": round(last, 3), "ceiling_last_indexed_s": round(behind, 3),
            "updates_per_s": round(result["projector"]),
            "ceiling_per_s": round(top), "ratio_to_ceiling": round(result["projector"] / top, 3), "hot_index_writes": writes,
            **({"monstache_per_s": round(result["monstache"]), "ratio_to_monstache": round(result["projector"] / result["monstache"], 2)}
               if others else {})}
