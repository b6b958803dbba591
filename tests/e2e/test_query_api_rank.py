"""What orders products that are found in the same way: how new they are, sales and popularity; and that none of it lifts
anything over a layer. Ids are such that without it the order would be another: of equals the smaller id comes first."""
import contextlib
import datetime

import pytest
from harness.process import Program
from harness.query_fixture import PATIENT, Shop

SIGNALS = ("sales", "popularity", "recency")
MOST = 48  # the step at which sales and popularity count in full
CODE = "ZX-4410"
AGES = {"a-300": 300, "b-400": 400, "c-120": 120, "d-60": 60, "e-3": 3, "f-1": 1}


def ago(days):
    return (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def pair(name, **better):
    """Two products that differ in nothing but this, the better one with the larger id."""
    return [{"id": f"{name}-a", "name": {"en": f"{name} lamp"}, "created_at": ago(300)},
            {"id": f"{name}-b", "name": {"en": f"{name} lamp"}, "created_at": ago(300), **better}]


PRODUCTS = [
    *pair("recency", created_at=ago(1)), *pair("sales", sales=MOST), *pair("popularity", popularity=MOST),
    *({"id": key, "name": {"en": "garden hose"}, "created_at": ago(days)} for key, days in AGES.items()),
    *({"id": key, "name": {"en": "trinket"}, "created_at": at} for key, at in (("x-unknown", None), ("y-old", ago(300)), ("z-new", ago(1)))),
    {"id": "z-code", "name": {"en": "kettle"}, "created_at": ago(300), "attributes": {"model": CODE}},
    {"id": "y-named", "name": {"en": f"cover {CODE}"}, "created_at": ago(300)},
    {"id": "a-many", "name": {"en": f"{CODE} kettle"}, "description": {"en": f"{CODE} {CODE} kettle"}, "created_at": ago(0),
     "sales": MOST, "popularity": MOST},
]


@pytest.fixture(scope="module")
def shop(stack, tmp_path_factory):
    made = Shop(stack, tmp_path_factory.mktemp("rank"), PRODUCTS, {p["id"]: "in" for p in PRODUCTS})
    try:
        yield made.start()
    finally:
        made.close()


@contextlib.contextmanager
def weights(shop, folder, **hundredths):
    """The same shop before a query-api with other weights."""
    usual, made = shop.api, Program("query-api", str(folder), shop.index.environment,
                                    {"query-api.cache_bytes": 0, "query-api.fallback": "false", **PATIENT, **{f"query-api.rank_{name}": n for name, n in hundredths.items()}})
    try:
        shop.api = made.start(deadline=30)
        yield
        made.stop()
    finally:
        shop.api = usual
        made.kill()


def by_age(shop):
    return [i for i in shop.ids("q=garden+hose") if i in AGES]


def test_of_two_equals_the_better_comes_first(shop):
    for name in SIGNALS:
        assert shop.ids(f"q={name}+lamp")[:2] == [f"{name}-b", f"{name}-a"], name


def test_new_for_a_week_then_less_each_day_until_half_a_year(shop):
    assert by_age(shop) == ["e-3", "f-1", "d-60", "c-120", "a-300", "b-400"], "within the week, and past half a year, all are alike"


def test_a_weight_of_nothing_is_none(shop, tmp_path):
    for name in SIGNALS:
        folder = tmp_path / name
        folder.mkdir()
        with weights(shop, folder, **{name: 0}):
            assert shop.ids(f"q={name}+lamp")[:2] == [f"{name}-a", f"{name}-b"], name
            others = [other for other in SIGNALS if other != name]
            assert [shop.ids(f"q={other}+lamp")[0] for other in others] == [f"{other}-b" for other in others]
            if name == "recency":
                assert by_age(shop) == sorted(AGES)


def test_without_words_age_does_not_count(shop):
    """The order of popularity, as sort=newest is one of its own."""
    assert shop.ids("size=2") == ["a-many", "popularity-b"]
    assert shop.ids("size=100")[2:] == sorted(p["id"] for p in PRODUCTS if "popularity" not in p)
    assert [i for i in shop.ids("sort=newest&size=100") if i in AGES] == sorted(AGES, key=AGES.get)


def test_a_product_of_unknown_age_is_not_new(shop):
    assert shop.ids("q=trinket") == ["z-new", "x-unknown", "y-old"]


@pytest.mark.parametrize("how", ["as usual", "as much as there is"])
def test_nothing_stands_above_an_exact_code(shop, tmp_path, how):
    with weights(shop, tmp_path, **dict.fromkeys(SIGNALS, 500)) if how != "as usual" else contextlib.nullcontext():
        for q in (CODE, "zx4410", "zx 4410"):
            assert shop.ids(body={"q": q})[:3] == ["z-code", "a-many", "y-named"], q
        assert shop.ids(body={"q": f"kettle {CODE}"})[:2] == ["z-code", "a-many"]
