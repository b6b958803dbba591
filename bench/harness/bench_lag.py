"""100 updates/s against the whole catalogue: how long after its commit is a change in the index? Measured from
outside: the moment the majority write is acknowledged until a realtime _mget shows the new price. And, in a round of its
own, until a search shows it: the projector has the index refreshed within [projector] searchable_within."""
import json
import random
import threading
import time

from harness.bench_sync import indexed
from harness.environment import Connection, get_json, median, percentile, say, table, until

RATE = 100
WITHIN = "1s"


class Watch:
    """Polls the documents that are under way; the time a change is seen is late by one poll at most."""
    PAUSE = 0

    def __init__(self, env):
        self.connection = Connection(env.es)
        self.lock = threading.Lock()
        self.waiting = {}
        self.lags = []
        self.polls = []
        self.stopped = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def ask(self, ids):
        status, text = self.connection.ask("POST", "/products/_mget?_source_includes=price_min,price_max&realtime=true",
                                           json.dumps({"ids": ids}))
        return json.loads(text)["docs"] if status == 200 else []

    def add(self, product, price, committed):
        with self.lock:
            self.waiting[product] = (price, committed)

    def _run(self):
        while not self.stopped:
            with self.lock:
                waiting = dict(self.waiting)
            if not waiting:
                time.sleep(0.0005)
                continue
            begun = time.monotonic()
            documents = self.ask(list(waiting))
            seen = time.monotonic()
            self.polls.append(seen - begun)
            for document in documents:
                price, committed = waiting[document["_id"]]
                if price in (document.get("_source", {}).get("price_min"), document.get("_source", {}).get("price_max")):
                    self.lags.append(max(0.0, seen - committed))
                    with self.lock:
                        if self.waiting.get(document["_id"]) == (price, committed):
                            del self.waiting[document["_id"]]
            time.sleep(self.PAUSE)

    def close(self):
        self.stopped = True
        self.thread.join()


class SearchWatch(Watch):
    """The same, as a search sees it. A refresh shows all that was written before it: while the oldest change is not to be
    seen the others are not asked for, so that the looking costs the server little beside what is looked at."""
    PAUSE = 0.005

    def search(self, ids):
        question = {"size": len(ids), "query": {"ids": {"values": ids}}, "_source": ["price_min", "price_max"], "track_total_hits": False}
        status, text = self.connection.ask("POST", "/products/_search?request_cache=false", json.dumps(question))
        return json.loads(text)["hits"]["hits"] if status == 200 else []

    def ask(self, ids):
        with self.lock:
            price, _ = self.waiting[ids[0]]
        oldest = self.search(ids[:1])
        seen = oldest and price in (oldest[0]["_source"].get("price_min"), oldest[0]["_source"].get("price_max"))
        return self.search(ids) if seen else []


def measure(env, products, watch, seconds, rng):
    """Updates at a steady rate; an id is used again only when its last change was seen."""
    begun = time.monotonic()
    first = len(watch.lags)
    for n in range(int(RATE * seconds)):
        time.sleep(max(0.0, begun + n / RATE - time.monotonic()))
        product = rng.choice(IDS)
        if product in watch.waiting:
            continue
        price = rng.randrange(1_000_000_000, 2_000_000_000)
        products.update_one({"_id": product}, {"$set": {"price": price}, "$inc": {"version": 1}})
        watch.add(product, price, time.monotonic())
    until(lambda: not watch.waiting, 30, "end of the lag phase", 0.01)
    return watch.lags[first:]


def searchable(env, products, seconds, rng):
    watch = SearchWatch(env)
    seen = measure(env, products, watch, seconds, rng)
    watch.close()
    return [percentile(seen, p) * 1000 for p in (50, 99)]


def by_itself(env, projector):
    """The same index, which refreshes itself every second now, and a projector that leaves that to it."""
    projector.stop()
    env.projector({"READSIDE_PROJECTOR_SEARCHABLE_WITHIN": "0"}).wait_ready()
    get_json(f"{env.es}/{env.index()}/_settings", "PUT", {"index": {"refresh_interval": WITHIN}})


IDS = []


def run(env, args):
    env.load(env.program("write-api").wait_ready())
    env.forget_projection()
    projector = env.projector({"READSIDE_PROJECTOR_SEARCHABLE_WITHIN": WITHIN})
    say("projecting the catalogue")
    until(lambda: indexed(projector) >= args.products, 600, "end of the projection", 0.1)
    projector.wait_ready()
    env.settle(projected=True)
    products = env.mongo().readside.products
    # Products without variants: their price is the document's price.
    IDS.extend(d["_id"] for d in products.find({"variants.0": {"$exists": False}}, {"_id": 1}).limit(50000))
    rng = random.Random(args.seed)
    watch = Watch(env)
    measure(env, products, watch, 5, rng)
    rounds = []
    for n in range(args.rounds):
        rounds.append(measure(env, products, watch, max(args.seconds, 20), rng))
        say(f"round {n + 1}: p50 {percentile(rounds[-1], 50) * 1000:.1f} ms, p99 {percentile(rounds[-1], 99) * 1000:.1f} ms of {len(rounds[-1])}")
    watch.close()
    seconds = max(args.seconds, 20)
    ours = searchable(env, products, seconds, rng)
    by_itself(env, projector)
    own = searchable(env, products, seconds, rng)
    env.mongo().readside_bench.state.delete_one({"_id": "catalogue"})  # prices are no longer the catalogue's
    p50, p99 = (median([percentile(r, p) * 1000 for r in rounds]) for p in (50, 99))
    poll = percentile(watch.polls, 50) * 1000
    table(f"{RATE} updates/s against {args.products:,} products, medians of {args.rounds}",
          [["commit -> indexed", f"{p50:.1f}", f"{p99:.1f}"], ["(of which up to one poll of the watcher)", f"{poll:.1f}", ""],
           [f"commit -> searchable, one round, searchable_within {WITHIN}", f"{ours[0]:.0f}", f"{ours[1]:.0f}"],
           [f"the same, the index refreshing itself every {WITHIN}", f"{own[0]:.0f}", f"{own[1]:.0f}"]],
          ["", "p50 ms", "p99 ms"])
    return {"rate": RATE, "p50_ms": round(p50, 2), "p99_ms": round(p99, 2), "poll_p50_ms": round(poll, 2),
            "searchable_p50_ms": round(ours[0], 1), "searchable_p99_ms": round(ours[1], 1),
            "own_refresh_p50_ms": round(own[0], 1), "own_refresh_p99_ms": round(own[1], 1), "searchable_within_ms": int(WITHIN.removesuffix("s")) * 1000}
