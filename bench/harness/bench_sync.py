"""First full projection of the catalogue. The ceiling: the same composed bulk bodies, replayed by curl over 4
connections into an empty index of the same name and mapping, which refreshes as seldom as the projector lets its own while
it fills it. The two alternate after a warm-up round of both, each going first in every other round: the JVM gets faster from one
to the next."""
import os
import subprocess
import tempfile
import time

from harness.environment import VAR, call, cpu_seconds, get_json, median, say, table, until
from harness.monstache import INDEX, monstache
from harness.recorder import Recorder

CONNECTIONS = 4
FILL_REFRESH, FEW = "10s", 10000  # [projector] fill_refresh, and how few products are written without it (job_fill.c)


def project(env, settings=None):
    """One full projection from nothing: (seconds, cpu seconds, peak MiB)."""
    projector, *figures = projected(env, settings)
    projector.stop()
    return tuple(figures)


def projected(env, settings=None):
    """The same with the projector, still running, before them."""
    env.forget_projection()
    projector = env.projector(settings)

    wait_indexed(projector, env.args.products)
    seconds = time.monotonic() - projector.begun
    cpu, peak = projector.cpu_seconds(), projector.peak_mib()
    say("CPU, us per document: " + ", ".join(f"{name} {s / env.args.products * 1e6:.2f}" for name, s in
                                             sorted(projector.thread_seconds().items(), key=lambda t: -t[1]) if s > 0.005))
    return projector, seconds, cpu, peak


def wait_indexed(projector, products, seconds=1800):
    """Looks seldom while the end is far away: a scrape costs the projector CPU of its own."""
    while (done := indexed(projector)) < products:
        if projector.process.poll() is not None:
            raise RuntimeError(f"the projector ended, see {projector.log.name}")
        elapsed = time.monotonic() - projector.begun
        if elapsed > seconds:
            raise TimeoutError(f"no end of the projection within {seconds} s")
        left = elapsed * (products / done - 1) if done else 1
        time.sleep(min(max(left / 4, 0.2), 5))


def indexed(projector):
    return sum(v for k, v in projector.metrics().items()
               if k.startswith("readside_projector_documents_total") and 'op="index"' in k and 'outcome="done"' in k)


def post_all(env, bodies):
    """Posts the recorded bodies by curl: seconds."""
    with tempfile.NamedTemporaryFile("w", dir=VAR, suffix=".curl") as config:
        for i, (name, path) in enumerate(bodies):
            config.write(("next\n" if i else "") + f'url = "{env.es}{path}"\nrequest = POST\n'
                         'header = "Content-Type: application/x-ndjson"\noutput = /dev/null\nsilent\nfail\n'
                         f'data-binary = "@{name}"\n')
        config.flush()
        begun = time.monotonic()
        command = ["curl", "--no-progress-meter", "-Z", "--parallel-max", str(CONNECTIONS), "--noproxy", "*", "-K", config.name]
        if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
            raise RuntimeError("the replay failed")
        return time.monotonic() - begun


def replay(env, bodies, definition, index):
    """The recorded bodies into an empty index: seconds."""
    call(f"{env.es}/{index}", "DELETE")
    get_json(f"{env.es}/{index}", "PUT", definition)
    seconds = post_all(env, bodies)
    call(f"{env.es}/{index}/_refresh", "POST")
    found = env.count(index)
    if found != env.args.products:
        raise RuntimeError(f"the replay left {found} documents of {env.args.products}")
    return seconds


def record(env, folder):
    """A projection whose bulk bodies are kept: (recorder, index, its definition, bytes)."""
    say("recording the bulk bodies (and warming up)")
    recorder = Recorder(env.es, folder)
    project(env, {"READSIDE_ELASTICSEARCH_URL": recorder.url})
    recorder.close()
    index = env.index()
    definition = get_json(f"{env.es}/{index}")[index]
    definition = {"mappings": definition["mappings"], "settings": portable(definition["settings"]["index"])}
    if env.args.products > FEW:
        definition["settings"]["refresh_interval"] = FILL_REFRESH
    size = sum(os.path.getsize(name) for name, _ in recorder.bodies)
    say(f"{len(recorder.bodies)} bodies, {size / 1e6:.0f} MB")
    return recorder, index, definition, size


def peer(env):
    """The same products read by monstache: (seconds, cpu seconds)."""
    path = f"{env.es}/{INDEX}/_stats/indexing?filter_path=_all.primaries.indexing.index_total"
    begun = time.monotonic()
    with monstache(env, 'direct-read-namespaces = ["readside.products"]\nchange-stream-namespaces = [""]') as process:
        until(lambda: get_json(path)["_all"]["primaries"]["indexing"]["index_total"] >= env.args.products, 1800,
              f"end of monstache's reading (see {process.log_name})", 0.2)
        return time.monotonic() - begun, cpu_seconds(process.pid)


def run(env, args):
    env.load(env.program("write-api").wait_ready())
    env.forget_projection()
    with tempfile.TemporaryDirectory(dir=VAR) as folder:
        recorder, index, definition, size = record(env, folder)
        replay(env, recorder.bodies, definition, index)
        ours, ceiling, others = [], [], []

        def one():
            ours.append(project(env))

        def other():
            env.forget_projection()
            ceiling.append(replay(env, recorder.bodies, definition, index))

        sides = [one, other]
        if os.environ.get("MONSTACHE"):
            sides.append(lambda: others.append(peer(env)))
        for n in range(args.rounds):
            for side in sides if n % 2 == 0 else sides[::-1]:
                side()
            say(f"round {n + 1}: {args.products / ours[-1][0]:,.0f} docs/s, ceiling {args.products / ceiling[-1]:,.0f} docs/s")
        env.forget_projection()
    n = args.products
    rate, top = median([n / s for s, _, _ in ours]), median([n / s for s in ceiling])
    cpu = median([c / n * 1e6 for _, c, _ in ours])
    peak = max(p for _, _, p in ours)
    ratio = median([c / s for (s, _, _), c in zip(ours, ceiling)])
    table(f"first full projection of {n:,} products, medians of {args.rounds}",
          [["projector", f"{rate:,.0f}", f"{cpu:.1f}", f"{peak:.0f}"], [f"curl replay, {CONNECTIONS} connections", f"{top:,.0f}", "", ""]]
          + [["monstache", f"{n / median([s for s, _ in others]):,.0f}", f"{median([c for _, c in others]) / n * 1e6:.1f}", ""] for _ in others[:1]],
          ["", "docs/s", "us CPU/doc", "peak MiB"])
    return {"docs_per_s": round(rate), "ceiling_docs_per_s": round(top), "ratio_to_ceiling": round(ratio, 3),
            "cpu_us_per_doc": round(cpu, 2), "rss_mib": round(peak, 1), "bulks": len(recorder.bodies),
            "bulk_mb": round(size / 1e6, 1),
            **({"monstache_docs_per_s": round(n / median([s for s, _ in others])),
                "ratio_to_monstache": round(median([o / s for (s, _, _), (o, _) in zip(ours, others)]), 2)} if others else {})}


def portable(settings):
    return {k: v for k, v in settings.items() if k not in ("creation_date", "uuid", "version", "provided_name")}
