"""Products that cannot be written: put aside with reason, document and a way back, while all others go on."""
import json
import os
import re
import shlex
import subprocess

import bson
import pytest
from bson import Int64
from bson.raw_bson import RawBSONDocument
from harness.own_stack import OwnStack
from harness.planting import Verify
from harness.shop import PREFIX, SURE_LEASE, document, insert, jobs, letters, price_is, product, search_count, update

MAPPINGS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "mappings")
OK, FAILED, USAGE, DIFFERENCES, UNREACHABLE = 0, 1, 2, 3, 4


@pytest.fixture
def dead_letters(corner, tmp_path):
    """dead_letters("list", "--json") -> the finished command."""
    def run(*arguments, expect=OK):
        done = subprocess.run([os.path.join(os.environ["READSIDE_BIN_DIR"], "projector"), "dead-letters", *arguments],
                              env={**os.environ, **corner.environment}, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout
    return run


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def letter_of(corner, eventually, product_id, reason):
    found = eventually(lambda: letters(corner).find_one({"_id": product_id}), 30, f"the letter of {product_id}")
    assert re.search(reason, found["reason"]), found["reason"]
    assert found["replay"] == f"projector dead-letters replay {product_id}" and found["document"]
    return found


def mapping_file(tmp_path, change):
    with open(os.path.join(MAPPINGS, "products-v1-plain.json"), encoding="utf-8") as f:
        mapping = json.load(f)
    change(mapping)
    path = tmp_path / "mapping.json"
    path.write_text(json.dumps(mapping))
    return str(path)


# ---- one among many -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [pytest.param(5000, id="few"),
                                   pytest.param(100000, id="many", marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_one_bad_product_among_many_delays_nothing(corner, projector, checker, eventually, count):
    """One that compose refuses and one that Elasticsearch refuses, in the middle; nothing else is tried a second time."""
    eventually(lambda: jobs(corner).find_one({"type": "scan", "state": "done"}), 30, "the first scan, which would try them once more")
    insert(corner, range(count // 2))
    corner.products.insert_many([product(900000, price="dear"), product(900001, variants=too_many_variants())])
    insert(corner, range(count // 2, count))
    eventually(lambda: search_count(corner) == count, 600, "all the others", pause=0.2)
    letter_of(corner, eventually, "p900000", "price")
    letter_of(corner, eventually, "p900001", "nested")
    eventually(lambda: projector.metric(PREFIX + "lag_seconds", 'source="stream"') == 0, 30, "the position is past them")
    assert projector.metric(PREFIX + "dead_letters_total") == 2
    written = projector.metric(PREFIX + "bulk_documents_total")
    print(f"{written:.0f} documents sent for {count} products")
    assert written <= count + 1 + count // 100
    corner.products.delete_many({"_id": {"$gte": "p900000"}})
    eventually(lambda: letters(corner).count_documents({}) == 0, 30, "what is gone needs no letter")
    checker.assert_equal(60, at_least=count)


def test_many_bad_products_at_once(corner, projector, checker, eventually):
    """More than the store takes at a time, and good ones among them."""
    corner.products.insert_many([product(n, **({"price": "dear"} if n % 2 else {})) for n in range(4000)], ordered=False)
    eventually(lambda: search_count(corner) == 2000, 60, "the good ones", pause=0.2)
    eventually(lambda: letters(corner).count_documents({}) == 2000, 60, "a letter each")
    update(corner, 2, price=Int64(2))
    eventually(lambda: price_is(corner, "p000002", 2), 30)
    corner.products.update_many({"price": "dear"}, {"$set": {"price": Int64(1)}})
    checker.assert_equal(60, at_least=4000)
    eventually(lambda: letters(corner).count_documents({}) == 0, 30, "all are mended")


# ---- what compose refuses, and what it leaves out -----------------------------------------------------------------


def too_many_variants():
    """Elasticsearch takes 10,000 nested documents at most."""
    return [{"sku": f"s{n}", "attributes": {"n": Int64(n)}} for n in range(10001)]


BAD_SOURCES = {
    "name-number": ({"name": 17}, "name"),
    "name-null-inside": ({"name": [None]}, "name"),
    "price-text": ({"price": "dear"}, "price"),
    "price-fraction": ({"price": 1.5}, "price"),
    "price-missing-type": ({"price": {"amount": 1}}, "price"),
    "variants-text": ({"variants": "none"}, "variants"),
    "variants-of-numbers": ({"variants": [1, 2]}, "variants"),
    "categories-text": ({"categories": "shoes"}, "categories"),
    "brand-object": ({"brand": {"name": "Acme"}}, "brand"),
}


@pytest.mark.parametrize("how", BAD_SOURCES)
def test_a_product_that_cannot_be_composed(corner, projector, dead_letters, eventually, how):
    fields, reason = BAD_SOURCES[how]
    corner.products.insert_many([product(1, **fields), product(2)])
    eventually(lambda: document(corner, "p000002"), 30, "the good one")
    letter = letter_of(corner, eventually, "p000001", reason)
    assert letter["status"] == 0 and letter["document_is"] == "product"
    assert json.loads(letter["document"])["_id"] == "p000001", "the product as it was"


def test_values_that_search_cannot_hold_are_left_out_and_counted(corner, projector, eventually):
    """Dates that are none, keywords longer than Lucene takes, numbers that are none: the product is served without them."""
    far = RawBSONDocument(raw_date("p000001", 2**62))
    corner.products.insert_many([far])
    corner.products.insert_many([
        product(2, created_at="yesterday", updated_at=Int64(5)),
        product(3, brand="B" * 40000, attributes={"essay": "long " * 10000, "ean": "9" * 40000, "weight": float("nan")}),
        product(4, name={"ko": "가" * 40000, "xx": 5}, description="x" * 200000),
    ])
    for number in range(1, 5):
        eventually(lambda n=number: document(corner, f"p{n:06}"), 30, f"product {number}")
    assert letters(corner).count_documents({}) == 0
    assert "created_at" not in document(corner, "p000001") and "updated_at" not in document(corner, "p000002")
    third = document(corner, "p000003")
    assert third["brand"] == "B" * 256 and all(len(t.encode()) < 32766 for t in third["attrs"] + third["codes"])
    eventually(lambda: projector.metric(PREFIX + "ignored_values_total") >= 4, 20, "and they are counted")


def raw_date(product_id, msec):
    """pymongo makes no dates beyond the year 9999."""
    plain = bson.encode({"_id": product_id, "name": "Far", "price": Int64(1), "created_at": Int64(msec), "version": Int64(1)})
    return plain.replace(b"\x12created_at\0", b"\x09created_at\0")


def test_text_that_is_no_utf8(corner, projector, checker, eventually):
    """MongoDB takes what a careless driver writes: it may not break the bulk that it is in."""
    plain = bson.encode({"_id": "p000001", "name": "AAAA", "price": Int64(1), "version": Int64(1)})
    insert(corner, range(2, 50))
    corner.products.insert_many([RawBSONDocument(plain.replace(b"AAAA", b"A\xff\xc3A"))])
    insert(corner, range(50, 100))
    for number in (1, 49, 99):
        eventually(lambda n=number: document(corner, f"p{n:06}") or letters(corner).find_one({"_id": f"p{n:06}"}), 30)
    assert document(corner, "p000049") and document(corner, "p000099")


def raw_product(product_id):
    """pymongo makes no text that is not UTF-8."""
    plain = bson.encode({"_id": "I" * len(product_id), "name": "N", "price": Int64(1), "version": Int64(1)})
    return RawBSONDocument(plain.replace(b"I" * len(product_id), product_id, 1))


def test_ids_that_no_document_can_have(corner, program, write_api, eventually):
    """The first scan and a verification pass over them, the stream counts them, and its position moves on."""
    corner.products.insert_many([raw_product(b"a\xff\xc3"), raw_product(b"p\xff\xc3")])
    insert(corner, range(2, 10))
    projector = program("projector", SURE_LEASE).start()
    eventually(lambda: jobs(corner).find_one({"type": "scan", "state": "done"}), 60, "the first scan")
    corner.products.insert_many([raw_product(b"q\xff\xc3"), raw_product(b""), raw_product(b"x" * 129)])
    insert(corner, range(10, 12))
    eventually(lambda: search_count(corner) == 10, 30, "the others")
    eventually(lambda: projector.metric(PREFIX + "ignored_events_total") == 3, 20, "they are counted")
    eventually(lambda: projector.metric(PREFIX + "unfinished_marks", 'source="stream"') == 0, 30, "nothing waits")
    assert letters(corner).count_documents({}) == 0
    Verify(corner).run(expect=Verify.EQUAL)


def test_pages_of_ids_that_no_document_can_have(corner, program, write_api, eventually):
    """A scan and a verification go on behind pages that hold nothing else, whatever their bytes are."""
    ids = [b""] + [start + b"%03d" % n for n in range(30) for start in (b"a" * 128, b"m\xff", b"n" * 100 + b"\xff" * 28, b"\xff" * 128)]
    corner.products.insert_many([raw_product(i) for i in ids])
    for n, good in enumerate((b"a" * 128, b"b", b"n" * 100 + b"o", "힣".encode() * 42)):
        corner.products.insert_one({"_id": good.decode(), "name": f"Good {n}", "price": Int64(1), "version": Int64(1)})
    program("projector", {**SURE_LEASE, "projector.scan_page": 10}).start()
    scan = eventually(lambda: jobs(corner).find_one({"type": "scan", "state": "done"}), 60, "the first scan")
    assert scan["done"] == 4
    eventually(lambda: search_count(corner) == 4, 30, "all four")
    Verify(corner).run("--rate", "200", expect=Verify.EQUAL)


@pytest.mark.parametrize("limit", ["64k", "8m"])
def test_a_document_over_our_own_limit(corner, program, write_api, dead_letters, eventually, limit):
    """Larger than document_max_bytes: one variant costs about as much as its terms."""
    projector = program("projector", {"projector.document_max_bytes": limit, "projector.bulk_max_bytes": "64k"}).start()
    eventually(lambda: jobs(corner).find_one({"type": "scan", "state": "done"}), 30, "the first scan, which would put it aside once more")
    n = 100 if limit == "64k" else 4500
    long = {f"name{k}": "v" * 200 for k in range(10)}
    large = product(1, variants=[{"sku": f"s{i}", "attributes": {"n": Int64(i), **long}} for i in range(n)])
    corner.products.insert_many([large, *(product(k) for k in range(2, 100))])
    eventually(lambda: search_count(corner) == 98, 60, "the others", pause=0.1)
    letter = letter_of(corner, eventually, "p000001", "document_max_bytes")
    assert len(letter["document"]) <= 1 << 20, "as much of it as is sensible"
    eventually(lambda: projector.metric(PREFIX + "dead_letters_total") == 1, 20, "it is counted once")


def test_the_limit_is_the_document_s_own(corner, program, write_api, checker, eventually):
    """Not how much is left in a bulk: alone in a large one it is too large, behind others one just below it is not."""
    program("projector", {"projector.document_max_bytes": "64k", "projector.bulk_max_bytes": "4m", "projector.lanes": 1}).start()
    corner.products.insert_one(product(1, description="d" * 66000))
    letter_of(corner, eventually, "p000001", "document_max_bytes")
    corner.products.insert_many([product(n, description="d" * (66000 if n == 50 else 64500)) for n in range(2, 100)])
    eventually(lambda: search_count(corner) == 97, 60, "the others", pause=0.1)
    letter_of(corner, eventually, "p000050", "document_max_bytes")
    assert letters(corner).count_documents({}) == 2
    corner.products.update_many({}, {"$set": {"description": "short"}})
    checker.assert_equal(60, at_least=99)


# ---- what Elasticsearch refuses -----------------------------------------------------------------------------------

CONFLICTS = {  # a change of the mapping, a product that does not fit it, what Elasticsearch says
    "number-out-of-range": ({"price_min": {"type": "integer", "index": False}}, {"price": Int64(3 * 10**9)}, "out of range|price_min"),
    "keyword-for-a-number": ({"brand": {"type": "long", "fields": {"text": {"type": "keyword"}}}}, {"brand": "Acme"}, "brand"),
    "date-out-of-range": ({"created_at": {"type": "date_nanos"}}, "date", "created_at|date"),
}


@pytest.mark.parametrize("how", CONFLICTS)
def test_a_product_that_the_mapping_refuses(corner, program, write_api, tmp_path, dead_letters, eventually, how):
    properties, fields, reason = CONFLICTS[how]
    path = mapping_file(tmp_path, lambda m: m["mappings"]["properties"].update(properties))
    program("projector", {"projector.mapping": path}).start()
    bad = product(1, **fields) if isinstance(fields, dict) else RawBSONDocument(raw_date("p000001", -10**13))
    corner.products.insert_many([bad])
    good = [product(n) for n in range(2, 40)]
    for one in good:
        one.pop("brand")
    corner.products.insert_many(good)
    eventually(lambda: document(corner, "p000039"), 30, "the good ones")
    letter = letter_of(corner, eventually, "p000001", reason)
    assert letter["status"] == 400 and letter["document_is"] == "document"
    assert json.loads(letter["document"])["id"] == "p000001"
    assert lines(dead_letters("list", "--json"))[0]["id"] == "p000001"


@pytest.mark.slow
class TestSmallRequests:
    """An Elasticsearch that takes no request over 1 MiB (http.max_content_length), which is less than a bulk."""

    @pytest.fixture(scope="class")
    @classmethod
    def stack(cls):
        made = OwnStack("elasticsearch", READSIDE_ES_MAX_CONTENT_LENGTH="1mb")
        yield made
        made.close()

    def test_bulks_are_split_and_one_document_that_is_too_large_is_put_aside(self, corner, program, write_api, checker,
                                                                              eventually):
        projector = program("projector", {"projector.bulk_max_bytes": "4m", "projector.lanes": 1}).start()
        text = " ".join(f"word{n}" for n in range(4000))
        long = {f"name{k}": "v" * 200 for k in range(10)}
        large = product(900000, variants=[{"sku": f"s{i}", "attributes": {"n": Int64(i), **long}} for i in range(800)])
        corner.products.insert_many([product(n, description=text) for n in range(100)] + [large] +
                                    [product(n, description=text) for n in range(100, 300)])
        eventually(lambda: search_count(corner) == 300, 120, "the others", pause=0.1)
        letter_of(corner, eventually, "p900000", "413|too large|length")
        assert projector.metric(PREFIX + "retries_total", 'class="too_large"') > 0
        for n in range(50):
            update(corner, n, price=Int64(5))
        eventually(lambda: all(price_is(corner, f"p{n:06}", 5) for n in range(50)), 30, "and it goes on")
        corner.products.update_one({"_id": "p900000"}, {"$unset": {"variants": ""}})
        checker.assert_equal(60, at_least=301)
        eventually(lambda: letters(corner).count_documents({}) == 0, 30)


# ---- the way back -------------------------------------------------------------------------------------------------


def test_a_product_that_is_again_what_it_was_has_no_letter(corner, projector, checker, eventually):
    """The write is left out because nothing changed since the last one; the letter goes all the same."""
    insert(corner, [1])
    checker.assert_equal(30, at_least=1)
    corner.products.update_one({"_id": "p000001"}, {"$set": {"price": "dear"}})
    letter_of(corner, eventually, "p000001", "price")
    corner.products.update_one({"_id": "p000001"}, {"$set": {"price": Int64(1001)}})
    eventually(lambda: letters(corner).count_documents({}) == 0, 30, "the letter is gone")
    checker.assert_equal(10, at_least=1)


@pytest.fixture
def three_bad(corner, program, write_api, tmp_path, eventually):
    """Refused by a mapping with small prices; the index is then widened behind the projector's back."""
    path = mapping_file(tmp_path, lambda m: m["mappings"]["properties"].update(brand={"type": "keyword", "eager_global_ordinals": True,
                        "fields": {"text": {"type": "long"}}}))
    projector = program("projector", {"projector.mapping": path}).start()
    eventually(lambda: jobs(corner).find_one({"type": "scan", "state": "done"}), 30, "the first scan, which would try them once more")
    corner.products.insert_many([product(n, brand="Acme") for n in (1, 2, 3)] + [product(4, brand="5"), product(5, price="dear", brand="7")])
    eventually(lambda: letters(corner).count_documents({}) == 4, 30, "four letters")
    eventually(lambda: document(corner, "p000004"), 30)
    return projector


def test_the_commands_on_dead_letters(corner, three_bad, dead_letters, eventually):
    listed = lines(dead_letters("list", "--json"))
    assert {one["id"] for one in listed} == {"p000001", "p000002", "p000003", "p000005"}
    assert all(one["reason"] and one["times"] == 1 and one["first_at"] and "document" not in one for one in listed)
    assert [one["id"] for one in lines(dead_letters("list", "--json", "--reason", "PRICE"))] == ["p000005"]
    assert len(lines(dead_letters("list", "--json", "--limit", "2"))) == 2
    text = dead_letters("list")
    assert "p000003" in text and "4 dead letters" in text and "400" in text
    assert "2 of 4" in dead_letters("list", "--limit=2")
    shown = lines(dead_letters("show", "p000001", "--json"))[0]
    assert json.loads(shown["document"])["id"] == "p000001" and shown["replay"] == "projector dead-letters replay p000001"
    assert "dear" in dead_letters("show", "p000005")

    # Nothing was mended: it fails again, and the command says which and why.
    again = dead_letters("replay", "p000001", "--json", expect=DIFFERENCES)
    assert lines(again)[-1] == {"event": "replayed", "products": 1, "written": 0, "failed": 1}
    assert lines(again)[-2]["id"] == "p000001" and lines(again)[-2]["times"] == 2
    # Mended where no change event tells of it: the mapping takes what it refused.
    corner.stack.es("PUT", f"/{corner.index}/_mapping", {"properties": {"brand": {
        "type": "keyword", "eager_global_ordinals": True, "fields": {"text": {"type": "long", "ignore_malformed": True}}}}})
    assert lines(dead_letters("replay", "p000001", "--json"))[-1] == {"event": "replayed", "products": 1, "written": 1, "failed": 0}
    assert document(corner, "p000001") and letters(corner).count_documents({"_id": "p000001"}) == 0
    assert "2 replayed: 2 written, 0 failed again" in dead_letters("replay", "--reason", "brand")
    assert document(corner, "p000003") and letters(corner).count_documents({}) == 1
    corner.products.update_one({"_id": "p000005"}, {"$set": {"traceparent": "x"}})
    eventually(lambda: letters(corner).find_one({"_id": "p000005", "times": 2}), 30, "a change tries again by itself")
    assert "1 failed again" in dead_letters("replay", "--all", expect=DIFFERENCES)
    assert "1 dropped" in dead_letters("drop", "--all")
    assert dead_letters("list", "--json") == "" and "0 dead letters" in dead_letters("list")
    assert jobs(corner).count_documents({"type": "repair", "state": "done"}) >= 3


def test_a_letter_counts_once_until_it_is_another(corner, three_bad, dead_letters, eventually):
    def counted():
        return three_bad.metric(PREFIX + "dead_letters_total")

    eventually(lambda: counted() == 4, 30, "each is counted, once it is stored")
    dead_letters("replay", "--all", expect=DIFFERENCES)
    assert all(letter["times"] == 2 for letter in letters(corner).find()) and counted() == 4
    corner.products.update_one({"_id": "p000001"}, {"$set": {"name": "Another"}})
    eventually(lambda: counted() == 5, 30, "another document that the index refuses")
    corner.products.update_one({"_id": "p000005"}, {"$set": {"price": "dearer"}})
    eventually(lambda: counted() == 6, 30, "another product that cannot be composed")
    three_bad.kill()
    three_bad.start()
    dead_letters("replay", "--all", expect=DIFFERENCES)
    assert counted() == 0, "they are the letters of before"


def test_replay_without_waiting_and_letters_that_the_projector_does_not_know(corner, projector, dead_letters, eventually):
    insert(corner, [1, 2])
    eventually(lambda: document(corner, "p000002"), 30)
    letters(corner).insert_many([{"_id": f"p{n:06}", "reason": "of old", "status": 400, "times": Int64(3)} for n in (1, 2)])
    assert "1 handed" in dead_letters("replay", "p000001", "--no-wait")
    assert "1 written" in dead_letters("replay", "p000002")
    assert not letters(corner).find_one({"_id": "p000002"})


def test_replay_needs_a_projector(corner, projector, dead_letters, eventually):
    corner.products.insert_one(product(1, price="dear"))
    letter_of(corner, eventually, "p000001", "price")
    projector.stop()
    assert len(lines(dead_letters("list", "--json"))) == 1
    dead_letters("replay", "--all", expect=UNREACHABLE)


def test_ids_that_look_like_options_or_need_quotes(corner, projector, dead_letters, eventually):
    """Every letter names the words that replay it; a shell and the program understand them."""
    ids = ["--all", "-1", "--", "--mongo.uri=mongodb://elsewhere", "it's $HOME; *"]
    corner.products.insert_many([{**product(1, price="dear"), "_id": i} for i in ids])
    eventually(lambda: letters(corner).count_documents({}) == len(ids), 30, "their letters")
    for i in ids:
        words = shlex.split(letters(corner).find_one({"_id": i})["replay"])
        assert words[:3] == ["projector", "dead-letters", "replay"]
        assert lines(dead_letters("show", "--json", "--", i))[0]["id"] == i
        assert "1 replayed: 0 written, 1 failed again" in dead_letters(*words[2:], expect=DIFFERENCES)
    assert "2 dropped" in dead_letters("drop", "--", *ids[:2])
    assert letters(corner).count_documents({}) == len(ids) - 2


@pytest.mark.parametrize("arguments", [(), ("burn",), ("show",), ("replay",), ("drop",), ("drop", "p1", "--all"), ("list", "--limit", "0"),
                                       ("list", "--limit", "x"), ("list", "--reason"), ("list", "--what")])
def test_wrong_usage(dead_letters, arguments):
    dead_letters(*arguments, expect=USAGE)


def test_ids_that_have_no_letter(dead_letters, projector):
    dead_letters("show", "nothing", expect=FAILED)
    dead_letters("drop", "nothing", expect=FAILED)
    dead_letters("replay", "nothing", expect=FAILED)
