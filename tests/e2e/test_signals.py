"""What shoppers do, from the event to the order of a search, through both databases and all three programs."""
import time

import pytest
import requests
from harness.command import Commands
from harness.shop import SURE_LEASE, document, insert

SIGNALS = {**SURE_LEASE, "projector.signals_interval": "300ms", "projector.verify_pause": "300ms"}
QUERY = {"query-api.cache_bytes": 0, "query-api.overrides_poll": "200ms", "query-api.search_timeout": "50s"}


@pytest.fixture
def shop(corner, program, write_api, eventually):
    """Ten products with the same words, all in stock."""
    insert(corner, range(10), name="Steel mug", attributes={})
    for number in range(10):
        corner.sql("INSERT INTO stock (sku, available) VALUES (%s, 100)", f"p{number:06}")
    projector = program("projector", SIGNALS).start()
    api = program("query-api", QUERY).start()
    eventually(lambda: len(ids(api, "q=mug")) == 10, 30, "all mugs are found")
    return projector, api


def ids(api, query):
    reply = requests.get(f"{api.url}/v1/search?size=20&{query}", timeout=60)
    assert reply.status_code == 200, reply.text
    return [hit["id"] for hit in reply.json()["hits"]]


def send(api, kind, *products, **more):
    return requests.post(f"{api.url}/v1/events", json={"type": kind, "product_ids": list(products), **more}, timeout=20)


def sell(api, product, times):
    """As a client does it: what is answered 503 is sent once more."""
    for n in range(times):
        replies = [send(api, "purchase", product, event_id=f"{product}-{n}")]
        while replies[-1].status_code == 503 and len(replies) < 5:
            time.sleep(int(replies[-1].headers["Retry-After"]))
            replies.append(send(api, "purchase", product, event_id=f"{product}-{n}"))
        assert replies[-1].status_code == 202, [reply.text for reply in replies]


def signals(corner, number):
    found = document(corner, f"p{number:06}") or {}
    return found.get("sales", 0), found.get("popularity", 0)


def test_events_change_ranking_and_best_selling(corner, shop, checker, eventually):
    projector, api = shop
    order = [f"p{n:06}" for n in range(10)]
    assert ids(api, "q=mug") == ids(api, "sort=best_selling") == ids(api, "") == order
    sell(api, "p000007", 3)
    sell(api, "p000004", 15)
    sell(api, "p000004", 15)  # the same orders once more
    assert send(api, "click", "p000009").status_code == 202
    eventually(lambda: signals(corner, 7)[0] == 8 and signals(corner, 4)[0] == 16 and signals(corner, 9) == (0, 4), 20, "signals in the index")
    eventually(lambda: ids(api, "sort=best_selling")[:3] == ["p000004", "p000007", "p000000"], 20, "best selling first")
    # The click may be searchable a refresh later than the sales.
    eventually(lambda: ids(api, "q=mug")[:4] == ["p000004", "p000007", "p000009", "p000000"], 20, "what is clicked before what is not")
    assert ids(api, "")[:4] == ["p000004", "p000007", "p000009", "p000000"]
    assert ids(api, "q=p000002")[0] == "p000002"  # a code before anything that sells
    walk = requests.get(f"{api.url}/v1/search?sort=best_selling&size=3&cursor=*", timeout=20).json()
    rest = requests.get(f"{api.url}/v1/search?sort=best_selling&size=20&cursor={walk['next_cursor']}", timeout=20).json()
    assert [h["id"] for h in walk["hits"] + rest["hits"]] == ids(api, "sort=best_selling")
    checker.assert_equal(20)
    def more_passes():  # at least two whole ones
        seen = projector.metric("readside_projector_signals_passes_total")
        eventually(lambda: projector.metric("readside_projector_signals_passes_total") >= seen + 3, 20, "more passes")

    more_passes()
    changed = projector.metric("readside_projector_signals_changed_total")
    more_passes()
    assert projector.metric("readside_projector_signals_changed_total") == changed  # nothing is written that has not changed


def test_verify_reindex_and_the_end_of_events(corner, shop, checker, eventually):
    projector, api = shop
    commands = Commands(corner, SURE_LEASE)
    sell(api, "p000003", 7)
    eventually(lambda: signals(corner, 3)[0] == 12, 20, "sold")
    commands("verify", "--deep")
    before = next(iter(corner.stack.es("GET", f"/_alias/{corner.index}")))
    commands("reindex")
    assert next(iter(corner.stack.es("GET", f"/_alias/{corner.index}"))) != before and signals(corner, 3) == (12, 23)
    commands("verify", "--deep")
    # A table that somebody has changed, or lost, is what it should be at the next pass.
    corner.sql("UPDATE product_signals SET sales = 99 WHERE product_id = 'p000003'")
    corner.sql("INSERT INTO product_signals (product_id, sales, popularity) VALUES ('p000005', 7, 7)")
    eventually(lambda: signals(corner, 3) == (12, 23) and signals(corner, 5) == (0, 0), 20, "mended")
    corner.stack.es("POST", f"/{corner.name}-events/_delete_by_query?refresh=true", {"query": {"match_all": {}}})
    eventually(lambda: signals(corner, 3) == (0, 0) and not corner.sql("SELECT 1 FROM product_signals"), 20, "no events, no signals")
    checker.assert_equal(20)
    commands("verify", "--deep")
