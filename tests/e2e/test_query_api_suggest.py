"""GET /v1/suggest: what is offered while somebody types, in Korean and English, in either keyboard layout."""
import json
import re

import pytest
from harness.query_fixture import PRODUCTS, STOCK, Shop

LAPTOPS = {"gram-16", "gram-14", "odyssey"}


@pytest.fixture(scope="module")
def shop(stack, tmp_path_factory):
    made = Shop(stack, tmp_path_factory.mktemp("suggest"), PRODUCTS, STOCK)
    try:
        yield made.start()
    finally:
        made.close()


def suggest(shop, q, **more):
    reply = shop.session.get(shop.url + "/v1/suggest", params={"q": q, **more}, timeout=10)
    assert reply.status_code == 200, reply.text
    answer = reply.json()
    assert answer["query"]["q"] == q.strip() and answer["degraded"] is None and answer["took_ms"] >= 0
    return answer


def queries(answer):
    return [entry["q"] for entry in answer["queries"]]


@pytest.mark.parametrize("q, completion, product", [
    ("노", "노트북", LAPTOPS), ("노트", "노트북", LAPTOPS), ("노ㅌ", "노트북", LAPTOPS), ("노트ㅂ", "노트북", LAPTOPS),
    ("노틉", "노트북", LAPTOPS), ("ㄴ", "노트북", LAPTOPS), ("ㄴㅌ", "노트북", LAPTOPS), ("ㄴㅌㅂ", "노트북", LAPTOPS),
    ("shxm", "노트북", LAPTOPS), ("shxmq", "노트북", LAPTOPS), ("lap", "laptop", LAPTOPS), ("LAP", "laptop", LAPTOPS),
    ("ㅣ메새", "laptop", LAPTOPS), ("LG gra", "LG gram", {"gram-16", "gram-14"}), ("엘지", None, set()),
    ("그램 노", "그램 노트북", {"gram-16", "gram-14"}), ("울트", "울트라기어", {"monitor"}), ("sams", "Samsung", {"odyssey", "bag"}),
    ("노트북", "노트북 가방", LAPTOPS), ("노트북 가", "노트북 가방", {"bag"}), ("Nike run", "Nike running", {"runner"}),
    ("NT940X", None, {"odyssey"}), ("nt940xgk-kc", None, {"odyssey"}), ("880609500", None, {"odyssey"}), ("16z90", None, {"gram-16"}),
])
def test_what_is_begun(shop, q, completion, product):
    answer = suggest(shop, q, size=10)
    if completion:
        assert completion.lower() in [entry.lower() for entry in queries(answer)[:3]], answer
    first = [p["id"] for p in answer["products"]][:len(product)]
    assert set(first) == product, answer


@pytest.mark.parametrize("q, lang, names", [
    ("노트", "ko", ["노트북"]), ("ㄴㅌㅂ", "ko", ["노트북"]), ("shxmq", "ko", ["노트북"]), ("노틉", "ko", ["노트북"]),
    ("게이밍", "ko", ["게이밍 노트북"]), ("gaming l", "en", ["Gaming laptops"]), ("mon", "en", ["Monitors"]), ("패", "en", ["Fashion"]),
    ("zzz", "ko", []),
])
def test_categories(shop, q, lang, names):
    found = suggest(shop, q, lang=lang)["categories"]
    assert [c["name"] for c in found] == names
    for category in found:
        assert shop.search(f"category={category['path']}")["total"]["value"] > 0


def test_each_completion_finds_something(shop):
    for q in ("노", "lap", "ㄴ", "g", "삼", "LG "):
        for entry in queries(suggest(shop, q, size=20)):
            assert shop.search(body={"q": entry})["total"]["value"] > 0, (q, entry)


def test_nothing_is_offered_that_is_there_already(shop):
    for q in ("노트북", "laptop", "Laptop"):
        assert q.lower() not in [entry.lower() for entry in queries(suggest(shop, q))]


def test_what_is_sold_out_comes_last(shop):
    assert [p["id"] for p in suggest(shop, "노트북", size=20)["products"]][-1] == "gone"


@pytest.mark.parametrize("q", ["l", "L", "s", "n", "1"])
def test_one_letter(shop, q):
    """What is popular comes first (without events: by id), what is sold out last."""
    answer = suggest(shop, q, size=20)
    ids = [(not p["in_stock"], p["id"]) for p in answer["products"]]
    assert ids and ids == sorted(ids)
    for product in answer["products"]:
        text = json.dumps([shop.search(body={"q": product["id"], "fields": ["category_names"]})["hits"][0]], ensure_ascii=False).lower()
        assert re.search(rf"(?<![a-z0-9]){q.lower()}", text), (q, product)
    assert all(entry.lower().startswith(q.lower()) for entry in queries(answer))


def test_size_and_language(shop):
    answer = suggest(shop, "노", size=1, lang="en")
    assert len(answer["queries"]) == len(answer["products"]) == len(answer["categories"]) == 1
    assert answer["products"][0]["name"].isascii() and set(answer["products"][0]["price"]) == {"min", "max"}


def test_one_request_of_the_engine(shop):
    before = shop.api.metric("readside_query_api_upstream_seconds_count")
    for q in ("노ㅌ", "zzzz", "shxm"):
        suggest(shop, q)
    assert shop.api.metric("readside_query_api_upstream_seconds_count") == before + 3


@pytest.mark.parametrize("q", ["\u3131\u3131\u3131\u3131\u3131", "\u314f", "\u3133", "\U0001f600", "a" * 512, "(((", '"]}', "*", "a*b?c[", "\\", "..", "노트북 " * 40,
                               "ㄴ" * 170, "힣" * 170, "@@@@", "&", "<>", "~", "\u1100\u1161", "ＬＧ", "　노　"])
def test_strange_texts(shop, q):
    reply = shop.session.get(shop.url + "/v1/suggest", params={"q": q}, timeout=10)
    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize("text, field", [
    ("", "q"), ("q=", "q"), ("q=%20", "q"), ("q=" + "x" * 513, "q"), ("q=a&q=b", "q"), ("q=a&size=0", "size"), ("q=a&size=21", "size"),
    ("q=a&size=x", "size"), ("q=a&lang=KO", "lang"), ("q=a&brand=LG", "brand"), ("q=%FF", "query"), ("q=%00", "query"), ("q=a%07b", "q"),
])
def test_mistakes_are_named(shop, text, field):
    reply = shop.get("/v1/suggest?" + text)
    assert reply.status_code == 400 and reply.headers["Content-Type"] == "application/problem+json"
    assert [e["field"] for e in reply.json()["errors"]] == [field]


@pytest.mark.parametrize("end", ["노트", "노ㅌ", "노틉", "ㄴㅌ"])
def test_marks_before_what_is_begun(shop, end):
    suggest(shop, "(" * (512 - len(end.encode())) + end)
