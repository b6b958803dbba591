"""GET /openapi.json: an OpenAPI 3.1 document that says what the program does, no more and no less."""
import os
import re
from urllib.parse import quote

import pytest
import requests
from harness.query_fixture import PRODUCTS, STOCK, Shop
from harness.wait import eventually

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
TABLES = {"query-api": "query-api/main.c", "write-api": "write-api/routes.c", "projector": "projector/routes.c"}
ROUTE = re.compile(r'\.method = "([A-Z]+)",\s*\.path = "([^"]+)"')


@pytest.fixture(scope="module")
def shop(stack, tmp_path_factory):
    made = Shop(stack, tmp_path_factory.mktemp("openapi"), PRODUCTS, STOCK, settings={"query-api.admin_key": "the-key"})
    made.session.headers["Authorization"] = "Bearer the-key"
    try:
        made.start()
        for kind in ("keys", "rules"):  # their indexes are made after the start
            eventually(lambda path=f"/admin/{kind}": all(made.session.get(made.url + path, headers={"Connection": "close"}, timeout=40).status_code == 200 for _ in range(8)), 20)
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def described(shop):
    return shop.get("/openapi.json").json()


def routes_of(program):
    """(method, path) of the tables in the source."""
    found = set()
    for name in (TABLES[program], "core/daemon.h"):
        with open(os.path.join(ROOT, name), encoding="utf-8") as f:
            found |= set(ROUTE.findall(f.read()))
    return found


def operations(document):
    return {(method.upper(), path): operation for path, item in document["paths"].items() for method, operation in item.items()}


def check_schema(schema):
    assert isinstance(schema, dict), schema
    types = schema.get("type", [])
    for name in [types] if isinstance(types, str) else types:
        assert name in ("string", "integer", "number", "boolean", "array", "object", "null"), schema
    assert types != "array" or "items" in schema, schema
    for inner in list(schema.get("properties", {}).values()) + list(schema.get("patternProperties", {}).values()):
        check_schema(inner)
    if "items" in schema:
        check_schema(schema["items"])
    assert set(schema.get("required", [])) <= set(schema.get("properties", {})), schema
    for pattern in schema.get("patternProperties", {}):
        re.compile(pattern)


def resolve(document, value):
    while "$ref" in value:
        at = document
        for step in value["$ref"].removeprefix("#/").split("/"):
            at = at[step]
        value = at
    return value


def check_document(document, program):
    """What OpenAPI 3.1 asks of the parts that are used."""
    assert document["openapi"].startswith("3.1.") and document["info"]["title"] == program and document["info"]["version"]
    ids = set()
    for (method, path), operation in operations(document).items():
        assert path.startswith("/") and method in ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"), path
        assert operation["operationId"] not in ids, operation
        ids.add(operation["operationId"])
        in_path = re.findall(r"\{([^}]+)\}", path)
        assert [p["name"] for p in operation["parameters"] if p["in"] == "path"] == in_path, path
        assert len({(p["name"], p["in"]) for p in operation["parameters"]}) == len(operation["parameters"]), path
        for parameter in operation["parameters"]:
            assert parameter["in"] in ("path", "query") and isinstance(parameter["required"], bool)
            assert parameter["in"] == "query" or parameter["required"]
            check_schema(parameter["schema"])
        for media in operation.get("requestBody", {}).get("content", {}).values():
            check_schema(media["schema"])
        assert operation["responses"]
        for status, response in operation["responses"].items():
            assert re.fullmatch(r"[1-5](\d\d|XX)|default", status) and resolve(document, response)["description"]
    for schema in document["components"]["schemas"].values():
        check_schema(schema)


def test_it_is_openapi_and_has_every_route(shop, described):
    check_document(described, "query-api")
    assert set(operations(described)) == routes_of("query-api")


def test_of_the_other_programs(write_api, projector):
    for program in (write_api, projector):
        document = requests.get(program.url + "/openapi.json", timeout=10).json()
        check_document(document, document["info"]["title"])
        assert set(operations(document)) == routes_of(document["info"]["title"])


def test_every_path_offers_what_is_documented(shop, described):
    for path, item in described["paths"].items():
        real = re.sub(r"\{[^}]+\}", "x", path)
        reply = shop.session.options(shop.url + real, timeout=10)
        offered = set(reply.headers["Allow"].replace(" ", "").split(",")) - {"HEAD", "OPTIONS"}
        assert offered >= {m.upper() for m in item} - {"OPTIONS"}, path


def gets_with_parameters(described):
    for (method, path), operation in operations(described).items():
        query = [p for p in operation["parameters"] if p["in"] == "query"]
        if method == "GET" and query:
            yield path.replace("{name}", "brand").replace("{id}", "gram-16").replace("{kind}", "rules"), query


def pair(parameter, value):
    return quote(parameter["name"].replace("{name}", "color")) + "=" + quote(str(value))


def bare(query, but=None):
    """What an endpoint cannot do without."""
    return [pair(p, p["example"]) for p in query if p["required"] and p is not but]


def test_every_parameter_is_accepted_and_no_other(shop, described):
    seen = 0
    for path, query in gets_with_parameters(described):
        for parameter in query:
            schema = parameter["schema"].get("items", parameter["schema"])
            values = [parameter["example"], *schema.get("enum", [])]
            if schema["type"] == "integer":
                values += [schema["minimum"], schema["maximum"]]
            for value in values:
                wanted = bare(query, parameter) + [pair(parameter, value)]
                if parameter["name"] == "page" and value == schema["maximum"]:
                    wanted.append("size=1")
                reply = shop.get(path + "?" + "&".join(wanted))
                assert reply.status_code == 200, f"{path} {wanted}: {reply.text}"
                seen += 1
            if parameter["schema"]["type"] == "array":
                both = bare(query, parameter) + [pair(parameter, parameter["example"])] * 2
                assert shop.get(path + "?" + "&".join(both)).status_code == 200, (path, parameter["name"])
        reply = shop.get(path + "?" + "&".join(bare(query) + ["nonsense=1"]))
        assert reply.status_code == 400 and reply.json()["errors"][0]["field"] == "nonsense", path
    assert seen >= 30


def test_what_the_schemas_exclude_is_refused(shop, described):
    for path, query in gets_with_parameters(described):
        for parameter in query:
            schema = parameter["schema"].get("items", parameter["schema"])
            name = parameter["name"].replace("{name}", "color")
            bad = []
            if schema["type"] == "integer":
                bad += [schema["minimum"] - 1, schema["maximum"] + 1, "x", ""]
            if "enum" in schema:
                bad.append("nonsense")
            if "maxLength" in schema and schema["maxLength"] < 10000:
                bad.append("x" * (schema["maxLength"] + 1))
            if parameter["schema"]["type"] != "array":
                bad.append(f"{parameter['example']}&{pair(parameter, parameter['example'])}")
            for value in bad:
                text = value if "&" in str(value) else quote(str(value))
                reply = shop.get(f"{path}?{'&'.join(bare(query, parameter) + [quote(name) + '=' + text])}")
                assert reply.status_code == 400 and reply.headers["Content-Type"] == "application/problem+json", (path, name, value)
                assert name in [e["field"] for e in reply.json()["errors"]], (path, name, value, reply.text)
        for parameter in query:
            if parameter["required"]:
                reply = shop.get(f"{path}?{'&'.join(bare(query, parameter))}")
                assert reply.status_code == 400 and reply.json()["errors"][0]["field"] == parameter["name"], path


def test_the_body_of_a_search_has_the_parameters_of_its_query(shop, described):
    paths = described["paths"]["/v1/search"]
    body = paths["post"]["requestBody"]["content"]["application/json"]["schema"]
    names = {p["name"] for p in paths["get"]["parameters"]}
    assert set(body["properties"]) - {"attr"} == names - {"attr.{name}"} and body["additionalProperties"] is False
    for parameter in paths["get"]["parameters"]:
        if parameter["name"] != "attr.{name}":
            shop.search(body={parameter["name"]: parameter["example"]})
    shop.search(body={"attr": {"color": "black"}, "attr.screen_inch": 16})


def bodies(described):
    return {path: operation["requestBody"]["content"]["application/json"]["schema"] for (_, path), operation in operations(described).items()
            if "requestBody" in operation}


def test_bodies_are_described(shop, described):
    """That what is described is all that is read, and is read: test_query_api_fuzz.py."""
    found = bodies(described)
    assert len(found) == 9 and all(schema["properties"] for schema in found.values())
    for path, schema in found.items():
        if schema.get("additionalProperties") is False:
            method = "PUT" if path.startswith("/admin") else "POST"
            real = path.replace("{kind}", "rules").replace("{id}", "x")
            reply = shop.session.request(method, shop.url + real, json={"nonsense": 1}, timeout=10)
            assert reply.status_code == 400, (path, reply.text)
            assert "nonsense" in [e["field"] for e in reply.json()["errors"]] or "nothing beside it" in reply.text, (path, reply.text)
