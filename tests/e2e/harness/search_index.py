"""A search index filled by hand: what the projector would have written, composed here a second time from the
contract in mappings/README.md, so that the query side is tested on its own."""
import bisect
import json
import os
import re
import secrets
import struct

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
CODE_ATTRIBUTES = {"model", "mpn", "ean", "isbn", "gtin", "upc", "sku", "part_number"}
RANK = {"out": 0, "low": 1, "in": 2}
PRICE_STEPS = [0, *(d * 10 ** n for n in range(2, 8) for d in (1, 2, 5)), 10 ** 8]
HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")


# ---- products ------------------------------------------------------------------------------------------------

def flatten(attributes, prefix=""):
    """{"a": {"b": [1, "x"]}} -> [("a.b", 1), ("a.b", "x")]"""
    result = []
    for name, value in attributes.items():
        if isinstance(value, dict):
            result += flatten(value, f"{prefix}{name}.")
        else:
            result += [(prefix + name, v) for v in (value if isinstance(value, list) else [value])]
    return result


def text_of(value):
    """The text of a value as it stands in a term."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value == int(value) and abs(value) < 1e15:
        value = int(value)
    return value.strip() if isinstance(value, str) else repr(value)


def number_key(value):
    """16 hex digits in the order of the numbers: IEEE 754 with the sign turned."""
    bits = struct.unpack(">Q", struct.pack(">d", float(value) + 0.0))[0]
    return f"{~bits & 0xFFFFFFFFFFFFFFFF if bits >> 63 else bits ^ 1 << 63:016x}"


def localized(value):
    if isinstance(value, str):
        return {"ko" if HANGUL.search(value) else "en": value}
    result = {k: v for k, v in value.items() if k in ("ko", "en")}
    others = [v for k, v in value.items() if k not in ("ko", "en")]
    if others and "en" not in result:
        result["en"] = others[0]
    return result


def is_code(name):
    return name.rsplit(".", 1)[-1] in CODE_ATTRIBUTES


def terms_of(pairs):
    numbers = {f"{n}={number_key(v)}" for n, v in pairs if isinstance(v, (int, float)) and not isinstance(v, bool)}
    found = {"attrs": {f"{n}={text_of(v)}" for n, v in pairs if not is_code(n)},
             "code_attrs": {f"{n}={text_of(v)}" for n, v in pairs if is_code(n)}, "numbers": numbers}
    return {field: sorted(terms) for field, terms in found.items()}


class Sku:
    """One thing that can be bought: what the filters of variants look at."""

    def __init__(self, sku, pairs, price, stock):
        self.sku, self.price, self.stock = sku, price, stock
        self.pairs = pairs
        self.terms = sorted({f"{n}={text_of(v)}" for n, v in pairs})
        self.numbers = [(n, float(v)) for n, v in pairs if isinstance(v, (int, float)) and not isinstance(v, bool)]

    def document(self, varied):
        made = {"sku": self.sku, "stock": self.stock}
        if varied:
            made.update(names=sorted(varied), **terms_of([p for p in self.pairs if p[0] in varied]))
        return made if self.price is None else {**made, "price": self.price}


def skus_of(product, stock):
    """The SKUs of a product; the product itself is one if it has no variants."""
    own = flatten(product.get("attributes", {}))
    if not product.get("variants"):
        return [Sku(product["id"], own, product.get("price"), stock.get(product["id"], "out"))]
    result = []
    for variant in product["variants"]:
        mine = flatten(variant.get("attributes", {}))
        names = {n for n, _ in mine}
        pairs = [p for p in own if p[0] not in names] + mine
        result.append(Sku(variant["sku"], pairs, variant.get("price", product.get("price")), stock.get(variant["sku"], "out")))
    return result


def is_flat(product):
    variants = product.get("variants") or []
    return len(variants) < 2 and not any(v.get("attributes") for v in variants)


def offers(skus):
    steps = {bisect.bisect_right(PRICE_STEPS, s.price) - 1 for s in skus if s.price is not None}
    return f"{','.join(sorted({s.stock for s in skus}, key=RANK.get, reverse=True))} {','.join(f'{step:02}' for step in sorted(steps))}"


def compose(product, stock, tree):
    """The search document. stock: {sku: "in"|"low"|"out"}; tree: {category id: {"path", "name", "names"}}"""
    skus = skus_of(product, stock)
    categories = product.get("categories", [])
    chain = [int(i) for c in categories for i in tree[c]["path"].split("/")]
    prices = [s.price for s in skus if s.price is not None] + ([product["price"]] if "price" in product else [])
    codes = {product["id"], *(s.sku for s in skus)}
    for attributes in [product.get("attributes", {})] + [v.get("attributes", {}) for v in product.get("variants") or []]:
        codes |= {text_of(v) for n, v in flatten(attributes) if is_code(n)}
    best = max((s.stock for s in skus), key=RANK.get)
    made = {"id": product["id"], "codes": sorted(codes), "currency": product.get("currency", "KRW"), "in_stock": best != "out",
            "stock": best, "offers": offers(skus), "skus": [s.sku for s in skus], "created_at": product.get("created_at", "2026-01-01T00:00:00.000Z"),
            "content_hash": 1, "version": 1, **{k: product[k] for k in ("sales", "popularity") if k in product}}
    for field in ("name", "description"):
        if field in product:
            made[field] = localized(product[field])
    if "brand" in product:
        made["brand"] = product["brand"]
    if categories:
        made["categories"] = sorted(categories)
        made["primary_category"] = product.get("primary_category_id", categories[0])
        made["category_paths"] = sorted({"/".join(tree[c]["path"].split("/")[: n + 1])
                                         for c in categories for n in range(tree[c]["path"].count("/") + 1)})
        made["category_names"] = {lang: sorted({tree[i]["names"][lang] for i in chain}) for lang in ("ko", "en")}
    paths = made.get("category_paths", [])
    made["category_set"] = ",".join(p for p in paths if not any(q.startswith(p + "/") for q in paths))
    if len(made["category_set"]) > 1000:
        made["category_set"] = "*"
    if prices:
        made["price_min"], made["price_max"] = min(prices), max(prices)
    varied = {n for v in product.get("variants") or [] for n, _ in flatten(v.get("attributes", {}))}
    made.update(varied=sorted(varied), **terms_of([p for p in flatten(product.get("attributes", {})) if p[0] not in varied]))
    if is_flat(product):
        made["flat"] = skus[0].document(varied)
    else:
        made["variants"] = [s.document(varied) for s in skus]
    return made


# ---- the same question answered in Python ----------------------------------------------------------------------

class Reference:
    """Which products a set of filters finds: straight from the products, without documents and their two forms."""

    def __init__(self, products, stock, tree):
        self.products, self.tree = products, tree
        self.skus = {p["id"]: skus_of(p, stock) for p in products}
        self.paths = {p["id"]: [tree[c]["path"] for c in p.get("categories", [])] for p in products}

    def _product_matches(self, product, filters):
        for key, values in filters.items():
            if key == "brand" and product.get("brand") not in values:
                return False
            if key == "category" and not any(path == v or path.startswith(v + "/") for path in self.paths[product["id"]]
                                             for v in values):
                return False
        return True

    @staticmethod
    def _sku_matches(sku, filters):
        for key, values in filters.items():
            if key == "in_stock":
                if not any((sku.stock != "out") == (v == "true") for v in values):
                    return False
            elif key == "price":
                if sku.price is None or not any(within(sku.price, v) for v in values):
                    return False
            elif key.startswith("attr."):
                name = key[5:]
                if not any(f"{name}={v}" in sku.terms or (".." in v and any(n == name and within(x, v) for n, x in sku.numbers))
                           for v in values):
                    return False
        return True

    def find(self, filters):
        """{id: [skus that match every filter of variants]}; filters: {parameter: [values]}"""
        result = {}
        for product in self.products:
            if self._product_matches(product, filters):
                matched = [s.sku for s in self.skus[product["id"]] if self._sku_matches(s, filters)]
                if matched:
                    result[product["id"]] = matched
        return result


def within(number, text):
    low, high = text.split("..")
    return (not low or number >= float(low)) and (not high or number <= float(high))


# ---- the indexes -----------------------------------------------------------------------------------------------

class SearchIndex:
    """A product index from mappings/ and an index of categories, with names that no other test has."""

    def __init__(self, stack, mapping=None, without=()):
        """mapping: a file of mappings/; None: as the projector chooses, by what the server has. without: fields that an older
        mapping had not."""
        self.stack, self.without = stack, without
        self.name = f"t-query-{secrets.token_hex(4)}"
        self.index, self.categories_index = f"{self.name}-products", f"{self.name}-categories"
        self.overrides_index, self.keys_index = f"{self.name}-overrides", f"{self.name}-keys"
        self.events_index, self.queries_index = f"{self.name}-events", f"{self.name}-queries"
        self.environment = {**stack.environment, "READSIDE_QUERY_API_INDEX": self.index, "READSIDE_QUERY_API_CATEGORIES_INDEX": self.categories_index,
                            "READSIDE_QUERY_API_OVERRIDES_INDEX": self.overrides_index, "READSIDE_QUERY_API_KEYS_INDEX": self.keys_index,
                            "READSIDE_QUERY_API_EVENTS_INDEX": self.events_index,
                            "READSIDE_QUERY_API_QUERIES_INDEX": self.queries_index}
        self.mapping = mapping or ("products-v1.json" if stack.has_nori else "products-v1-plain.json")
        self.tree = {}

    @staticmethod
    def _mapping_file(name):
        with open(os.path.join(ROOT, "mappings", name), encoding="utf-8") as f:
            made = json.load(f)
        if "projection" in made:
            made["mappings"]["_meta"] = {"readside": {"mapping": name, "projection": made["projection"]}}
        return {"settings": made["settings"], "mappings": made["mappings"]}

    def create_products(self, shards=1):
        made = self._mapping_file(self.mapping)
        for field in self.without:
            del made["mappings"]["properties"][field]
        projection = made["mappings"]["_meta"]["readside"]["projection"]
        projection["rules"] = [rule for rule in projection["rules"] if rule["field"] not in self.without]
        made["settings"]["index"]["number_of_shards"] = shards
        self.stack.es("PUT", f"/{self.index}", made)

    def create(self, shards=1):
        self.create_products(shards)
        self.stack.es("PUT", f"/{self.categories_index}", self._mapping_file("categories-v1.json"))
        return self

    def _bulk(self, index, pairs):
        lines = []
        for key, document in pairs:
            lines += [json.dumps({"index": {"_id": key}}), json.dumps(document, ensure_ascii=False)]
        reply = self.stack.http.post(f"{self.stack.es_url}/{index}/_bulk?refresh=true", data=("\n".join(lines) + "\n").encode(),
                                     headers={"Content-Type": "application/x-ndjson"}, timeout=60)
        answer = reply.json()
        assert reply.status_code == 200 and not answer["errors"], reply.text[:2000]

    def put_categories(self, tree, revision):
        """tree: {id: {"path": "1/4", "name": "…", "names": {"ko": "…", "en": "…"}}}; "_meta" last, as the projector does."""
        self.tree = tree
        documents = []
        for number, category in tree.items():
            steps = category["path"].split("/")
            made = {"id": number, "path": category["path"], "level": len(steps), "name": category["name"],
                    "names": category["names"], "revision": revision}
            documents.append((str(number), {**made, "parent_id": int(steps[-2])} if len(steps) > 1 else made))
        self._bulk(self.categories_index, documents + [("_meta", {"revision": revision})])

    def put(self, documents):
        self._bulk(self.index, [(d["id"], d) for d in documents])

    def put_products(self, products, stock):
        self.put([{k: v for k, v in compose(p, stock, self.tree).items() if k not in self.without} for p in products])

    def remove(self):
        for name in (self.index, self.categories_index, self.overrides_index, self.keys_index, self.events_index, self.queries_index):
            self.stack.es("DELETE", f"/{name}", expect=(200, 404))
