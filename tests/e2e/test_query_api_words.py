"""The table of searches in data/search_cases.tsv: what must be among the first three, with nori and without."""
import json
import os

import pytest
from harness.query_fixture import Shop

DATA = os.path.join(os.path.dirname(os.path.realpath(__file__)), "data")
MAPPINGS = {"nori": "products-v1.json", "plain": "products-v1-plain.json"}


def lines(name):
    with open(os.path.join(DATA, name), encoding="utf-8") as f:
        return [line.rstrip("\n") for line in f if line.strip() and not line.startswith("#")]


PRODUCTS = [json.loads(line) for line in lines("search_catalogue.ndjson")]
CASES = [line.split("\t") for line in lines("search_cases.tsv")]


@pytest.fixture(scope="module", params=MAPPINGS)
def shop(request, stack, tmp_path_factory):
    if request.param == "nori" and not stack.has_nori:
        pytest.skip("this server has no nori")
    with open(os.path.join(DATA, "search_categories.json"), encoding="utf-8") as f:
        tree = {int(number): tuple(row) for number, row in json.load(f).items()}
    stock = {v["sku"]: "in" for p in PRODUCTS for v in p.get("variants", [{"sku": p["id"]}])}
    made = Shop(stack, tmp_path_factory.mktemp(request.param), PRODUCTS, stock, tree=tree, mapping=MAPPINGS[request.param])
    try:
        yield made.start()
    finally:
        made.close()


def test_the_table_is_as_large_as_it_says():
    assert len(CASES) >= 150 and len({case[0] for case in CASES}) == len(CASES)
    known = {p["id"] for p in PRODUCTS}
    for _, expected, _ in CASES:
        assert set(expected.replace("!", "").replace("|", ", ").split(", ")) <= known, expected


@pytest.mark.parametrize("q, expected, about", CASES, ids=[case[0] for case in CASES])
def test_what_stands_first(shop, q, expected, about):
    """"a, b": both among the first three; "a|b": nothing but these among the first three; "a!": the very first."""
    answer = shop.search(body={"q": q, "size": 10})
    found = [hit["id"] for hit in answer["hits"]]
    said = f"{q} ({about}): {found} {answer['query']}"
    if expected.endswith("!"):
        assert found[:1] == [expected[:-1]], said
    elif "|" in expected:
        assert found and set(found[:3]) <= set(expected.split("|")), said
    else:
        assert set(expected.split(", ")) <= set(found[:3]), said


@pytest.mark.parametrize("q, meant", [
    ("refridgerator", "refrigerator"), ("samsong", "samsung"), ("blutooth speaker", "bluetooth speaker"), ("keybord", "keyboard"), ("wireles earphonez", "wireless earphones"),
    ("headphnes", "headphones"), ("노투북", "노트북"), ("냉장거", "냉장고"), ("에어프라이아", "에어프라이어"), ("samsong 노투북", "samsung 노트북"),
    # what is written right has no other spelling, nor has what is found in another way
    ("laptop", None), ("노트북", None), ("samsung refrigerator", None), ("shxmqnr", None), ("ㄴㅌㅂ", None), ("NT940XGK-KC51G", None), ("qqxxzzvv", None), ("13.3인치", None),
])
def test_did_you_mean(shop, q, meant):
    """What is offered is what finds what was found, and needs no correction itself."""
    answer = shop.search(body={"q": q})
    print(answer["query"])
    assert answer["query"].get("did_you_mean") == meant
    assert "did_you_mean" not in shop.search(body={"q": q, "typo": False})["query"]
    if meant:
        right = shop.search(body={"q": meant})
        assert "did_you_mean" not in right["query"] and right["hits"] and answer["hits"][0]["id"] in [hit["id"] for hit in right["hits"]]
