"""No memory is left behind: each program under valgrind, through its work and its shutdown."""
import os

import pytest
import requests
from test_stack_end_to_end import fill, ids, search

VALGRIND = ["valgrind", "--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect", "--show-leak-kinds=definite,indirect",
            "--error-exitcode=99", "--num-callers=25", "--run-libc-freeres=yes",
            f"--suppressions={os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'support', 'valgrind.supp')}"]
pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def under_valgrind(program):
    """Valgrind cannot run sanitized programs: the plain build's."""

    def start(name):
        one = program(name, wrapper=VALGRIND, bin_dir=os.environ["READSIDE_PLAIN_BIN_DIR"])
        return one.start(deadline=240)

    return start


def test_write_api(under_valgrind):
    api = under_valgrind("write-api")
    fill(api)
    requests.patch(f"{api.url}/v1/products/laptop-1", json={"price": 1}, timeout=60).raise_for_status()
    for path in ("/v1/products/laptop-1", "/v1/products/none", "/v1/categories/1/subtree", "/metrics", "/none"):
        requests.get(api.url + path, timeout=60)
    requests.post(api.url + "/v1/products", data=b"{broken", headers={"Content-Type": "application/json"}, timeout=60)
    for path in ("/v1/products:import", "/v1/stock:import"):
        lines = b'{"id":"a","name":"x"}\n{"sku":"a","available":1}\nbroken\n' * 700
        assert requests.post(api.url + path, data=lines, timeout=60).text.count("\n") == 2101
    requests.post(api.url + "/v1/categories/2:move", json={"parent_id": None}, timeout=60).raise_for_status()
    requests.post(api.url + "/v1/stock/a:adjust", json={"delta": 1}, timeout=60).raise_for_status()
    requests.delete(api.url + "/v1/categories/2?reassign_to=1", timeout=60).raise_for_status()
    api.stop(deadline=120)


def test_projector(program, under_valgrind, checker):
    write_api = program("write-api").start()
    projector = under_valgrind("projector")
    fill(write_api)
    checker.assert_equal(120, at_least=2)
    requests.delete(f"{write_api.url}/v1/products/phone-1", timeout=60).raise_for_status()
    checker.assert_equal(120, at_least=1)
    projector.stop(deadline=120)


def test_query_api(write_api, projector, under_valgrind, eventually):
    query_api = under_valgrind("query-api")
    fill(write_api)
    eventually(lambda: ids(search(query_api, q="노트북", facets="brand,price,attr.*")) == ["laptop-1"], 120, "found")
    for path in ("/v1/products/laptop-1", "/v1/categories/tree", "/v1/search?page=x", "/metrics", "/none"):
        requests.get(query_api.url + path, timeout=60)
    query_api.stop(deadline=120)
