"""What a search document must say, worked out from the databases alone, without the projector's code.

Written from the rules in mappings/ (the projection) and the field table of the mapping, so that a mistake in the
projector does not show up here as well. Sets are lists sorted by their UTF-8 bytes; variants and skus keep their order.
"""
import datetime
import math
import struct

from bson import Int64
from bson.decimal128 import Decimal128

KEYWORD_BYTES = 256
TEXT_BYTES = {"name": 4096, "description": 65536}
CODE_ATTRIBUTES = {"model", "mpn", "ean", "isbn", "gtin", "upc", "sku", "part_number"}
STOCK_NAMES = ("out", "low", "in")
PRICE_STEPS = [0] + [digit * 10 ** zeros for zeros in range(2, 8) for digit in (1, 2, 5)] + [10 ** 8]
SPACE = " \t\n\v\f\r"


def cut(text, max_bytes=KEYWORD_BYTES):
    return text.strip(SPACE).encode()[:max_bytes].decode("utf-8", "ignore")


def has_hangul(text):
    return any("\uac00" <= c <= "\ud7a3" or "\u1100" <= c <= "\u11ff" or "\u3130" <= c <= "\u318f" or "\ua960" <= c <= "\ua97f" or
               "\ud7b0" <= c <= "\ud7ff" for c in text)


def language(lang, text):
    return "ko" if lang == "ko" or (not lang and has_hangul(text)) else "en"


def localized(value, max_bytes):
    """"text" or {"lang": "text"} -> {"ko": [...], "en": [...]}, the field's own language first."""
    named = value if isinstance(value, dict) else {"": value}
    found = {}
    for lang, text in sorted(named.items()):
        if isinstance(text, str) and cut(text, max_bytes):
            found.setdefault(language(lang, text), []).append((lang, cut(text, max_bytes)))
    return {field: [text for lang, text in sorted(texts, key=lambda t: (t[0] != field, t[0]))] for field, texts in found.items()}


def is_number(value):
    return isinstance(value, (int, float, Int64, Decimal128)) and not isinstance(value, bool)


def as_float(value):
    return float(value.to_decimal()) if isinstance(value, Decimal128) else float(value)


def number_text(value):
    if isinstance(value, int):
        return str(int(value))
    number = as_float(value)
    return str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(number)


def ordered_hex(value):
    """16 hex digits that sort as the numbers do."""
    bits = struct.unpack("<Q", struct.pack("<d", as_float(value) + 0.0))[0]
    return f"{~bits & (2**64 - 1) if bits >> 63 else bits ^ (1 << 63):016x}"


class Terms:
    """What one attributes object gives: filter terms by name, number terms by name, codes, names of codes."""

    def __init__(self, attributes):
        self.attrs, self.numbers, self.codes, self.code_names = {}, {}, set(), set()
        self._walk(attributes or {}, "")

    def _walk(self, value, prefix):
        for key, inner in value.items():
            self._value(inner, f"{prefix}.{key}" if prefix else key, key in CODE_ATTRIBUTES)

    def _value(self, value, name, is_code):
        if is_code:
            self.code_names.add(name)
        if isinstance(value, dict):
            self._walk(value, name)
        elif isinstance(value, list):
            for element in value:
                self._value(element, name, is_code)
        elif isinstance(value, bool):
            self.attrs.setdefault(name, set()).add("true" if value else "false")
        elif isinstance(value, str) and cut(value):
            self.attrs.setdefault(name, set()).add(cut(value))
            if is_code:
                self.codes.add(cut(value))
        elif is_number(value) and math.isfinite(as_float(value)):
            self.attrs.setdefault(name, set()).add(number_text(value))
            self.numbers.setdefault(name, set()).add(ordered_hex(value))
            if is_code:
                self.codes.add(number_text(value))


def flatten(by_name):
    return by_bytes(f"{name}={value}" for name, values in by_name.items() for value in values)


def by_bytes(values):
    return sorted(set(values), key=lambda v: v.encode())


def fields_of(attrs, numbers, code_names):
    """The members that hold terms; those of codes stand apart. An empty one is not written."""
    found = {"attrs": flatten({n: v for n, v in attrs.items() if n not in code_names}),
             "code_attrs": flatten({n: v for n, v in attrs.items() if n in code_names}), "numbers": flatten(numbers)}
    return {field: terms for field, terms in found.items() if terms}


def common(product_terms, varied):
    """What stands with the product: the terms of names that no variant has."""
    attrs, numbers = ({n: v for n, v in by_name.items() if n not in varied} for by_name in (product_terms.attrs, product_terms.numbers))
    return fields_of(attrs, numbers, product_terms.code_names)


def place(product_terms, own, varied, sku, price, stock):
    """flat, or one of variants[]. Of the names that vary, a variant has its own terms, else the product's."""
    made = {"sku": sku, "stock": STOCK_NAMES[stock]}
    attrs, numbers = ({n: (getattr(own, field) if n in own.attrs else getattr(product_terms, field)).get(n, ()) for n in varied}
                      for field in ("attrs", "numbers"))
    made.update(fields_of(attrs, numbers, own.code_names | product_terms.code_names))
    if varied:
        made["names"] = by_bytes(varied)
    if price is not None:
        made["price"] = int(price)
    return made


class Categories:
    """The rows of MySQL's categories by id."""

    def __init__(self, rows, names_of):
        self.rows = {row["id"]: row for row in rows}
        self.names_of = names_of

    def ids_of(self, category_id):
        return [int(part) for part in self.rows[category_id]["path"].strip("/").split("/")]

    def fields(self, product):
        ids = [int(i) for i in product.get("categories") or [] if int(i) in self.rows]
        if not ids:
            return {"category_set": ""}
        lineage = sorted({i for assigned in ids for i in self.ids_of(assigned)} & set(self.rows))
        names = {}
        for category_id in lineage:
            for lang, text in self.names_of(self.rows[category_id]):
                names.setdefault(language(lang, text), []).append(text)
        paths = set()
        for assigned in ids:
            parts = [str(i) for i in self.ids_of(assigned)]
            paths.update("/".join(parts[:n]) for n in range(1, len(parts) + 1))
        lowest = sorted(path for path in paths if not any(other.startswith(path + "/") for other in paths))
        primary = product.get("primary_category_id")
        return {"categories": sorted(set(ids)), "primary_category": int(primary) if primary in ids else ids[0],
                "category_paths": by_bytes(paths), "category_set": ",".join(lowest) if len(",".join(lowest)) <= 1000 else "*",
                "category_names": {field: sorted(texts) for field, texts in names.items()}}


def variant_fields(product, stock_states):
    terms = Terms(product.get("attributes"))
    variants = product.get("variants") or [{"sku": product["_id"]}]
    places, codes = [], set(terms.codes)
    all_own = [Terms(variant.get("attributes")) for variant in variants]
    varied = {name for own in all_own for name in own.attrs}
    for variant, own in zip(variants, all_own):
        codes |= own.codes | {cut(variant["sku"])}
        price = variant.get("price") if variant.get("price") is not None else product.get("price")
        places.append(place(terms, own, varied, variant["sku"], price, stock_states.get(variant["sku"], 0)))
    prices = [p["price"] for p in places if "price" in p]
    best = max(stock_states.get(v["sku"], 0) for v in variants)
    made = {"skus": [v["sku"] for v in variants], "in_stock": best > 0, "stock": STOCK_NAMES[best],
            "offers": offers(places),
            "codes": by_bytes(c for c in codes | {cut(product["_id"])} if any(x.isalnum() for x in c))}
    if prices:
        made.update(price_min=min(prices), price_max=max(prices))
    made.update(common(terms, varied))
    if varied:
        made["varied"] = by_bytes(varied)
    if len(variants) == 1 and not varied:
        made["flat"] = places[0]
    else:
        made["variants"] = places
    return made


def offers(places):
    """Which states and which price steps there are among the places where price and stock stand."""
    states = [state for state in ("in", "low", "out") if any(p["stock"] == state for p in places)]
    steps = {max(n for n, least in enumerate(PRICE_STEPS) if least <= p["price"]) for p in places if "price" in p}
    return f"{','.join(states)} {','.join(f'{step:02}' for step in sorted(steps))}"


def rfc3339(value):
    value = value.astimezone(datetime.timezone.utc)
    return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"


def expected(product, categories, stock_states, signals=None):
    """The search document of one product of MongoDB. signals: what its row of product_signals says."""
    made = {"id": product["_id"], "currency": cut(product.get("currency") or "") or "KRW"}
    for field, max_bytes in TEXT_BYTES.items():
        if product.get(field) is not None:
            texts = localized(product[field], max_bytes)
            if texts:
                made[field] = texts
    if cut(product.get("brand") or ""):
        made["brand"] = cut(product["brand"])
    for field in ("created_at", "updated_at"):
        if isinstance(product.get(field), datetime.datetime):
            made[field] = rfc3339(product[field])
    made.update(categories.fields(product))
    made.update(variant_fields(product, stock_states))
    made.update({field: step for field, step in (signals or {}).items() if step})
    return made


def normalized(source):
    """A document of Elasticsearch in the same form: sets sorted, texts as lists, without hash and version."""
    made = {k: v for k, v in source.items() if k not in ("content_hash", "version")}
    for field in ("name", "description"):
        if field in made:
            made[field] = {lang: text if isinstance(text, list) else [text] for lang, text in made[field].items()}
    if "category_names" in made:
        made["category_names"] = {lang: sorted(texts if isinstance(texts, list) else [texts])
                                  for lang, texts in made["category_names"].items()}
    if "categories" in made:
        made["categories"] = sorted(made["categories"])
    for one in [made] + made.get("variants", []):
        for field in ("codes", "category_paths", "attrs", "code_attrs", "numbers", "varied", "names"):
            if field in one:
                one[field] = by_bytes(one[field])
    return made
