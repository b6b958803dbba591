"""What a figure has to reach, bench by bench, at the size for which that was asked."""
from harness.environment import say, table

MIB_ITSELF = 64  # a query-api without its cache

# bench: (figure, "min" or "max", bar, products from which on it holds). A bar may be a function of all figures.
BARS = {
    "sync": [("ratio_to_ceiling", "min", 0.90, 200000), ("cpu_us_per_doc", "max", 6, 200000), ("ratio_to_monstache", "min", 4, 200000)],
    "updates": [("last_indexed_s", "max", 1.5, 200000), ("ratio_to_monstache", "min", 3, 200000), ("hot_index_writes", "max", 5000, 0)],
    "lag": [("p50_ms", "max", 12, 200000), ("p99_ms", "max", 50, 200000),
            ("searchable_p99_ms", "max", lambda f: f["searchable_within_ms"] + 60, 200000)],
    "fanout": [("ratio_to_ceiling", "min", 0.80, 200000), ("live_p99_ms", "max", 150, 200000)],
    "scale": [("rss_mib", "max", 96, 1000000), ("ratio_to_ceiling", "min", 0.90, 1000000), ("cpu_us_per_doc", "max", 6, 1000000),
              ("restart_s", "max", 3, 1000000), ("verify_s", "max", 60, 1000000)],
    "search": [("throughput_ratio", "min", 0.95, 200000), ("p50_overhead_ms", "max", 0.25, 200000), ("suggest_p99_ms", "max", 40, 200000),
               ("suggest_cached_p99_ms", "max", 5, 200000), ("rss_mib", "max", MIB_ITSELF, 0)],
    "search-fastapi": [("ratio_to_fastapi", "min", 1.8, 0)],
    "search-cached": [("ratio_to_nginx", "min", 1.0, 0), ("p99_ratio_to_nginx", "max", 1.0, 0), ("ratio_to_uncached", "min", 10, 0),
                      ("rss_mib", "max", lambda f: MIB_ITSELF + f["cache_mib"], 0)],
    "search-1m": [("ratio_to_searchkit", "min", 2, 200000), ("mean_ms", "max", 50, 1000000), ("cached_rate", "min", 10000, 1000000)],
    "instantsearch": [("throughput_ratio", "min", 2, 200000), ("rss_mib", "max", MIB_ITSELF, 0)],
    "spike": [("spike_error_free", "min", True, 0), ("accepted_p99_ratio", "max", 2, 0), ("onset_p99_ratio", "max", 2, 0)],
    "relevance": [("ndcg10", "min", 0.85, 0)],
}


def judged(name, args, figures):
    """[(figure, its value, bar as text, met)] of the bars that hold at this size."""
    result = []
    for figure, side, bar, products in [] if args.lean else BARS.get(name, []):
        if figure not in figures or args.products < products:
            continue
        bar = bar(figures) if callable(bar) else bar
        value = figures[figure]
        result.append((figure, value, f"{'at least' if side == 'min' else 'at most'} {bar}", value >= bar if side == "min" else value <= bar))
    return result


def missed(name, args, figures):
    """Shows how the figures stand to their bars; the names of those that miss theirs."""
    seen = judged(name, args, figures)
    if seen:
        table("bars", [[figure, str(value), bar, "met" if met else "MISSED"] for figure, value, bar, met in seen], ["figure", "", "bar", ""])
    elif BARS.get(name):
        say("no bar of this bench holds for so few products or another mapping")
    return [figure for figure, _, _, met in seen if not met]
