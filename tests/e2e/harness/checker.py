"""Compares MongoDB and MySQL with Elasticsearch, document by document."""
import json
import time

from . import compose
from .wait import patience

PAGE = 5000


def category_names(row):
    """[(language or "", text)] of a row of categories."""
    names = row["names"]
    if names is None:
        return [("", row["name"])]
    if isinstance(names, (str, bytes)):
        names = json.loads(names)
    return [(lang, text.strip(compose.SPACE)) for lang, text in sorted(names.items()) if text.strip(compose.SPACE)]


class Checker:
    def __init__(self, corner):
        self.corner = corner

    def expected(self):
        """{id: document} from the databases."""
        rows = self.corner.sql("SELECT id, parent_id, path, name, names FROM categories")
        categories = compose.Categories(rows, category_names)
        stock = {row["sku"]: row["state"] for row in self.corner.sql("SELECT sku, state FROM stock")}
        rows = self.corner.sql("SELECT product_id, sales, popularity FROM product_signals")
        signals = {row.pop("product_id").decode(): row for row in rows}
        return {p["_id"]: compose.expected(p, categories, stock, signals.get(p["_id"])) for p in self.corner.products.find()}

    def actual(self):
        """{id: document} from Elasticsearch, as a search sees it."""
        self.corner.refresh()
        found, after = {}, None
        while True:
            body = {"size": PAGE, "sort": [{"id": "asc"}], "track_total_hits": False}
            if after is not None:
                body["search_after"] = after
            hits = self.corner.stack.es("POST", f"/{self.corner.index}/_search", body)["hits"]["hits"]
            for hit in hits:
                assert hit["_id"] == hit["_source"]["id"], f"document {hit['_id']} says it is {hit['_source']['id']}"
                assert hit["_source"]["version"] > 0
                found[hit["_id"]] = compose.normalized(hit["_source"])
            if len(hits) < PAGE:
                return found
            after = hits[-1]["sort"]

    def differences(self):
        """Lines that say what is wrong; none if the index equals the databases."""
        expected, actual = self.expected(), self.actual()
        lines = [f"{i}: missing in the index" for i in sorted(expected.keys() - actual.keys())]
        lines += [f"{i}: in the index, not in the database" for i in sorted(actual.keys() - expected.keys())]
        for i in sorted(expected.keys() & actual.keys()):
            if expected[i] != actual[i]:
                lines.append(f"{i}: " + "; ".join(field_differences(expected[i], actual[i])))
        return lines

    def assert_equal(self, deadline=60.0, at_least=0):
        """The index equals the databases within the deadline (wait.patience), and has at least so many documents."""
        deadline = patience(deadline)
        end = time.monotonic() + deadline
        while True:
            begun = time.monotonic()
            lines = self.differences()
            if not lines:
                break
            if time.monotonic() >= end:
                shown = "\n".join(line[:1500] for line in lines[:8])
                raise AssertionError(f"{len(lines)} documents differ after {deadline} s:\n{shown}")
            time.sleep(max(0.2, time.monotonic() - begun))  # a look at 20,000 documents takes seconds from those who write them
        count = self.corner.products.count_documents({})
        assert count >= at_least, f"only {count} products in the database, {at_least} expected"
        return count

    def queue_is_drained(self):
        rows = self.corner.sql("SELECT COUNT(*) AS n FROM projection_queue")[0]["n"]
        assert rows == 0, f"{rows} rows left in projection_queue"
        return True


def field_differences(expected, actual):
    for field in sorted(expected.keys() | actual.keys()):
        if expected.get(field) != actual.get(field):
            yield f"{field} should be {expected.get(field)!r}, is {actual.get(field)!r}"
