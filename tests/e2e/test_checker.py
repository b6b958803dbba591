"""The checker finds what it is for: a document that is missing, wrong or left over."""
import pytest
import requests
from test_stack_end_to_end import fill


def test_planted_differences_are_found(stack, corner, write_api, projector, checker):
    fill(write_api)
    checker.assert_equal(30, at_least=2)
    projector.stop()

    def es(method, path, body=None):
        stack.es(method, f"/{corner.index}{path}", body)

    laptop = stack.es("GET", f"/{corner.index}/_source/laptop-1")
    for change, says in ((lambda d: d["flat"].update(stock="out"), "flat should be"), (lambda d: d.update(brand="LX"), "brand should be"),
                         (lambda d: d["category_paths"].pop(), "category_paths should be"), (lambda d: d.pop("name"), "name should be"),
                         (lambda d: d.update(category_set="*"), "category_set should be"), (lambda d: d.update(offers="out "), "offers should be")):
        wrong = stack.es("GET", f"/{corner.index}/_source/laptop-1")
        change(wrong)
        es("PUT", "/_doc/laptop-1", wrong)
        lines = checker.differences()
        assert len(lines) == 1 and lines[0].startswith("laptop-1: ") and says in lines[0]
        es("PUT", "/_doc/laptop-1", laptop)
    assert checker.differences() == []

    es("DELETE", "/_doc/laptop-1")
    assert checker.differences() == ["laptop-1: missing in the index"]
    es("PUT", "/_doc/laptop-1", laptop)
    es("PUT", "/_doc/ghost", {**laptop, "id": "ghost"})
    assert checker.differences() == ["ghost: in the index, not in the database"]
    with pytest.raises(AssertionError, match="ghost"):
        checker.assert_equal(0.1)


def test_a_database_ahead_of_the_index_is_found(write_api, projector, checker):
    fill(write_api)
    checker.assert_equal(30, at_least=2)
    projector.stop()
    requests.put(f"{write_api.url}/v1/stock/laptop-1", json={"available": 0}, timeout=30).raise_for_status()
    lines = checker.differences()
    assert len(lines) == 1 and "in_stock should be False, is True" in lines[0]
