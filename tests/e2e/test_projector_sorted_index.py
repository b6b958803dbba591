"""An index is sorted by category where the server does that with nested documents; the mapping says so in both cases, so that
a reindex has nothing to change."""
import pytest
from harness.command import Commands
from harness.shop import insert, physical


@pytest.mark.parametrize("version, is_sorted", [
    ({}, True), ({"number": "8.15.9"}, False), ({"number": "7.17.0"}, False), ({"number": "9.0.1"}, True), ({"number": "10.0.0"}, True),
    *(({"distribution": "opensearch", "number": number}, is_sorted) for number, is_sorted in (
        ("2.19.3", False), ("3.2.0", False), ("3.3.0", True), ("4.0.0", True), ("7.10.2", False)))], ids=str)
def test_by_the_version_of_the_server(stack, corner, program, write_api, es_proxy, checker, version, is_sorted):
    if not stack.has_nori:
        pytest.skip("the mapping without nori has no sort")
    es_proxy.version = version
    settings = {"elasticsearch.url": es_proxy.url}
    program("projector", settings).start()
    insert(corner, range(20))
    checker.assert_equal(60, at_least=20)
    index, = stack.es("GET", f"/{physical(corner)}/_settings").values()
    assert index["settings"]["index"].get("sort") == ({"field": "category_paths", "mode": "max"} if is_sorted else None)
    shown = Commands(corner, settings)("reindex", "--dry-run").out
    assert "no difference" in shown, shown
