"""An index of several shards, each of which sends only its own most frequent values: counts are exact all the same, and a walk by
cursor meets every product once."""
import pytest
from harness.query_fixture import Shop
from test_query_api_facets import TREE, Checker, choices, crowded_shop, random_shop, states

SHARDS = 3


def sharded(stack, folder, products, stock=None):
    return Shop(stack, folder, products, stock or {}, TREE, shards=SHARDS)


def test_every_count_is_the_total_of_choosing_it(stack, tmp_path, rng):
    products, stock = random_shop(rng, 300)
    shop = sharded(stack, tmp_path, products, stock)
    try:
        checker = Checker(shop.start())
        wrong = sum(map(checker.check, states(rng, products, 60)), [])
        assert not wrong, f"{len(wrong)} of {checker.compared} counts wrong, such as\n" + "\n".join(wrong[:10])
        assert checker.compared > 500
    finally:
        shop.close()


def wrong_counts(shop, checker, filters, facets):
    answer = checker.ask(filters, facets=",".join(facets), size=0, facet_size=10)
    for name, value, count in choices(answer["facets"]):
        clicked = {**{k: v for k, v in filters.items() if k != name}, name: [value]}
        if not count == checker.total(clicked) == len(shop.reference.find(clicked)):
            yield f"{name}={value}: count {count}, chosen {checker.total(clicked)}: {filters} {facets}"
    for name in facets:
        facet = answer["facets"].get(name)
        if name == "brand" and not filters:
            assert sum(v["count"] for v in facet["values"]) + facet["other"] == sum("brand" in p for p in shop.products)


@pytest.mark.parametrize("asked", [({}, ["attr.*", "brand"]), ({}, ["attr.lot", "attr.twin", "attr.grade"]), ({"brand": ["LG"]}, ["attr.*", "brand"]),
                                   ({"attr.lot": ["u3996", "l9"], "attr.size": ["S"]}, ["attr.*", "attr.lot"]),
                                   ({"price": ["1..9"]}, ["attr.serial", "attr.twin", "attr.lot", "attr.grade"])])
def test_counts_are_exact_where_lists_are_cut_off(crowded, asked):
    wrong = list(wrong_counts(crowded, Checker(crowded), *asked))
    assert not wrong, f"{len(wrong)} wrong, such as\n" + "\n".join(wrong[:10])


@pytest.fixture(scope="module")
def crowded(stack, tmp_path_factory):
    shop = sharded(stack, tmp_path_factory.mktemp("crowded"), crowded_shop(4000))
    try:
        yield shop.start()
    finally:
        shop.close()


def test_brands_are_exact_where_every_shard_leaves_some_out(stack, tmp_path):
    """More brands than a shard sends (10,000), and the frequent ones barely so: what a shard left out is asked for."""
    few, often = [f"b{n % 20000}" for n in range(3 * 20000)], [f"top{n % 20}" for n in range(8 * 20)]
    shop = sharded(stack, tmp_path, [{"id": f"p{n}", "price": 5, "brand": brand} for n, brand in enumerate(few + often)])
    try:
        checker = Checker(shop.start())
        shown = checker.ask({}, facets="brand", facet_size=20, size=0)["facets"]["brand"]["values"]
        assert {v["value"] for v in shown} == set(often), shown
        for filters in ({}, {"brand": ["b7", "top3", "none"]}):
            wrong = list(wrong_counts(shop, checker, filters, ["brand"]))
            assert not wrong, "\n".join(wrong)
    finally:
        shop.close()


def test_a_walk_by_cursor_meets_every_product_once(crowded):
    seen, cursor = [], "*"
    while cursor:
        answer = crowded.search(f"size=100&sort=price:asc&cursor={cursor}")
        seen += [hit["id"] for hit in answer["hits"]]
        cursor = answer["next_cursor"]
    assert sorted(seen) == sorted(p["id"] for p in crowded.products)
