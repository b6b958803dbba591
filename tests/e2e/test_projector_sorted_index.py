"""An index is sorted by category where the server does that with nested documents; the mapping says so in both cases, so that
a reindex has nothing to change."""
import pytest
from harness.command import Commands
from harness.http_proxy import HttpProxy
from harness.shop import insert, physical


@pytest.fixture
def proxy(stack):
    made = HttpProxy(stack.es_url)
    yield made
    made.close()


@pytest.mark.parametrize("version, is_sorted", [(None, True), ("8.15.9", False), ("7.17.0", False), ("9.0.1", True), ("10.0.0", True)])
def test_by_the_version_of_the_server(stack, corner, program, write_api, proxy, checker, version, is_sorted):
    if not stack.has_nori:
        pytest.skip("the mapping without nori has no sort")
    proxy.version = version
    settings = {"elasticsearch.url": proxy.url}
    program("projector", settings).start()
    insert(corner, range(20))
    checker.assert_equal(60, at_least=20)
    index, = stack.es("GET", f"/{physical(corner)}/_settings").values()
    assert index["settings"]["index"].get("sort") == ({"field": "category_paths", "mode": "max"} if is_sorted else None)
    shown = Commands(corner, settings)("reindex", "--dry-run").out
    assert "no difference" in shown, shown
