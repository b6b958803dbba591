"""Facet counts against what one gets by choosing the value, and totals against the same question answered in Python."""
import collections
import copy
import http.client
import itertools
import json
import os
import random
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.query_fixture import Shop
from harness.search_index import compose

STATES = 250
TREE = {1: ("1", "가", "A"), 2: ("1/2", "나", "B"), 3: ("1/3", "다", "C"), 4: ("1/2/4", "라", "D"), 5: ("5", "마", "E"), 12: ("5/12", "바", "F")}
BRANDS = ["LG", "Samsung", "나이키", "O'Neill & <Co>", "a,b", "="]
# Values of the same attribute in several shapes; names with what regular expressions and query strings care about.
ATTRIBUTES = {
    "color": ["black", "red", "하양", "light blue", "a=b"], "size": ["S", "M", "L", 90, 95.5, -3], "fit.cut": ["slim", "wide"],
    "a|b[c": ["x", "y", True], "waterproof": [True, False], "inch": [13, 13.3, 14, 0, 1e-7, 250000], "태그": ["신상", "특가", "#1", "50%"],
}
STATES_OF_STOCK = ["in", "low", "out", None]
NAMES = [("무선 이어폰", "wireless earphones"), ("노트북 가방", "laptop bag"), ("게이밍 노트북", "gaming laptop"), ("유기농 녹차", "organic green tea"),
         ("운동화", "running shoes"), ("보조 배터리", "spare battery"), ("냉장고", "refrigerator")]  # the last ones have few products
INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"


def random_attributes(rng, names, chance):
    made = {}
    for name in names:
        if rng.random() < chance:
            values = rng.sample(ATTRIBUTES[name], rng.choice([1, 1, 1, 2, 3 if len(ATTRIBUTES[name]) > 2 else 2]))
            made[name] = values if len(values) > 1 else values[0]
    return made


def random_shop(rng, count):
    products, stock = [], {}
    for n in range(count):
        ko, en = rng.choice(NAMES[:rng.randint(1, len(NAMES))])
        product = {"id": f"p{n:04}", "name": {"ko": ko, "en": en}, "attributes": random_attributes(rng, ATTRIBUTES, 0.5)}
        if rng.random() < 0.9:
            product["brand"] = rng.choice(BRANDS[: rng.randint(1, len(BRANDS))])
        if rng.random() < 0.9:
            product["price"] = rng.choice([0, 99, 100, 1999, 2000, rng.randrange(10**rng.randint(1, 9))])
        if rng.random() < 0.9:
            product["categories"] = rng.sample(sorted(TREE), rng.choice([1, 1, 2, 3]))
        kind = rng.random()
        if kind < 0.6:
            product["variants"] = [{"sku": f"p{n:04}-{v}"} for v in range(1 if kind < 0.1 else rng.randint(1, 5))]
            for variant in product["variants"] if kind >= 0.1 else []:
                own = random_attributes(rng, ["color", "size", "inch"], 0.6)
                if own:
                    variant["attributes"] = own
                if rng.random() < 0.4:
                    variant["price"] = rng.randrange(10**rng.randint(1, 7))
        products.append(product)
        for sku in [v["sku"] for v in product.get("variants", [])] or [product["id"]]:
            state = rng.choice(STATES_OF_STOCK)
            if state:
                stock[sku] = state
    return products, stock


def random_filters(rng, products):
    """What a visitor of the shop may have chosen: mostly what some product has."""
    filters = {}
    for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 4])):
        key = rng.choice(["brand", "category", "price", "in_stock", "attr", "attr", "attr"])
        for _ in range(rng.choice([1, 1, 2])):
            if key == "brand":
                filters.setdefault(key, set()).add(rng.choice(BRANDS + ["nobody"]))
            elif key == "category":
                filters.setdefault(key, set()).add(rng.choice([t[0] for t in TREE.values()] + ["5/99"]))
            elif key == "price":
                low = rng.choice(products).get("price", 5)
                filters.setdefault(key, set()).add(rng.choice([f"{low}..", f"..{low}", f"{low}..{low * 3}", "100..1999"]))
            elif key == "in_stock":
                filters.setdefault(key, set()).add(rng.choice(["true", "true", "false"]))
            else:
                name = rng.choice(sorted(ATTRIBUTES))
                value = rng.choice(ATTRIBUTES[name] + ["none"])
                text = rng.choice(["13..14", "..0", "90.5..", "-5..95.5"]) if name in ("inch", "size") and rng.random() < 0.3 else \
                    {True: "true", False: "false"}[value] if isinstance(value, bool) else f"{value:.0f}" if value == 250000 else str(value)
                filters.setdefault("attr." + name, set()).add(text)
    return {k: sorted(v) for k, v in filters.items()}


def random_words(rng, products):
    """What a visitor may have typed: right, with a slip of the finger, as initials, two words that need not belong together, a code."""
    ko, en = rng.choice(NAMES)
    word = rng.choice((ko + " " + en).split())
    kind = rng.choice(["exact", "typo", "initials", "two", "code"])
    if kind == "typo":
        word = rng.choice([w for w in en.split() if len(w) > 4])
        at = rng.randrange(1, len(word) - 1)
        return word[:at] + word[at + 1:]
    if kind == "initials":
        return "".join(INITIALS[(ord(c) - ord("가")) // 588] for c in ko if c != " ")
    if kind == "two":
        return f"{word} {rng.choice(' '.join(rng.choice(NAMES)).split())}"
    if kind == "code":
        return rng.choice(["", word + " "]) + rng.choice(products)["id"]
    return rng.choice([word, ko, en])


def random_facets(rng):
    names = ["brand", "category", "price", "in_stock", "attr.*"] + ["attr." + n for n in ATTRIBUTES if "," not in n]
    return rng.sample(names, rng.randint(1, 5))


def choices(facets):
    """(parameter, value, count) of everything in the answer that can be chosen."""
    for name, facet in facets.items():
        if facet["type"] == "value":
            yield from ((name, v["value"], v["count"]) for v in facet["values"])
        elif facet["type"] == "range":
            yield from ((name, f"{b['from']}..{'' if b['to'] is None else b['to']}", b["count"]) for b in facet["histogram"])
        else:
            nodes = list(facet["nodes"])
            while nodes:
                node = nodes.pop()
                nodes += node["children"]
                yield name, node["path"], node["count"]


def ends(facet):
    return facet.get("min"), facet.get("max")


def ends_of_values(facet):
    """Of a facet of numbers all of whose values are shown."""
    try:
        numbers = [float(v["value"]) for v in facet["values"] if v["count"]]
    except ValueError:
        return None, None
    return (min(numbers), max(numbers)) if numbers else (None, None)


class Checker:
    """Asks over a connection per thread, and remembers totals: different states lead to the same search."""

    def __init__(self, shop):
        self.shop, self.totals, self.said, self.compared, self.walks = shop, {}, {}, 0, 0

    def ask(self, filters, **more):
        pairs = [(k, v) for k, values in filters.items() for v in values] + list(more.items())
        connection = http.client.HTTPConnection("127.0.0.1", self.shop.api.port, timeout=30)
        try:
            connection.request("GET", "/v1/search?" + urllib.parse.urlencode(pairs))
            reply = connection.getresponse()
            text = reply.read()
        finally:
            connection.close()
        if reply.status == 503 and "cursor" in more:  # the server keeps only so many searches open
            return None
        assert reply.status == 200, f"{pairs}: {reply.status} {text[:1000]}"
        return json.loads(text)

    def total(self, filters):
        key = json.dumps(filters, sort_keys=True)
        if key not in self.totals:
            self.totals[key] = self.ask(filters, size=0)["total"]["value"]
        return self.totals[key]

    def found(self, filters):
        """Of what the words find in the whole shop, what the filters leave: words mean the same whatever is chosen."""
        found = self.shop.reference.find(filters)
        for q in filters.get("q", []):
            if q not in self.said:
                pages = [self.ask({"q": [q]}, size=100, page=n + 1)["hits"] for n in range(len(self.shop.products) // 100 + 1)]
                self.said[q] = {hit["id"] for page in pages for hit in page}
            found = {key: skus for key, skus in found.items() if key in self.said[q]}
        return found

    def check(self, state):
        """Mistakes of one state, as texts."""
        filters, facets, size = state
        found = self.found(filters)
        asked = {"facets": ",".join(facets), "facet_size": 1000}
        answer = self.ask(filters, size=size, **asked)
        wrong = []
        one = self.ask(filters, size=20, cursor="*", **asked)  # never in parts, and never by sets
        self.walks += one is not None
        if one and (one["facets"] != answer["facets"] or one["total"] != answer["total"] or one["hits"][:size] != answer["hits"]):
            wrong.append(f"in parts {answer}, as one search {one}: {filters} {facets}")
        if answer["total"]["value"] != len(found):
            wrong.append(f"total {answer['total']['value']}, not {len(found)}: {filters} {facets}")
        for hit in answer["hits"]:
            if hit["id"] not in found:
                wrong.append(f"{hit['id']} is found: {filters}")
            elif any(k.startswith(("price", "in_stock", "attr.")) for k in filters) and sorted(hit["matched_variants"]) != sorted(found[hit["id"]]):
                wrong.append(f"{hit['id']}: {hit['matched_variants']} matched, not {found[hit['id']]}: {filters} {facets}")
        wrong += [f"{name}: ends {ends(facet)}: {filters} {facets}" for name, facet in answer["facets"].items()
                  if name.startswith("attr.") and ends(facet) != ends_of_values(facet)]
        for name, value, count in choices(answer["facets"]):
            clicked = {**{k: v for k, v in filters.items() if k != name}, name: [value]}
            total = self.total(clicked)
            self.compared += 1
            if not count == total == len(self.found(clicked)):
                wrong.append(f"{name}={value!r}: count {count}, chosen {total}, reference {len(self.found(clicked))}: {filters} {facets}")
        return wrong


@pytest.fixture(scope="module")
def seed():
    made = int(os.environ.get("READSIDE_TEST_SEED") or random.SystemRandom().randrange(2**32))
    print(f"seed: READSIDE_TEST_SEED={made}")
    return made


@pytest.fixture(scope="module")
def shop(stack, tmp_path_factory, seed):
    products, stock = random_shop(random.Random(seed), 300)
    made = Shop(stack, tmp_path_factory.mktemp("facets"), products, stock, TREE)
    try:
        yield made.start()
    finally:
        made.close()


def states(rng, products, count, words=10):
    """One of so many with words, which take the server longer."""
    return [({**random_filters(rng, products), **({"q": [random_words(rng, products)]} if n % words == 0 else {})}, random_facets(rng), rng.choice([0, 5, 20]))
            for n in range(count)]


def check_states(shop, seed, count, nth=0, words=10):
    print(f"seed: READSIDE_TEST_SEED={seed}")
    checker = Checker(shop)
    with ThreadPoolExecutor(4) as pool:
        wrong = sum(pool.map(checker.check, states(random.Random(seed + nth + 1), shop.products, count, words)), [])
    assert not wrong, f"seed {seed}, {len(wrong)} of {checker.compared} counts wrong, such as\n" + "\n".join(wrong[:10])
    assert checker.compared > 6 * count and checker.walks > count // 4
    assert len(checker.said) > count // (2 * words) and sum(map(len, checker.said.values())) > count // words


def test_every_count_is_the_total_of_choosing_it(shop, seed):
    check_states(shop, seed, STATES)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", range(12))
def test_over_thousands_of_states(stack, tmp_path, seed, number):
    """Of a dozen shops that differ."""
    products, stock = random_shop(random.Random(seed + 100 * number), 300)
    made = Shop(stack, tmp_path, products, stock, TREE)
    try:
        check_states(made.start(), seed, STATES, 100 * number, words=5)
    finally:
        made.close()


def test_an_index_of_before_there_were_sets(stack, tmp_path, seed):
    products, stock = random_shop(random.Random(seed + 3), 200)
    made = Shop(stack, tmp_path, products, stock, TREE, without=("category_set", "offers"))
    try:
        check_states(made.start(), seed, 40, 3)
    finally:
        made.close()


def test_an_index_that_turns_out_to_have_no_sets(stack, tmp_path, seed):
    """As after a rollback to an older one, until that is noticed: here it is not looked for after the start."""
    products, stock = random_shop(random.Random(seed + 4), 150)
    made = Shop(stack, tmp_path, products, stock, TREE, settings={"query-api.categories_poll": "1h"})
    try:
        check_states(made.start(), seed, 40, 4)
        made.index.without = ("category_set", "offers")
        stack.es("DELETE", f"/{made.index.index}")
        made.index.create_products()
        made.index.put_products(products, stock)
        check_states(made, seed, 40, 4)
        assert "event=index.changed" not in made.api.log()
    finally:
        made.close()


@pytest.mark.parametrize("many", ["products with", "categories of one product"])
def test_categories_that_sets_do_not_say(stack, tmp_path, many):
    """More sets than a list has, or one that is too long for a term: counted by path then."""
    tree = {1: ("1", "전부", "All"), **{n: (f"1/{n}", f"분류 {n}", f"Category {n}") for n in range(1000, 1150)}}
    pairs = list(itertools.combinations(range(1000, 1150), 2))[:10500 if many == "products with" else 40]
    products = [{"id": f"p{n}", "price": 5, "categories": list(pair)} for n, pair in enumerate(pairs)]
    if many != "products with":
        products.append({"id": "everywhere", "price": 5, "categories": [n for n in tree if n != 1]})
    made = Shop(stack, tmp_path, products, {}, tree)
    try:
        checker = Checker(made.start())
        for filters in ({}, {"category": ["1/1003"]}):
            (root,) = checker.ask(filters, facets="category,in_stock", size=0)["facets"]["category"]["nodes"]
            counts = {node["path"]: node["count"] for node in root["children"]}
            assert root["count"] == len(products)
            expected = collections.Counter(tree[n][0] for p in products for n in p["categories"])
            assert counts == expected
    finally:
        made.close()


def test_a_name_that_sorts_behind_all_others(shop):
    """No product has it, and no term of the index comes after it: OpenSearch's short cut for prefixes must not be taken. It
    fails for sure where there is one segment."""
    for action in ("_forcemerge?max_num_segments=1", "_refresh"):
        shop.index.stack.es("POST", f"/{shop.index.index}/{action}")
    assert not list(choices(Checker(shop).ask({}, facets="attr.힣,attr.zzz", size=0)["facets"]))


def crowded_shop(count):
    """Frequent values of flat products that a few varied ones have as well, where lists of varied ones are full of others."""
    products = []
    for n in range(count):
        varied, few = n % 5 < 2, n % 25 == 0
        attributes = {"serial": f"s{n}", "kind": "abc"[n % 3], "twin": f"t{n // 2}"}
        if few or not varied:
            attributes |= {"grade": f"g{n // 7 % 40}", "lot": f"l{n // 7 % 10}"}
        elif varied:
            attributes["lot"] = f"u{n}"
        product = {"id": f"p{n}", "price": 5, "brand": BRANDS[n % 3], "attributes": attributes}
        if varied:
            product["variants"] = [{"sku": f"p{n}-{v}", "attributes": {"size": "SML"[v]}} for v in range(1 if few else 3)]
        products.append(product)
    return products


def test_counts_are_exact_where_lists_are_cut_off(stack, tmp_path, rng):
    made = Shop(stack, tmp_path, crowded_shop(4000), {}, TREE)
    # what is asked, and how many of its counts at least
    asked = [({}, ["attr.*"], 20), ({}, ["attr.lot", "attr.twin"], 20), ({"brand": ["LG"]}, ["attr.*", "brand"], 20),
             ({"attr.serial": ["s3999", "s7", "none"], "attr.kind": ["a"]}, ["attr.*", "attr.serial"], 10),
             ({"attr.lot": ["u3996", "l9"], "attr.size": ["S"]}, ["attr.*", "attr.lot"], 10), ({"attr.twin": ["t1999"]}, ["attr.twin"], 11),
             ({"price": ["1..9"]}, ["attr.serial", "attr.twin", "attr.lot", "attr.grade"], 40)]
    try:
        checker = Checker(made.start())
        wrong = []
        for filters, facets, least in asked:
            answer = checker.ask(filters, facets=",".join(facets), size=rng.choice([0, 5]), facet_size=10)
            everything = list(choices(answer["facets"]))
            assert len(everything) >= least, (filters, facets, len(everything))
            assert {(k, v) for k in filters if k in answer["facets"] for v in filters[k]} <= {c[:2] for c in everything}
            for name, value, count in everything:
                clicked = {**{k: v for k, v in filters.items() if k != name}, name: [value]}
                if not count == checker.total(clicked) == len(made.reference.find(clicked)):
                    wrong.append(f"{name}={value}: count {count}, chosen {checker.total(clicked)}: {filters} {facets}")
        assert not wrong, f"{len(wrong)} wrong, such as\n" + "\n".join(wrong[:10])
    finally:
        made.close()


def in_both_forms(document):
    return {**document, "variants": [document["flat"]]} if "flat" in document else document


def with_terms_in_both_places(document):
    made = copy.deepcopy(document)
    made["attrs"] += [a for variant in made.get("variants", []) for a in variant.get("attrs", [])]
    return made


def without_the_names_that_vary(document):
    made = copy.deepcopy(document)
    for variant in made.get("variants", []):
        variant["names"] = []
    return made


@pytest.mark.parametrize("plant", [in_both_forms, with_terms_in_both_places, without_the_names_that_vary])
def test_a_wrong_form_of_document_is_noticed(stack, tmp_path, seed, plant):
    """The negative control: documents that break the rule of one place for a dimension make the property fail."""
    products, stock = random_shop(random.Random(seed), 100)
    made = Shop(stack, tmp_path, products, stock, TREE)
    try:
        made.start()
        made.index.put([plant(compose(p, stock, made.tree)) for p in products])
        checker = Checker(made)
        assert any(checker.check(state) for state in states(random.Random(seed + 2), products, STATES)), f"seed {seed}"
    finally:
        made.close()
