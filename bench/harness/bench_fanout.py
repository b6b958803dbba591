"""A category with half of the catalogue's products is moved: how fast are they written again, and how long do live
changes take meanwhile? The ceiling: the same bulk bodies, replayed by curl over 4 connections into a copy of the index
that went through as much, with as many live changes beside it: none, or the same."""
import itertools
import os
import random
import tempfile
import threading
import time

from harness.bench_lag import IDS, Watch
from harness.bench_sync import indexed, post_all
from harness.environment import VAR, call, get_json, median, percentile, say, table, until
from harness.recorder import Recorder

LIVE_RATE = 50
LIVE_BEFORE = 2  # seconds
CEILING = "bench-ceiling"


class Look(Watch):
    """It pauses: the servers share their cores with it."""
    PAUSE = 0.002


def category(write_api, name, parent=None):
    body = {"name": {"en": name, "ko": name}, **({"parent_id": parent} if parent else {})}
    return get_json(f"{write_api.url}/v1/categories", "POST", body)["id"]


def move(env, write_api, moved, parent):
    """Seconds until the job that the move makes is done."""
    jobs = env.mongo().readside.projector_jobs
    known = {j["_id"] for j in jobs.find({"type": "fanout"}, {"_id": 1})}
    begun = time.monotonic()
    get_json(f"{write_api.url}/v1/categories/{moved}:move", "POST", {"parent_id": parent})
    until(lambda: jobs.find_one({"type": "fanout", "state": "done", "_id": {"$nin": list(known)}}), 600, "end of the fan-out", 0.02)
    return time.monotonic() - begun


class Live:
    """Updates of other products at a steady rate until closed."""

    def __init__(self, env, seed):
        self.products, self.rng = env.mongo().readside.products, random.Random(seed)
        self.watch, self.stopped = Look(env), False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        begun, n = time.monotonic(), 0
        while not self.stopped:
            n += 1
            time.sleep(max(0.0, begun + n / LIVE_RATE - time.monotonic()))
            product, price = self.rng.choice(IDS), random.randrange(1_000_000_000, 2_000_000_000)  # never one that it has
            if product not in self.watch.waiting:
                self.products.update_one({"_id": product}, {"$set": {"price": price}, "$inc": {"version": 1}})
                self.watch.add(product, price, time.monotonic())

    def close(self):
        self.stopped = True
        self.thread.join()
        until(lambda: not self.watch.waiting, 30, "end of the live updates", 0.01)
        self.watch.close()
        return self.watch.lags


def copy_index(env, index, definition):
    """The documents of the index in a new one of the same mapping, with versions of their own that are low."""
    call(f"{env.es}/{index}", "DELETE")
    get_json(f"{env.es}/{index}", "PUT", definition)
    get_json(f"{env.es}/_reindex?refresh=true", "POST", {"source": {"index": "products", "size": 5000}, "dest": {"index": index}}, 900)
    get_json(f"{env.es}/{index}/_forcemerge?max_num_segments=1", "POST", timeout=900)  # as the projector has it done with its own


def copyable(env):
    """The definition of the serving index, for copies of it."""
    index = env.index()
    definition = get_json(f"{env.es}/{index}")[index]
    settings = definition["settings"]["index"]
    return {"mappings": definition["mappings"], "settings": {"index": {"number_of_shards": 1, "number_of_replicas": 0,
            "refresh_interval": "1s", **{k: settings[k] for k in ("analysis", "sort") if k in settings}}}}


def to(index, bodies):
    return [(name, f"/{index}/_bulk") for name, _ in bodies]


def replay(env, bodies, definition):
    """Seconds that the recorded bodies take."""
    copy_index(env, CEILING, definition)
    try:
        env.settle()
        return post_all(env, to(CEILING, bodies))
    finally:
        call(f"{env.es}/{CEILING}", "DELETE")


def prepare(env, args, write_api):
    """A category with half of the products, two places for it, and flat products outside of it for the live updates."""
    products = env.mongo().readside.products
    env.mongo().readside_bench.state.delete_one({"_id": "catalogue"})
    run = int(time.time())  # servers that were kept have the categories of runs before
    left, right = category(write_api, f"Left {run}"), category(write_api, f"Right {run}")
    moved = category(write_api, f"Moved {run}", left)
    ids = [d["_id"] for d in products.find({}, {"_id": 1}).sort("_id", 1).limit(args.products // 2)]
    for at in range(0, len(ids), 10000):
        products.update_many({"_id": {"$in": ids[at:at + 10000]}},
                             {"$set": {"categories": [moved], "primary_category_id": moved}, "$inc": {"version": 1}})
    others = products.find({"variants.0": {"$exists": False}, "categories": {"$ne": moved}}, {"_id": 1}).limit(20000)
    IDS.extend(d["_id"] for d in others)
    return moved, left, right, len(ids)


class Side:
    """What was measured of one side: documents per second by itself, and beside live changes; what those took."""

    def __init__(self, env, count, work):
        self.env, self.count, self.work = env, count, work
        self.alone, self.beside, self.p50, self.p99 = [], [], [], []

    def measure(self, seed):
        self.env.settle()
        self.alone.append(self.count / self.work())
        self.env.settle()
        live = Live(self.env, seed)
        time.sleep(LIVE_BEFORE)
        before = len(live.watch.lags)
        self.beside.append(self.count / self.work())
        lags = live.close()[before:]
        self.p50.append(percentile(lags, 50) * 1000)
        self.p99.append(percentile(lags, 99) * 1000)

    def row(self, name):
        return [name, *(f"{median(v):,.0f}" for v in (self.alone, self.beside)), f"{median(self.p50):.1f} / {median(self.p99):.1f}"]


def ratio(a, b):
    return round(median([x / y for x, y in zip(a, b)]), 3)


def run(env, args):
    write_api = env.program("write-api").wait_ready()
    env.load(write_api)
    write_api.stop()
    write_api = env.program("write-api").wait_ready()
    moved, left, right, count = prepare(env, args, write_api)
    env.forget_projection()
    with tempfile.TemporaryDirectory(dir=VAR) as folder:
        projector = env.projector()
        say("projecting the catalogue")
        until(lambda: indexed(projector) >= args.products, 600, "end of the projection", 0.1)
        env.settle(projected=True)
        projector.stop()
        recorder = Recorder(env.es, folder)
        projector = env.projector({"READSIDE_ELASTICSEARCH_URL": recorder.url}).wait_ready()
        say("recording the bulk bodies (and warming up)")
        move(env, write_api, moved, right)
        projector.stop()
        recorder.close()
        bodies = to(CEILING, recorder.bodies)
        say(f"{len(bodies)} bodies, {sum(os.path.getsize(name) for name, _ in bodies) / 1e6:.0f} MB")
        try:
            copy_index(env, CEILING, copyable(env))
            post_all(env, bodies)  # the serving index went through a move as well
            env.projector().wait_ready()
            places = itertools.cycle([left, right])  # it is under the right one now
            ours = Side(env, count, lambda: move(env, write_api, moved, next(places)))
            ceiling = Side(env, count, lambda: post_all(env, bodies))
            for n in range(args.rounds):
                for side in (ours, ceiling):
                    side.measure(args.seed + n)
                say(f"round {n + 1}: {ours.alone[-1]:,.0f} docs/s, ceiling {ceiling.alone[-1]:,.0f} docs/s, live p99 {ours.p99[-1]:.0f} ms")
        finally:
            call(f"{env.es}/{CEILING}", "DELETE")
    table(f"a category with {count:,} products moved, medians of {args.rounds}",
          [ours.row("projector"), ceiling.row("curl replay, 4 connections")],
          ["", "docs/s", f"docs/s beside {LIVE_RATE} live changes/s", "those: commit -> indexed, p50 / p99 ms"])
    return {"moved": count, "docs_per_s": round(median(ours.alone)), "ceiling_docs_per_s": round(median(ceiling.alone)),
            "ratio_to_ceiling": ratio(ours.alone, ceiling.alone), "ratio_beside_live": ratio(ours.beside, ceiling.beside),
            "live_p50_ms": round(median(ours.p50), 1), "live_p99_ms": round(median(ours.p99), 1),
            "ceiling_live_p99_ms": round(median(ceiling.p99), 1)}
