"""The schedule of a run: every operation and every fault with its moment, made from a seed and nothing else.

It is written to a file before the run begins, and a run can be made from such a file (--schedule), whole or cut down by
hand. A fault is carried out when what it needs is free (two faults never hold the same server), so a slow machine shifts
moments and changes no order within a track.
"""
import json
import random

import content

# Name of a writer -> operations a second. Each is a thread; the two kinds of clients of a store are apart.
WRITERS = {"products-api": 8, "products-direct": 10, "hot": 8, "categories": 0.6, "stock-api": 5, "stock-direct": 6}

LINKS = [(program, server) for program in ("owner", "owner", "standby", "write-api") for server in ("mongodb", "mysql")
         ] + [("owner", "elasticsearch")] * 4

# (kind, arguments, planned seconds with recovery). Faults of one track come one after the other, tracks overlap.
DECKS = {
    "servers": [
        ("kill", {"target": "mongodb"}, 8), ("kill", {"target": "mysql"}, 10), ("kill", {"target": "elasticsearch"}, 40),
        ("stop", {"target": "mongodb"}, 9), ("stop", {"target": "mysql"}, 9), ("stop", {"target": "elasticsearch"}, 9),
        ("step-down", {}, 10), ("full-disk", {}, 40), ("oplog-truncated", {}, 20), ("checkpoint-lost", {"how": "deleted"}, 8),
        ("checkpoint-lost", {"how": "damaged"}, 8), ("collection-restored", {}, 10),
    ],
    "programs": [
        ("kill", {"target": "owner"}, 5), ("kill", {"target": "owner"}, 5), ("kill", {"target": "standby"}, 4),
        ("kill", {"target": "projectors"}, 6), ("kill", {"target": "write-api"}, 4), ("kill", {"target": "query-api"}, 4),
        ("stop", {"target": "owner"}, 10), ("stop", {"target": "owner"}, 10), ("stop", {"target": "standby"}, 8),
        ("stop", {"target": "write-api"}, 6), ("stop", {"target": "query-api"}, 6), ("term", {"target": "owner"}, 6),
        ("cut-before", {}, 6), ("cut-within", {}, 6), ("cut-after", {}, 6), ("cut-after", {}, 6), ("refuse", {}, 6),
        ("latency", {}, 10), ("storm-items", {"status": 429}, 8), ("storm-items", {"status": 503}, 8),
        ("storm-requests", {"status": 429}, 8), ("storm-requests", {"status": 503}, 8), ("answers-lost", {}, 7),
        ("slow-bulks", {}, 10), ("clock-jump", {"seconds": 7200}, 7), ("clock-jump", {"seconds": -86400}, 7),
        ("poison", {}, 8),
    ],
}
# More of them when marks go through Kafka (--kafka): owner and standby are relays then.
KAFKA_DECKS = {
    "servers": [("kill", {"target": "kafka"}, 15), ("stop", {"target": "kafka"}, 9)],
    "programs": [("kill", {"target": "consumer"}, 5), ("kill", {"target": "consumers"}, 6), ("stop", {"target": "consumer"}, 10),
                 ("term", {"target": "consumer"}, 6)],
}
KAFKA_LINKS = [("consumer", server) for server in ("mongodb", "mysql", "elasticsearch")]
CUT_BYTES = 3000  # cut-within: fewer of a connection come through
GAP = (0.5, 3.0)  # seconds between two faults of a track


def make(seed, minutes, rate=1.0, kafka=False):
    """{"seed", "minutes", "kafka", "without", "operations": [...], "faults": [...]}, both in the order of their moments."""
    seconds = minutes * 60
    operations = [op for writer in WRITERS for op in _operations(seed, writer, seconds, WRITERS[writer] * rate)]
    faults = [fault for track in DECKS for fault in _faults(seed, track, seconds, kafka)]
    return {"seed": seed, "minutes": minutes, "kafka": kafka, "without": [], "operations": sorted(operations, key=lambda op: op["at"]),
            "faults": sorted(faults, key=lambda fault: fault["at"])}


def leave_out(plan, kinds):
    """The same schedule without the faults of these kinds; the others keep their moments."""
    return {**plan, "without": sorted({*plan["without"], *kinds}), "faults": [f for f in plan["faults"] if f["kind"] not in kinds]}


# ---- operations ----------------------------------------------------------------------------------------------------


def _operations(seed, writer, seconds, rate):
    rng = random.Random(f"{seed}/{writer}")
    at, number = 0.0, 0
    while True:
        at += rng.expovariate(rate)
        if at >= seconds:
            return
        number += 1
        kind, args = CHOICES[writer](rng, number)
        yield {"at": round(at, 3), "writer": writer, "kind": kind, "args": args}


def _products_api(rng, number):
    dice = rng.random()
    if dice < 0.40:
        return "put", {"id": _any_id(rng), "number": number}
    if dice < 0.75:
        return "patch", {"id": _any_id(rng), "price": rng.randrange(1000, 10**6)}
    if dice < 0.87:
        return "delete", {"id": _any_id(rng)}
    return "import", {"ids": [_any_id(rng) for _ in range(rng.randrange(2, 60))], "number": number}


def _products_direct(rng, number):
    dice = rng.random()
    if dice < 0.35:
        return "replace", {"id": _any_id(rng), "number": number}
    if dice < 0.65:
        return "set-price", {"id": _any_id(rng), "price": rng.randrange(1000, 10**6)}
    if dice < 0.80:
        return "delete", {"id": _any_id(rng)}
    if dice < 0.90:
        first = rng.randrange(content.COLD)
        return "range", {"first": content.cold_id(first), "last": content.cold_id(first + rng.randrange(5, 80)), "number": number}
    return "transaction", {"ids": sorted({_any_id(rng) for _ in range(3)}), "number": number}


def _hot(rng, number):
    product_id = content.hot_id(min(int(rng.expovariate(0.4)), content.HOT - 1))
    if rng.random() < 0.1:
        return "replace", {"id": product_id, "number": number}
    return "burst", {"id": product_id, "count": rng.randrange(1, 25), "price": number * 100}


def _categories(rng, number):
    dice, category = rng.random(), rng.randrange(1, content.CATEGORIES + 1)
    if dice < 0.30:
        return "rename", {"id": category, "name": f"Renamed {number}"}
    if dice < 0.55:
        return "rename-direct", {"id": category, "name": f"Direct {number}"}
    if dice < 0.80:
        return "move", {"id": category, "parent": rng.choice([None, *range(1, content.CATEGORIES + 1)])}
    if dice < 0.90:
        return "delete", {"id": category, "reassign_to": rng.randrange(1, content.CATEGORIES + 1)}
    return "create", {"id": category, "name": f"Created {number}"}


def _stock_api(rng, number):
    if rng.random() < 0.6:
        return "put", {"sku": _any_sku(rng), "available": rng.choice((0, 0, 1, 3, 5, 6, 50))}
    return "adjust", {"sku": _any_sku(rng), "delta": rng.choice((-6, -1, 1, 6))}


def _stock_direct(rng, number):
    dice = rng.random()
    if dice < 0.6:
        return "set", {"sku": _any_sku(rng), "available": rng.choice((0, 0, 2, 5, 6, 90))}
    if dice < 0.8:
        return "delete", {"sku": _any_sku(rng)}
    return "flip", {"skus": [_any_sku(rng) for _ in range(rng.randrange(2, 30))], "available": rng.choice((0, 4, 40))}


CHOICES = {"products-api": _products_api, "products-direct": _products_direct, "hot": _hot, "categories": _categories,
           "stock-api": _stock_api, "stock-direct": _stock_direct}


def _any_id(rng):
    dice = rng.random()
    if dice < 0.25:
        return content.hot_id(rng.randrange(content.HOT))
    if dice < 0.55:
        return content.room_id(rng.randrange(content.ROOMS))
    return content.cold_id(rng.randrange(content.COLD))


def _any_sku(rng):
    return rng.choice(content.skus_of(_any_id(rng)))


# ---- faults --------------------------------------------------------------------------------------------------------


def _faults(seed, track, seconds, kafka):
    """Deals the deck: every kind comes before one comes again."""
    rng = random.Random(f"{seed}/faults/{track}")
    at, deck, too_long = rng.uniform(2, 4), [], 0
    whole = DECKS[track] + (KAFKA_DECKS[track] if kafka else [])
    while seconds - at > 5 and too_long < len(whole):
        deck = deck or rng.sample(whole, len(whole))
        kind, args, planned = deck.pop()
        if at + planned > seconds + 5:
            too_long += 1
            continue
        too_long = 0
        yield {"at": round(at, 2), "track": track, "kind": kind, "args": {**args, **_arguments(rng, kind, LINKS + (KAFKA_LINKS if kafka else []))},
               "seconds": round(rng.uniform(0.2, 0.7) * planned, 2)}
        at += planned + rng.uniform(*GAP)


def _arguments(rng, kind, links):
    """What is random about a fault of this kind besides its length."""
    seed = rng.randrange(2**32)
    if kind in ("cut-before", "cut-within", "cut-after", "refuse", "latency"):
        program, server = rng.choice(links)
        return {"program": program, "server": server, "bytes": rng.randrange(1, CUT_BYTES), "ms": rng.randrange(300, 2000)}
    if kind in ("storm-items", "storm-requests", "answers-lost"):
        return {"share": round(rng.uniform(0.3, 1.0), 2), "seed": seed}
    if kind == "slow-bulks":
        return {"ms": rng.randrange(500, 3000)}
    if kind == "poison":
        return {"poisons": [[f"poison-{seed % 100000}-{k}", poison] for k, poison in enumerate(content.POISONS)]}
    return {}


# ---- files ---------------------------------------------------------------------------------------------------------


def save(schedule, path):
    """One line per entry, so that it can be cut down by hand."""
    with open(path, "w", encoding="utf-8") as f:
        f.write(json.dumps({k: schedule[k] for k in ("seed", "minutes", "kafka", "without")}) + "\n")
        for what in ("faults", "operations"):
            for one in schedule[what]:
                f.write(json.dumps({what[:-1]: one}, ensure_ascii=False) + "\n")


def load(path):
    with open(path, encoding="utf-8") as f:
        lines = [json.loads(line) for line in f if line.strip()]
    return {"without": [], **lines[0], "faults": [line["fault"] for line in lines[1:] if "fault" in line],
            "operations": [line["operation"] for line in lines[1:] if "operation" in line]}
