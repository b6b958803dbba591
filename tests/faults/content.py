"""What the writers write: products as a function of (id, number), so that a schedule need not hold them."""
import datetime
import random

from bson import Int64

COLD, HOT, ROOMS = 1200, 16, 40  # products that are there from the start; ids for those that come and go
CATEGORIES = 40
BRANDS = ("Acme", "LG", "Samsung", "Nordwind", "한빛")
WORDS = ("gram", "노트북", "monitor", "desk", "의자", "cable", "16", "pro", "가방", "lamp")
COLORS = ("black", "white", "violet", "red")
BORN = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)


def cold_id(n):
    return f"c{n:05}"


def hot_id(n):
    return f"h{n:03}"


def room_id(n):
    return f"n{n:03}"


def first_ids():
    return [cold_id(n) for n in range(COLD)] + [hot_id(n) for n in range(HOT)]


def skus_of(product_id):
    """Every SKU that some number of this product may have, the implicit one first."""
    return [product_id] + [f"{product_id}-{k}" for k in range(3)]


def _parts(product_id, number):
    rng = random.Random(f"{product_id}/{number}")
    name = " ".join(rng.sample(WORDS, 3)) + f" {number}"
    made = {"name": {"ko": name, "en": name.upper()} if rng.random() < 0.3 else name, "brand": rng.choice(BRANDS),
            "price": rng.randrange(1000, 9_000_000), "currency": "KRW",
            "attributes": {"color": rng.choice(COLORS), "weight_kg": rng.randrange(100, 9000) / 1000,
                           "size": rng.randrange(10, 60), "model": f"M{rng.randrange(10**6)}", "used": rng.random() < 0.1,
                           "box": {"width": rng.randrange(1, 90)}}}
    if rng.random() < 0.5:
        made["description"] = " ".join(rng.choices(WORDS, k=40))
    variants = rng.choice((0, 0, 1, 2, 3))
    if variants:
        made["variants"] = [{"sku": f"{product_id}-{k}", "price": made["price"] + k,
                             **({"attributes": {"color": COLORS[k], "storage": f"{64 << k}GB"}} if variants > 1 else {})}
                            for k in range(variants)]
    made["categories"] = rng.sample(range(1, CATEGORIES + 1), rng.choice((1, 1, 2)))
    return made


def api_product(product_id, number):
    """As the write-api takes it with PUT."""
    return {"id": product_id, **_parts(product_id, number)}


def stored_product(product_id, number):
    """As another program than the write-api may store it in MongoDB."""
    def stored(value):
        if isinstance(value, dict):
            return {k: stored(v) for k, v in value.items()}
        if isinstance(value, list):
            return [stored(v) for v in value]
        return Int64(value) if isinstance(value, int) and not isinstance(value, bool) else value

    made = {"_id": product_id, **stored(_parts(product_id, number)), "version": Int64(number + 1), "created_at": BORN,
            "updated_at": BORN + datetime.timedelta(seconds=number)}
    made["primary_category_id"] = made["categories"][0]
    return made


def poison(product_id, kind):
    """A product that cannot become a search document. name, price: the projection refuses it. nested: Elasticsearch does,
    more variants than NESTED_MAX. size: over document_max_bytes."""
    made = stored_product(product_id, 0)
    if kind == "name":
        made["name"] = 17
    elif kind == "price":
        made["price"] = "dear"
    else:
        count = NESTED_MAX + 5 if kind == "nested" else 9000
        text = "y" * (1 if kind == "nested" else 200)
        made["variants"] = [{"sku": f"{product_id}-v{n}", "attributes": {"n": Int64(n), "text": text}} for n in range(count)]
    return made


POISONS = ("name", "price", "nested", "size")
NESTED_MAX = 50  # index.mapping.nested_objects.limit of a run; 10,000 unless set


def category_rows():
    """(id, parent_id, level, path, name): five roots, the rest below them, three levels."""
    rows = {}
    for n in range(1, CATEGORIES + 1):
        parent = None if n <= 5 else (n % 5 + 1 if n <= 20 else n - 15)
        path = f"{rows[parent][3]}{n}/" if parent else f"{n}/"
        rows[n] = (n, parent, path.count("/"), path, f"Category {n}")
    return list(rows.values())
