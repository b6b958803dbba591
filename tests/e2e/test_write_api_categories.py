"""/v1/categories: the tree, moving, deleting; and what any writer of the tables leaves in the projection queue."""
import concurrent.futures
import random

import pymysql
import pytest
import requests


class Categories:
    def __init__(self, write_api):
        self.base, self.session = write_api.url + "/v1/categories", requests.Session()

    def add(self, id=None, parent=None, name=None, expect=201):
        body = {"name": name or f"c{id}"}
        body.update({"id": id} if id else {})
        body.update({"parent_id": parent} if parent else {})
        reply = self.session.post(self.base, json=body)
        assert reply.status_code == expect, reply.text
        return reply

    def get(self, id, expect=200):
        reply = self.session.get(f"{self.base}/{id}")
        assert reply.status_code == expect, reply.text
        return reply.json()

    def move(self, id, parent, expect=200, **how):
        reply = self.session.post(f"{self.base}/{id}:move", json={"parent_id": parent}, **how)
        assert reply.status_code == expect, reply.text
        return reply

    def delete(self, id, reassign_to=None, expect=204, **how):
        query = f"?reassign_to={reassign_to}" if reassign_to else ""
        reply = self.session.delete(f"{self.base}/{id}{query}", **how)
        assert reply.status_code == expect, reply.text
        return reply

    def paths(self, id):
        return [c["path"] for c in self.session.get(f"{self.base}/{id}/subtree").json()["items"]]


@pytest.fixture
def categories(write_api):
    made = Categories(write_api)
    yield made
    made.session.close()


@pytest.fixture
def tree(categories):
    """1 > (4 > (13 > 40), 14), 5; 44 is another root whose path begins with the same digit."""
    for id, parent in ((1, None), (4, 1), (13, 4), (40, 13), (14, 4), (5, 1), (44, None)):
        categories.add(id, parent)
    return categories


def queue(corner):
    return [(r["kind"], r["ref"], r["revision"]) for r in
            corner.sql("SELECT kind, ref, revision FROM projection_queue ORDER BY id")]


def test_create(categories):
    made = categories.add(name="컴퓨터")
    body = made.json()
    assert made.headers["Location"] == f"/v1/categories/{body['id']}" and made.headers["ETag"] == '"1"'
    assert (body["path"], body["level"], body["parent_id"]) == (f"{body['id']}/", 1, None)
    assert categories.get(body["id"]) == body
    again = categories.session.get(f"{categories.base}/{body['id']}", headers={"If-None-Match": '"1"'})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", '"1"')
    below = categories.add(13, body["id"], {"ko": "노트북", "en": "Laptops"}).json()
    assert (below["path"], below["level"], below["name"]) == (f"{body['id']}/13/", 2, {"ko": "노트북", "en": "Laptops"})


def test_localized_name_as_stored(categories, corner):
    categories.add(1, None, {"en": "Laptops", "ko": "노트북"})
    categories.add(2, None, {"en": "Laptops", "de": "Rechner"})
    rows = corner.sql("SELECT name, names FROM categories ORDER BY id")
    assert [r["name"] for r in rows] == ["노트북", "Laptops"] and '"de"' in rows[1]["names"]


def test_create_refuses(categories):
    categories.add(1, None, "a")
    assert "exists" in categories.add(1, None, "b", expect=409).json()["detail"]
    assert categories.add(None, None, "a", expect=409).json()["errors"][0]["field"] == "name"
    assert categories.add(2, 99, "x", expect=400).json()["errors"][0]["field"] == "parent_id"
    assert categories.add(2000000001, None, "x", expect=400).json()["errors"][0]["field"] == "id"  # the index takes no id from 2^31
    for body, field in (({}, "name"), ({"name": ""}, "name"), ({"name": {"KO": "x"}}, "name.KO"), ({"name": "x" * 256}, "name"),
                        ({"name": "x", "path": "1/"}, "path"), ({"name": "x", "id": "1"}, "id"),
                        ({"name": "x", "parent_id": 0}, "parent_id"), ({"name": "a\0"}, "name")):
        reply = categories.session.post(categories.base, json=body)
        assert (reply.status_code, reply.json()["errors"][0]["field"]) == (400, field)
    for bad in ("0", "abc", "-1", "4294967296", "1.5"):
        assert categories.session.get(f"{categories.base}/{bad}").status_code == 400
    categories.get(77, expect=404)


def test_ids_that_the_index_does_not_take(categories, corner):
    """It ends at 2^31 - 1; what is there already from before is there."""
    corner.sql("INSERT INTO categories (id, level, path, name) VALUES (2147483646, 1, '2147483646/', 'old')")
    assert "exists" in categories.add(2147483646, None, "x", expect=409).json()["detail"]
    assert categories.add(2147483645, None, "x", expect=400).json()["errors"][0]["field"] == "id"
    assert categories.add(None, None, "last").json()["id"] == 2147483647
    assert "used up" in categories.add(None, None, "x", expect=409).json()["detail"]
    corner.sql("DELETE FROM categories WHERE id = 2147483647")  # but the server has counted it
    assert "used up" in categories.add(None, None, "x", expect=409).json()["detail"]
    corner.sql("INSERT INTO categories (id, level, path, name) VALUES (4294967295, 1, '4294967295/', 'older')")
    assert "used up" in categories.add(None, None, "x", expect=409).json()["detail"]
    categories.add(7, None, "x")
    assert len(corner.sql("SELECT id FROM categories")) == 3


def test_children_and_subtree(tree):
    assert tree.paths(4) == ["1/4/", "1/4/13/", "1/4/13/40/", "1/4/14/"]
    assert tree.paths(44) == ["44/"]
    children = tree.session.get(tree.base + "/1/children").json()["items"]
    assert [c["id"] for c in children] == [4, 5]
    assert tree.session.get(tree.base + "/40/children").json() == {"items": []}
    assert tree.session.get(tree.base + "/99/subtree").status_code == 404


def test_subtree_is_a_range_of_the_path_index(tree, corner):
    corner.sql("INSERT INTO categories (id, level, path, name) VALUES " +
               ", ".join(f"({i}, 1, '{i}/', 'r{i}')" for i in range(1000, 1300)))
    corner.sql("ANALYZE TABLE categories")
    plan = corner.sql("EXPLAIN SELECT id, path FROM categories WHERE path LIKE '1/4/%%' ORDER BY path")[0]
    assert (plan["type"], plan["key"]) == ("range", "categories_path"), plan
    plan = corner.sql("EXPLAIN UPDATE categories SET level=level+1 WHERE path LIKE '1/4/%%'")[0]
    assert (plan["type"], plan["key"]) == ("range", "categories_path"), plan


def test_rename(tree, corner):
    url = tree.base + "/4"
    before = corner.sql("SELECT revision FROM category_revision")[0]["revision"]
    corner.sql("DELETE FROM projection_queue")
    renamed = tree.session.patch(url, json={"name": {"ko": "새 이름"}}, headers={"If-Match": '"1"'})
    assert (renamed.status_code, renamed.headers["ETag"], renamed.json()["name"]) == (200, '"2"', {"ko": "새 이름"})
    assert queue(corner) == [("category", "4", before + 1)]
    assert tree.session.patch(url, json={"name": "y"}, headers={"If-Match": '"1"'}).status_code == 412
    assert tree.session.patch(url, json={"name": "c5"}).status_code == 409
    assert tree.session.patch(url, json={"parent_id": 5}).status_code == 400
    assert tree.session.patch(url, json={}).json()["version"] == 2
    assert tree.session.patch(tree.base + "/99", json={"name": "y"}).status_code == 404


def test_move(tree, corner):
    corner.sql("DELETE FROM projection_queue")
    moved = tree.move(4, 44, headers={"If-Match": '"1"'}).json()
    assert (moved["path"], moved["level"], moved["parent_id"], moved["version"]) == ("44/4/", 2, 44, 2)
    assert tree.paths(44) == ["44/", "44/4/", "44/4/13/", "44/4/13/40/", "44/4/14/"]
    assert tree.get(40)["level"] == 4 and tree.get(13)["parent_id"] == 4
    assert sorted(ref for _, ref, _ in queue(corner)) == ["13", "14", "4", "40"]
    assert tree.move(4, None).json()["path"] == "4/"
    assert tree.paths(4) == ["4/", "4/13/", "4/13/40/", "4/14/"]
    assert tree.move(4, None).json()["version"] == 3  # it is there already


def test_move_refuses(tree):
    for parent in (4, 13, 40):
        assert tree.move(4, parent, expect=409).json()["errors"][0]["field"] == "parent_id"
    assert tree.move(4, 99, expect=400).json()["errors"][0]["field"] == "parent_id"
    tree.move(99, 4, expect=404)
    tree.move(4, 44, expect=412, headers={"If-Match": '"7"'})
    tree.add(60, 44, "c4")
    tree.move(4, 44, expect=409)
    assert tree.session.post(tree.base + "/4:move", json={}).status_code == 400
    assert tree.paths(1) == ["1/", "1/4/", "1/4/13/", "1/4/13/40/", "1/4/14/", "1/5/"]


@pytest.mark.parametrize("first", [1000, 1999999000])
def test_depth_ends_with_a_message(categories, first):
    """Whatever the length of the ids; every reader of the tree can count on it."""
    made = []
    for id in range(first, first + 40):
        reply = categories.session.post(categories.base, json={"id": id, "name": "x", **({"parent_id": made[-1]} if made else {})})
        if reply.status_code != 201:
            break
        made.append(id)
    assert reply.status_code == 409 and "23 levels" in reply.text
    assert len(made) == 23
    categories.add(1, None, "root")
    assert "23 levels" in categories.move(made[0], 1, expect=409).text
    categories.move(made[1], 1, expect=200)
    assert categories.get(made[-1])["level"] == 23
    categories.add(200, 1, "deep")
    categories.move(made[1], 200, expect=409)


def test_delete(tree, corner):
    tree.delete(40)
    tree.get(40, expect=404)
    tree.delete(40, expect=404)
    assert "children" in tree.delete(4, expect=409).json()["detail"]
    tree.delete(13, expect=412, headers={"If-Match": '"9"'})
    assert tree.session.delete(tree.base + "/13?reassign=4").status_code == 400
    tree.delete(4, reassign_to=4, expect=409)
    tree.delete(4, reassign_to=14, expect=409)
    tree.delete(4, reassign_to=99, expect=400)
    corner.sql("DELETE FROM projection_queue")
    tree.delete(4, reassign_to=44)
    assert tree.paths(44) == ["44/", "44/13/", "44/14/"]
    assert sorted(ref for _, ref, _ in queue(corner)) == ["13", "14", "4"]


def test_delete_moves_products(tree, write_api, corner):
    url = write_api.url + "/v1/products"
    for id, body in (("a", {"categories": [4]}), ("b", {"categories": [5, 4, 14], "primary_category_id": 4}),
                     ("c", {"categories": [14, 4]}), ("d", {"categories": [13]})):
        assert requests.put(f"{url}/{id}", json={"name": id, **body}, timeout=10).status_code == 201
    assert "products" in tree.delete(4, expect=409).json()["detail"]
    tree.delete(4, reassign_to=5)
    seen = {p["_id"]: p for p in corner.products.find()}
    assert {id: (p["categories"], p["primary_category_id"], p["version"]) for id, p in seen.items()} == {
        "a": ([5], 5, 2), "b": ([5, 14], 5, 2), "c": ([14, 5], 14, 2), "d": ([13], 13, 1)}
    assert tree.get(13)["path"] == "1/5/13/"


def test_a_refused_delete_leaves_the_products_alone(tree, corner):
    """A name that the new parent has already, and a tree that would be too deep, are seen before products move."""
    product = {"_id": "p", "name": "x", "categories": [4], "primary_category_id": 4, "version": 1}
    corner.products.insert_one(product)
    tree.add(60, 44, "c13")
    assert "same name" in tree.delete(4, reassign_to=44, expect=409).json()["detail"]
    deepest = None
    for id in range(100, 123):
        tree.add(id, deepest)
        deepest = id
    corner.sql("DELETE FROM projection_queue")
    assert "23 levels" in tree.delete(4, reassign_to=deepest, expect=409).text
    assert corner.products.find_one() == product and queue(corner) == []
    assert tree.paths(4) == ["1/4/", "1/4/13/", "1/4/13/40/", "1/4/14/"]
    tree.delete(4, reassign_to=5)
    assert corner.products.find_one()["categories"] == [5]


def test_a_child_may_take_its_parents_place_and_name(tree):
    tree.add(15, 4, "c4")
    tree.delete(4, reassign_to=1)
    assert tree.paths(1) == ["1/", "1/13/", "1/13/40/", "1/14/", "1/15/", "1/5/"]


def test_delete_is_repeatable_after_a_crash(tree, write_api, corner):
    """Products moved but the row still there; the row gone but a product written late."""
    for i in range(30):
        corner.products.insert_one({"_id": f"p{i}", "name": "x", "categories": [14 if i % 2 else 4], "primary_category_id":
                                    14 if i % 2 else 4, "version": 1})
    corner.products.update_many({"categories": 4, "_id": {"$lt": "p20"}}, {"$set": {"categories": [5], "primary_category_id": 5}})
    tree.delete(4, reassign_to=5)
    assert corner.products.count_documents({"categories": 4}) == 0
    corner.products.insert_one({"_id": "late", "name": "x", "categories": [4], "primary_category_id": 4, "version": 1})
    tree.delete(4, reassign_to=5)
    assert corner.products.find_one({"_id": "late"})["categories"] == [5]
    tree.delete(4, reassign_to=5, expect=404)


def test_delete_of_what_is_not_there_takes_nothing_away(tree, corner):
    """MySQL may have lost it, and what a deletion left behind is for a category to take that the client names."""
    tree.delete(14)
    corner.products.insert_one({"_id": "late", "name": "x", "categories": [14, 13], "primary_category_id": 14, "version": 1})
    tree.delete(14, expect=404)
    assert corner.products.find_one({"_id": "late"})["categories"] == [14, 13]
    tree.delete(14, reassign_to=5)
    late = corner.products.find_one({"_id": "late"})
    assert (late["categories"], late["primary_category_id"], late["version"]) == ([5, 13], 5, 2)


def test_concurrent_changes_leave_a_tree(categories, corner, rng):
    """Moves, creations and deletions from many clients at once; then every path is its parent's and its own id."""
    for i in range(1, 41):
        categories.add(i, None if i <= 4 else rng.randrange(1, i))
    seeds = [rng.randrange(2**32) for _ in range(8)]

    def worker(seed):
        mine, session, codes = random.Random(seed), requests.Session(), set()
        for _ in range(40):
            id, other = mine.randrange(1, 41), mine.randrange(0, 41)
            if mine.random() < 0.8:
                reply = session.post(f"{categories.base}/{id}:move", json={"parent_id": other or None}, timeout=60)
            elif mine.random() < 0.5:
                reply = session.post(categories.base, json={"name": f"n{mine.random()}", "parent_id": id}, timeout=60)
            else:
                reply = session.delete(f"{categories.base}/{id}?reassign_to={other or 1}", timeout=60)
            codes.add(reply.status_code)
        return codes

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        codes = set().union(*pool.map(worker, seeds))
    assert codes <= {200, 201, 204, 400, 404, 409}, codes
    rows = {r["id"]: r for r in corner.sql("SELECT id, parent_id, level, path FROM categories")}
    for row in rows.values():
        above = rows[row["parent_id"]]["path"] if row["parent_id"] else ""
        assert row["path"] == f"{above}{row['id']}/" and row["level"] == row["path"].count("/")


# ---- triggers: any writer --------------------------------------------------------------------------------------

def test_plain_sql_fills_the_queue(write_api, corner):
    corner.sql("INSERT INTO categories (id, level, path, name) VALUES (1, 1, '1/', 'a'), (2, 1, '2/', 'b')")
    corner.sql("UPDATE categories SET name='c' WHERE id=1")
    corner.sql("UPDATE categories SET version=version WHERE id=1")  # nothing that anybody sees
    corner.sql("UPDATE categories SET names='{\"ko\": \"c\"}' WHERE id=1")
    corner.sql("DELETE FROM categories WHERE id=2")
    assert queue(corner) == [("category", "1", 1), ("category", "2", 2), ("category", "1", 3), ("category", "1", 4),
                             ("category", "2", 5)]


def test_stock_queues_only_what_a_shopper_sees(write_api, corner):
    def states(text, *values):
        corner.sql("DELETE FROM projection_queue")
        corner.sql(text, *values)
        rows = corner.sql("SELECT state FROM stock WHERE sku='s'")
        return rows[0]["state"] if rows else None, len(queue(corner))

    assert states("INSERT INTO stock (sku, available) VALUES ('s', 100)") == (2, 1)
    assert states("UPDATE stock SET available=6 WHERE sku='s'") == (2, 0)
    assert states("UPDATE stock SET available=5 WHERE sku='s'") == (1, 1)
    assert states("UPDATE stock SET available=1 WHERE sku='s'") == (1, 0)
    assert states("UPDATE stock SET available=0 WHERE sku='s'") == (0, 1)
    assert states("UPDATE stock SET state=2 WHERE sku='s'") == (0, 0)  # state follows available
    corner.sql("UPDATE settings SET value='50' WHERE name='low_stock_threshold'")
    assert states("UPDATE stock SET available=40 WHERE sku='s'") == (1, 1)
    assert states("DELETE FROM stock WHERE sku='s'") == (None, 1)
    with pytest.raises(pymysql.err.OperationalError):
        corner.sql("INSERT INTO stock (sku, available) VALUES ('t', -1)")


def test_revision_is_part_of_the_writers_transaction(write_api, corner, stack):
    with stack.mysql(corner.name) as mysql, mysql.cursor() as cursor:
        mysql.begin()
        cursor.execute("INSERT INTO categories (id, level, path, name) VALUES (1, 1, '1/', 'a')")
        assert corner.sql("SELECT revision FROM category_revision")[0]["revision"] == 0
        mysql.rollback()
    assert corner.sql("SELECT revision FROM category_revision")[0]["revision"] == 0 and queue(corner) == []
