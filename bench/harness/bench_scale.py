"""A million products: the first projection and its ceiling as `sync` measures them (once each), memory with every cache
full, how soon a restarted projector handles its first live change, and how long verifying everything takes."""
import json
import os
import random
import subprocess
import tempfile
import time

from harness.bench_sync import projected, record, replay
from harness.bench_updates import flat_ids, has_price
from harness.environment import BUILD, VAR, median, say, table, until


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
    env.load(env.program("write-api").wait_ready())
    with tempfile.TemporaryDirectory(dir=VAR) as folder:
        recorder, index, definition, _ = record(env, folder)
        say("projecting, and on with live changes")
        projector, seconds, cpu, peak = projected(env)
        say(f"{args.products / seconds:,.0f} docs/s")
        projector.wait_ready()
        env.settle(projected=True)
        env.mongo().readside_bench.state.delete_one({"_id": "catalogue"})
        ids, starts = flat_ids(env, 1000), []
        random.Random(args.seed).shuffle(ids)
        for n in range(args.rounds):
            peak = max(peak, projector.peak_mib())
            projector.stop()
            projector, start = first_live_change(env, ids[n], 2_000_000_000 + n)
            starts.append(start)
        verified, result = verify(env)
        peak = max(peak, projector.peak_mib())
        projector.stop()
        env.forget_projection()
        ceiling = replay(env, recorder.bodies, definition, index)
        env.forget_projection()
    n = args.products
    table(f"{n:,} products", [["first full projection, docs/s", f"{n / seconds:,.0f}"], ["curl replay, docs/s", f"{n / ceiling:,.0f}"],
                              ["CPU per document", f"{cpu / n * 1e6:.1f} us"], ["peak memory", f"{peak:.0f} MiB"],
                              ["restart to first live change", f"{median(starts):.2f} s"], ["verify of all", f"{verified:.1f} s"]],
          ["", ""])
    return {"docs_per_s": round(n / seconds), "ceiling_docs_per_s": round(n / ceiling), "ratio_to_ceiling": round(ceiling / seconds, 3),
            "cpu_us_per_doc": round(cpu / n * 1e6, 2), "rss_mib": round(peak, 1), "restart_s": round(median(starts), 2),
            "verify_s": round(verified, 1), "verify": result}
