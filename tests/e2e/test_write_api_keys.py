"""Keys of the write-api and the projector: those that the query-api keeps, with the scope write, and the admin key of each."""
import concurrent.futures
import subprocess

import pytest
import requests
from harness.query_fixture import PATIENT
from harness.wait import eventually

ADMIN = "the-admin-key"
PRODUCT = {"id": "p", "name": "thing", "price": 100}


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def refused(reply, status, word):
    assert reply.status_code == status, reply.text
    assert reply.headers["Content-Type"] == "application/problem+json" and word in reply.json()["detail"], reply.text


@pytest.fixture
def keys(stack, program, tmp_path):
    """A query-api that keeps keys, for a shop that has nothing else: make(id, scopes, …) -> the secret."""
    from harness.search_index import SearchIndex
    index = SearchIndex(stack).create()
    api = program("query-api", {"query-api.admin_key": ADMIN, **PATIENT, **{k.replace("READSIDE_QUERY_API_", "query-api.").lower(): v
                                                                 for k, v in index.environment.items()}}).start(wait="alive")
    eventually(lambda: all(requests.get(api.url + "/admin/keys", headers=bearer(ADMIN), timeout=10).status_code == 200
                           for _ in range(6)), 20)  # every loop has seen the index

    class Keys:
        name = index.keys_index

        @staticmethod
        def put(id, scopes, **more):
            reply = requests.put(f"{api.url}/admin/keys/{id}", json={"scopes": scopes, **more}, headers=bearer(ADMIN), timeout=40)
            assert reply.status_code in (200, 201), reply.text
            return reply.json().get("key")

        @staticmethod
        def delete(id):
            assert requests.delete(f"{api.url}/admin/keys/{id}", headers=bearer(ADMIN), timeout=40).status_code == 204

    yield Keys
    index.remove()


def test_writing_with_keys(keys, program):
    settings = {"write-api.keys_index": keys.name, "write-api.admin_key": "own-admin-key"}
    both = [program("write-api", settings).start() for _ in range(2)]
    api = both[0]

    def ask(key, method="PUT", path="/v1/products/p", url=None, **how):
        return requests.request(method, (url or api.url) + path, headers=bearer(key) if key else {},
                                timeout=20, **({"json": PRODUCT} if method == "PUT" and not how else how))

    def everywhere(key, *wanted):
        for one in both:
            eventually(lambda one=one: ask(key, url=one.url).status_code in wanted, 20)

    writer, reader = keys.put("writer", ["write"]), keys.put("reader", ["search"])
    everywhere(writer, 200, 201)
    everywhere(reader, 403)
    refused(ask(None), 401, "needed")
    refused(ask(reader), 403, "scope")
    refused(ask(ADMIN), 401, "wrong")  # the query-api's own
    assert ask("own-admin-key").status_code == 200
    for method, path in (("GET", "/v1/products/p"), ("DELETE", "/v1/products/p"), ("POST", "/v1/products"), ("POST", "/v1/categories"),
                         ("POST", "/v1/products:import"), ("POST", "/v1/stock:import"), ("GET", "/v1/stock/x"), ("PUT", "/v1/stock/x")):
        refused(ask(None, method, path, data=b"{}\n"), 401, "needed")
        refused(ask(reader, method, path, data=b"{}\n"), 403, "scope")
    assert ask(writer, "GET").json()["name"] == "thing", "nothing was deleted"
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        assert ask(None, "GET", path).status_code == 200
    described = ask(None, "GET", "/openapi.json").json()["paths"]
    assert described["/v1/products"]["post"]["security"] == [{"bearer": ["write"]}, {"header": ["write"]}]
    assert described["/healthz"]["get"]["security"] == []

    slow = keys.put("slow", ["write"], rate=1, burst=4)
    everywhere(slow, 200, 429)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: ask(slow, "GET"), range(40)))
    assert {r.status_code for r in replies} == {200, 429}
    assert all(r.headers["Retry-After"] == "1" for r in replies if r.status_code == 429)

    # an upload without a key is refused before it is read
    reply = requests.post(api.url + "/v1/products:import", data=iter([b"x" * 1000] * 100), timeout=20)
    refused(reply, 401, "needed")

    keys.delete("writer")
    everywhere(writer, 401)
    for one in both:
        text = one.log() + requests.get(one.url + "/metrics", timeout=10).text
        assert all(secret not in text for secret in (writer, reader, slow, "own-admin-key"))


def test_without_any_key_configured_everybody_writes(write_api):
    assert requests.put(write_api.url + "/v1/products/p", json=PRODUCT, timeout=20).status_code == 201
    described = requests.get(write_api.url + "/openapi.json", timeout=10).json()
    assert "security" not in described["paths"]["/v1/products"]["post"]


def test_the_admin_key_of_a_projector(program, write_api):
    made = program("projector", {"projector.admin_key": ADMIN}).start()
    refused(requests.get(made.url + "/v1/status", timeout=10), 401, "needed")
    refused(requests.post(made.url + "/v1/jobs/x:confirm", headers=bearer("wrong"), timeout=10), 401, "wrong")
    assert requests.get(made.url + "/v1/status", headers=bearer(ADMIN), timeout=10).json()["program"] == "projector"
    command = subprocess.run([made.binary, "status", "--json", "--url", made.url], env=made._environment(), cwd=made.folder,
                             stdout=subprocess.PIPE, timeout=60, check=False)
    assert command.returncode in (0, 3) and b'"program":"projector"' in command.stdout, "the command has the same key"
    assert ADMIN not in made.log()
