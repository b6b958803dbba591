"""/v1/products: create, read, replace, merge-patch, delete; entity tags; what each mistake is answered with."""
import concurrent.futures
import re

import pytest
import requests

FULL = {
    "id": "gram-16", "name": {"ko": "LG 그램 16", "en": "LG gram 16"}, "description": "가볍다", "brand": "LG", "price": 1890000,
    "currency": "KRW", "attributes": {"screen_inch": 16, "weight_kg": 1.19, "touch": False, "ports": ["usb-c", 2, True],
                                      "size": {"width": 354, "deep": {"er": "$name"}}},
    "variants": [{"sku": "G16-BLK", "attributes": {"color": "black"}, "price": 1890000}, {"sku": "G16-WHT"}],
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def without_server_fields(product):
    return {k: v for k, v in product.items() if k not in ("version", "created_at", "updated_at")}


def field_names(reply):
    assert reply.headers["Content-Type"] == "application/problem+json"
    return [e["field"] for e in reply.json()["errors"]]


@pytest.fixture
def products(write_api):
    session = requests.Session()
    session.url = write_api.url + "/v1/products"
    yield session
    session.close()


@pytest.fixture
def category(write_api):
    return requests.post(write_api.url + "/v1/categories", json={"id": 4, "name": "노트북"}, timeout=10).json()


def test_create_and_read(products, corner):
    made = products.post(products.url, json=FULL, headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
    assert made.status_code == 201
    assert made.headers["Location"] == "/v1/products/gram-16"
    assert made.headers["ETag"] == '"1"'
    assert made.headers["Content-Type"] == "application/json"
    assert without_server_fields(made.json()) == FULL
    assert TIME.fullmatch(made.json()["created_at"]) and TIME.fullmatch(made.json()["updated_at"])
    read = products.get(products.url + "/gram-16")
    assert (read.status_code, read.json(), read.headers["ETag"]) == (200, made.json(), '"1"')
    assert products.get(products.url + "/gram-16", headers={"If-None-Match": 'W/"1"'}).status_code == 304
    stored = corner.products.find_one({"_id": "gram-16"})
    assert stored["traceparent"].startswith(f"00-{'ab' * 16}-") and "cd" * 8 not in stored["traceparent"]
    assert stored["version"] == 1 and stored["created_at"].year > 2000


def test_server_made_id(products):
    one, two = (products.post(products.url, json={"name": "x"}) for _ in range(2))
    assert re.fullmatch("[0-9A-Z]{26}", one.json()["id"]) and one.json()["id"] != two.json()["id"]
    assert products.get(products.url[:-len("/v1/products")] + one.headers["Location"]).json() == one.json()


def test_ids_that_need_escapes(products):
    for name in ("a b", "노트북", "50%", "a+b", "a?b#c", "x:y", "..."):
        made = products.post(products.url, json={"id": name, "name": "x"})
        assert made.status_code == 201
        location = products.url[:-len("/v1/products")] + made.headers["Location"]
        assert products.get(location).json()["id"] == name
        assert products.delete(location).status_code == 204


def test_conflicts(products):
    assert products.post(products.url, json=FULL).status_code == 201
    again = products.post(products.url, json=FULL)
    assert again.status_code == 409 and "gram-16" in again.json()["detail"]
    other = products.post(products.url, json={"name": "x", "variants": [{"sku": "G16-WHT"}]})
    assert other.status_code == 409 and field_names(other) == ["variants"] and "G16-WHT" in other.text
    assert products.put(products.url + "/other", json={"name": "x", "variants": [{"sku": "G16-WHT"}]}).status_code == 409
    assert products.delete(products.url + "/gram-16").status_code == 204
    assert products.put(products.url + "/other", json={"name": "x", "variants": [{"sku": "G16-WHT"}]}).status_code == 201


def test_put(products):
    url = products.url + "/p"
    made = products.put(url, json={"name": "a", "attributes": {"gone": 1}})
    assert (made.status_code, made.headers["ETag"], made.headers["Location"]) == (201, '"1"', "/v1/products/p")
    replaced = products.put(url, json={"id": "p", "name": "$name", "price": 5})
    assert (replaced.status_code, replaced.headers["ETag"]) == (200, '"2"')
    assert without_server_fields(replaced.json()) == {"id": "p", "name": "$name", "price": 5, "currency": "KRW"}
    assert replaced.json()["created_at"] == made.json()["created_at"]
    assert replaced.json()["updated_at"] >= made.json()["updated_at"]
    assert products.put(url, json=replaced.json()).json()["version"] == 3  # what GET says can be sent back
    assert field_names(products.put(url, json={"id": "q", "name": "x"})) == ["id"]


def test_preconditions(products):
    url = products.url + "/p"
    assert products.put(url, json={"name": "x"}, headers={"If-Match": '"1"'}).status_code == 412
    assert products.put(url, json={"name": "x"}, headers={"If-Match": "*"}).status_code == 412
    assert products.put(url, json={"name": "x"}, headers={"If-None-Match": "*"}).status_code == 201
    assert products.put(url, json={"name": "x"}, headers={"If-None-Match": "*"}).status_code == 412
    assert products.put(url, json={"name": "x"}, headers={"If-Match": '"1"'}).status_code == 200
    assert products.put(url, json={"name": "x"}, headers={"If-Match": '"1"'}).status_code == 412
    assert products.put(url, json={"name": "x"}, headers={"If-Match": '"9", "2"'}).status_code == 200
    assert products.patch(url, json={"name": "y"}, headers={"If-Match": '"1"'}).status_code == 412
    assert products.patch(url, json={"name": "y"}, headers={"If-Match": 'W/"3"'}).status_code == 412
    assert products.patch(url, json={"name": "y"}, headers={"If-Match": '"3"'}).json()["version"] == 4
    assert products.put(url, json={"name": "x"}, headers={"If-Match": "3"}).status_code == 400
    assert products.delete(url, headers={"If-Match": '"3"'}).status_code == 412
    assert products.delete(url, headers={"If-Match": '"4"'}).status_code == 204
    assert products.delete(url, headers={"If-Match": '"4"'}).status_code == 404
    assert products.delete(url).status_code == 404
    assert products.patch(url, json={"name": "y"}).status_code == 404
    assert products.get(url).status_code == 404


def test_merge_patch(products):
    url = products.url + "/gram-16"
    products.post(products.url, json=FULL)
    patch = {"price": 5, "description": None, "attributes": {"touch": None, "size": {"width": 1}, "new": {"a": None, "b": 2}},
             "variants": [{"sku": "G16-RED"}]}
    patched = products.patch(url, json=patch, headers={"Content-Type": "application/merge-patch+json"})
    assert (patched.status_code, patched.headers["ETag"]) == (200, '"2"')
    expected = {**FULL, "price": 5, "variants": [{"sku": "G16-RED"}]}
    del expected["description"]
    expected["attributes"] = {**{k: v for k, v in FULL["attributes"].items() if k != "touch"}, "new": {"b": 2},
                              "size": {"width": 1, "deep": {"er": "$name"}}}
    assert without_server_fields(patched.json()) == expected == without_server_fields(products.get(url).json())
    assert field_names(products.patch(url, json={"name": None, "attributes": {"$x": 1}})) == ["name", "attributes.$x"]
    assert field_names(products.patch(url, json={"id": "other"})) == ["id"]
    assert products.patch(url, json=[1]).status_code == 400
    wrong = products.patch(url, data="[]", headers={"Content-Type": "application/json-patch+json"})
    assert (wrong.status_code, wrong.headers["Accept-Patch"]) == (415, "application/merge-patch+json")
    assert products.get(url).json()["version"] == 2


def test_concurrent_patches_are_all_applied(products):
    url = products.url + "/p"
    products.put(url, json={"name": "x"})

    def patch(i):
        while True:
            reply = requests.patch(url, json={"attributes": {f"a{i}": i}}, timeout=30)
            if reply.status_code != 503:  # 503: too often changed; the client may repeat it
                return reply.status_code

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert set(pool.map(patch, range(100))) == {200}
    product = products.get(url).json()
    assert product["attributes"] == {f"a{i}": i for i in range(100)}
    assert product["version"] == 101


def test_concurrent_puts_create_once(products):
    def put(i):
        return requests.put(products.url + "/p", json={"name": f"n{i}"}, timeout=30).status_code

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(put, range(48)))
    assert sorted(set(codes)) == [200, 201] and codes.count(201) == 1
    assert products.get(products.url + "/p").json()["version"] == 48


def test_categories_are_checked(products, category, write_api):
    made = products.post(products.url, json={"id": "p", "name": "x", "categories": [4]})
    assert made.status_code == 201 and made.json()["primary_category_id"] == 4
    refused = products.post(products.url, json={"name": "x", "categories": [4, 5]})
    assert (refused.status_code, field_names(refused)) == (400, ["categories[1]"])
    # A new category is known at once, a deleted one at once unknown.
    requests.post(write_api.url + "/v1/categories", json={"id": 5, "name": "b"}, timeout=10)
    assert products.post(products.url, json={"name": "x", "categories": [4, 5], "primary_category_id": 5}).status_code == 201
    assert requests.delete(write_api.url + "/v1/categories/5?reassign_to=4", timeout=10).status_code == 204
    assert field_names(products.put(products.url + "/p", json={"name": "x", "categories": [5]})) == ["categories[0]"]


MISTAKES = [
    ({}, ["name"]),
    ({"name": 1, "price": "1", "brand": 2}, ["name", "brand", "price"]),
    ({"name": "x", "color": "red"}, ["color"]),
    ({"name": "x", "attributes": {"$where": "1", "a.b": 1}}, ["attributes.$where", "attributes.a.b"]),
    ({"name": "x", "attributes": {"a": {"$gt": 1}}}, ["attributes.a.$gt"]),
    ({"name": "x", "variants": [{"sku": "a"}, {}, {"sku": ""}, {"sku": "a"}]},
     ["variants[1].sku", "variants[2].sku", "variants[3].sku"]),
    ({"name": "x", "categories": [True, -1, 4.5]}, ["categories[0]", "categories[1]", "categories[2]"]),
    ({"name": "a\0b"}, ["name"]),
    ({"name": "x", "currency": "BTC"}, ["currency"]),
]


def test_mistakes_name_the_field(products):
    for body, fields in MISTAKES:
        for reply in (products.post(products.url, json=body), products.put(products.url + "/p", json=body)):
            assert reply.status_code == 400 and reply.json()["status"] == 400
            assert field_names(reply) == fields
    assert field_names(products.post(products.url, json={"name": "x", "id": "a/b"})) == ["id"]
    assert products.get(products.url + "/p").status_code == 404


BROKEN = [
    (b"", "no body"), (b"{", "JSON"), (b"{}x", "JSON"), (b'{"name":"x",}', "JSON"), (b'{"name":NaN}', "JSON"),
    (b'{"name":"x","name":"y"}', '"name" stands twice'), (b'{"name":"\xff"}', "UTF-8"), (b'{"name":"\\ud800"}', ""),
    (b'\x00', "JSON"), (b'{"name":"x"}\x00', "JSON"), (b"[" * 100000, ""), (b'{"a":' * 50000, ""),
    (b'{"name":"x","attributes":' + b'{"a":' * 40 + b"1" + b"}" * 41, ""),
    (b"null", "object"), (b"[]", "object"), (b'"x"', "object"),
]


def test_limits_are_options(program):
    limits = {"body_max": "2k", "header_max": "2k", "json_depth_max": 4, "variants_max": 2, "categories_max": 1, "attributes_max": 3, "values_max": 2}
    url = program("write-api", {f"write-api.{k}": v for k, v in limits.items()}).start().url + "/v1/products"
    fits = {"name": "x", "variants": [{"sku": "a"}, {"sku": "b"}], "attributes": {"a": {"b": 1}, "c": [1, 2]}}
    assert requests.post(url, json=fits, timeout=10).status_code == 201
    assert requests.post(url, json={"name": "x" * 2048}, timeout=10).status_code == 413
    assert requests.post(url, json={"name": "x"}, headers={"X": "y" * 2048}, timeout=10).status_code == 431
    assert field_names(requests.post(url, json={"name": "x", "attributes": {"a": {"b": {"c": [1]}}}}, timeout=10)) == ["body"]
    too_many = {"name": "x", "variants": [{"sku": s} for s in "def"], "categories": [1, 2], "attributes": {"a": 1, "b": 2, "c": [1, 2, 3], "d": 4}}
    assert sorted(field_names(requests.post(url, json=too_many, timeout=10))) == ["attributes", "attributes.c", "categories", "variants"]


def test_broken_json(products, category, write_api):
    products.put(products.url + "/p", json={"name": "x"})
    requests.put(write_api.url + "/v1/stock/s", json={"available": 1}, timeout=10)
    for body, says in BROKEN:
        for method, path in (("POST", "/v1/products"), ("PUT", "/v1/products/p"), ("PATCH", "/v1/products/p"), ("POST", "/v1/categories"),
                             ("PATCH", "/v1/categories/4"), ("POST", "/v1/categories/4:move"), ("PUT", "/v1/stock/s"), ("POST", "/v1/stock/s:adjust")):
            reply = products.request(method, write_api.url + path, data=body, headers={"Content-Type": "application/json"})
            assert (reply.status_code, field_names(reply)) == (400, ["body"]), (method, path, body[:50], reply.text)
            assert says in reply.json()["errors"][0]["message"], (method, path, body[:50], reply.text)
    too_long = products.post(products.url, data=b'{"name":"x","price":' + b"9" * 100000 + b"}")
    assert (too_long.status_code, field_names(too_long)) == (400, ["price"])
    too_large = products.post(products.url, data=b'{"name":"' + b"x" * (1 << 20) + b'"}')
    assert too_large.status_code == 413 and too_large.headers["Content-Type"] == "application/problem+json"
    assert field_names(products.put(products.url + "/p", json={"name": "x"}, headers={"If-Match": "3"})) == ["If-Match"]
    assert field_names(requests.delete(write_api.url + "/v1/categories/4?reassign_to=%FF", timeout=10)) == ["query"]
    assert products.get(products.url + "/p").json()["version"] == 1


def test_a_deep_product_can_be_patched(program):
    """What [write-api] json_depth_max lets in is no problem later."""
    write_api = program("write-api", {"write-api.json_depth_max": 64}).start()
    url, deep = write_api.url + "/v1/products/deep", {"end": 1}
    for _ in range(50):
        deep = {"a": deep}
    assert requests.put(url, json={"name": "x", "attributes": deep}, timeout=10).status_code == 201
    patched = requests.patch(url, json={"name": "y"}, timeout=10)
    assert (patched.status_code, patched.json()["attributes"]) == (200, deep)
