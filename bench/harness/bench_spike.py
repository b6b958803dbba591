"""A spike and an overload, as an open load: visitors do not wait for each other's answers.

Spike: from 50 to 5,000 requests/s within a second, Zipf over many searches, the cache on. Overload: without the cache, what it
can carry is measured, then 60 % of that (normal), then three times that. The generator (drivers/open_load.c) and Elasticsearch
share the cores with the query-api, in all phases alike."""
import bisect
import json
import os
import random
import subprocess
import tempfile

from harness.bench_search import searches
from harness.environment import BUILD, VAR, call, say, table, until

ALLOWED = {"200", "304", "429", "503"}


def zipf(rng, items, count, exponent=1.0):
    sums, total = [], 0.0
    for rank in range(1, len(items) + 1):
        total += 1 / rank**exponent
        sums.append(total)
    return [items[min(bisect.bisect(sums, rng.random() * total), len(items) - 1)] for _ in range(count)]


def load(url, targets, seed, phases, connections=2000):
    """One dict for each phase, as the driver prints them."""
    host, port = url.removeprefix("http://").split(":")
    with tempfile.NamedTemporaryFile("w", dir=VAR, suffix=".targets") as f:
        f.write("".join(f"/v1/search?{t}\n" for t in targets))
        f.flush()
        text = subprocess.run([os.path.join(BUILD, "bin/open_load"), host, port, f.name, str(seed), str(connections), *phases],
                              stdout=subprocess.PIPE, text=True, check=True).stdout
    made = [json.loads(line) for line in text.splitlines()]
    for one in made:
        one["unexpected"] = one["errors"] + one["without_retry_after"] + sum(n for s, n in one["statuses"].items() if s not in ALLOWED)
        one["accepted_rate"] = one["accepted"] / one["seconds"]
    return made


def row(name, one):
    return [name, f"{one['sent'] / one['seconds']:.0f}", f"{one['accepted_rate']:.0f}", f"{one['accepted_p50_ms']:.1f}",
            f"{one['accepted_p99_ms']:.1f}", f"{one['refused']}", f"{one['refused_p99_ms']:.1f}", f"{one['unexpected']}"]


def spike(env, args, strings, rng):
    query = env.program("query-api").wait_ready()
    until(lambda: call(f"{query.url}/v1/categories/tree")[0] == 200, 30, "categories")
    targets = zipf(rng, strings, 200000)
    phases = load(query.url, targets, args.seed, ["50:5", "50-5000:1", f"5000:{args.seconds:g}"])
    peak = query.peak_mib()
    query.stop()
    return phases, peak


def overload(env, args, strings, rng):
    query = env.program("query-api", {"READSIDE_QUERY_API_CACHE_BYTES": "0"}).wait_ready()
    until(lambda: call(f"{query.url}/v1/categories/tree")[0] == 200, 30, "categories")
    targets = [rng.choice(strings) for _ in range(100000)]
    load(query.url, targets, args.seed, ["400:20"])  # Elasticsearch compiles what it does often
    steps = load(query.url, targets, args.seed + 1, ["100:3", "200:3", "400:3", "800:3", "1600:3"])
    capacity = max(step["accepted_rate"] for step in steps)
    say("answered of " + ", ".join(f"{step['sent'] / step['seconds']:.0f}: {step['accepted_rate']:.0f}/s" for step in steps))
    rounds = []
    for n in range(args.rounds):
        normal = load(query.url, targets, args.seed + 2 + n, ["50:1", f"{capacity * 0.6:.0f}:{args.seconds:g}"])[1]
        onset, over = load(query.url, targets, args.seed + 20 + n,
                           [f"{capacity * 3:.0f}:1", f"{capacity * 3:.0f}:{args.seconds:g}"])
        rounds.append((normal, onset, over))
        say(f"round {n + 1}: p99 {normal['accepted_p99_ms']:.1f} ms normally, {over['accepted_p99_ms']:.1f} ms at three times the load")
    rounds.sort(key=lambda r: r[2]["accepted_p99_ms"] / r[0]["accepted_p99_ms"])
    return capacity, rounds[len(rounds) // 2], rounds


def run(env, args):
    env.load_and_project()
    first = env.program("query-api").wait_ready()
    env.query = first.url
    until(lambda: call(f"{first.url}/v1/categories/tree")[0] == 200, 30, "categories")
    rng = random.Random(args.seed)
    strings = list(dict.fromkeys(searches(env, rng, 5000)))
    first.stop()
    (calm, rise, peak), memory = spike(env, args, strings, rng)
    capacity, (normal, onset, over), rounds = overload(env, args, strings, rng)
    table(f"open load over {args.products:,} products, {len(strings):,} different searches", [
        row("calm, cached", calm), row("50 to 5,000/s, cached", rise), row("5,000/s, cached", peak),
        row("60 %, uncached", normal), row("3x, first second", onset), row("3x, after it", over)],
        ["phase", "offered/s", "answered/s", "p50 ms", "p99 ms", "refused", "their p99 ms", "unexpected"])
    everything = [calm, rise, peak, *[phase for one in rounds for phase in one]]
    return {"spike_error_free": all(one["unexpected"] == 0 for one in everything),
            "spike_rise_p99_ms": rise["accepted_p99_ms"], "spike_p99_ms": peak["accepted_p99_ms"],
            "spike_refused": round((rise["refused"] + peak["refused"]) / (rise["sent"] + peak["sent"]), 4),
            "capacity": round(capacity), "normal_p99_ms": normal["accepted_p99_ms"], "normal_refused": round(normal["refused"] / normal["sent"], 4),
            "accepted_p99_ms": over["accepted_p99_ms"], "accepted_p99_ratio": round(over["accepted_p99_ms"] / normal["accepted_p99_ms"], 2),
            "onset_p99_ratio": round(onset["accepted_p99_ms"] / normal["accepted_p99_ms"], 2),
            "goodput_ratio": round(over["accepted_rate"] / capacity, 2), "refused_p99_ms": over["refused_p99_ms"], "rss_mib": round(memory, 1)}
