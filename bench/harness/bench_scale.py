"""A million products: the first projection as `sync` measures it, memory with every cache full, how soon a restarted
projector handles its first live change, and how long verifying everything takes."""
import json
import os
import random
import subprocess
import time

from harness import bench_sync
from harness.bench_sync import indexed
from harness.bench_updates import flat_ids, has_price
from harness.environment import BUILD, median, say, table, until


def first_live_change(env, product, price):
    """A projector started anew: seconds from its start until a change made meanwhile is in the index."""
    env.mongo().readside.products.update_one({"_id": product}, {"$set": {"price": price}, "$inc": {"version": 1}})
    projector = env.projector()
    until(lambda: has_price(env, "products", "price_min", [product], price), 120, "first live change", 0.005)
    return projector, time.monotonic() - projector.begun


def verify(env):
    """(seconds, result) of verifying everything beside a running projector."""
    begun = time.monotonic()
    process = subprocess.run([os.path.join(BUILD, "bin", "projector"), "verify", "--json"], env={**os.environ, **env.servers},
                             stdout=subprocess.PIPE, text=True, timeout=1800)
    result = json.loads(process.stdout.strip().splitlines()[-1])
    if process.returncode:
        raise RuntimeError(f"verify ended with {process.returncode}: {result}")
    return time.monotonic() - begun, result


def run(env, args):
    found = bench_sync.run(env, args)
    say("projecting once more, and on with live changes")
    env.forget_projection()
    projector = env.projector()
    until(lambda: indexed(projector) >= args.products, 3600, "end of the projection", 1)
    projector.wait_ready()
    env.mongo().readside_bench.state.delete_one({"_id": "catalogue"})
    ids, starts = flat_ids(env, 1000), []
    random.Random(args.seed).shuffle(ids)
    for n in range(args.rounds):
        peak = projector.peak_mib()
        projector.stop()
        projector, seconds = first_live_change(env, ids[n], 2_000_000_000 + n)
        starts.append(seconds)
    seconds, result = verify(env)
    peak = max(peak, projector.peak_mib(), found["rss_mib"])
    table(f"{args.products:,} products", [["restart to first live change", f"{median(starts):.2f} s"],
                                         ["verify of all", f"{seconds:.1f} s"], ["peak memory", f"{peak:.0f} MiB"]], ["", ""])
    return {**found, "rss_mib": round(peak, 1), "restart_s": round(median(starts), 2), "verify_s": round(seconds, 1),
            "verify": result}
