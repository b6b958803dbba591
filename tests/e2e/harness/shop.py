"""Products and categories written straight into the databases, and looks at the index and at what the projector keeps."""
import re

import requests
from bson import Int64

# For tests that put an owner to sleep: it is lost in two seconds, which a busy machine may be away, too.
FAST_LEASE = {"projector.lease_ttl": "2s", "projector.lease_renew": "400ms"}
# For all others: no pause of a machine loses it, and who was stopped or killed is followed at once all the same.
SURE_LEASE = {"projector.lease_ttl": "60s", "projector.lease_renew": "400ms"}
PREFIX = "readside_projector_"
PIECE = 5000


def product(number, **fields):
    made = {"_id": f"p{number:06}", "name": f"Product {number}", "brand": "Acme", "price": Int64(1000 + number), "currency": "KRW",
            "attributes": {"color": "black", "size": Int64(number)}, "version": Int64(1)}
    made.update(fields)
    return made


def insert(corner, numbers, **fields):
    numbers = list(numbers)
    for at in range(0, len(numbers), PIECE):
        corner.products.insert_many([product(n, **fields) for n in numbers[at:at + PIECE]], ordered=False)


def update(corner, number, **fields):
    corner.products.update_one({"_id": f"p{number:06}"}, {"$set": fields, "$inc": {"version": 1}})


def document(corner, product_id):
    """As the index has it now, without waiting for a refresh; None if it is not there."""
    reply = corner.stack.es("GET", f"/{corner.index}/_doc/{product_id}", expect=(200, 404))
    return reply.get("_source") if reply.get("found") else None


def price_is(corner, product_id, price):
    found = document(corner, product_id)
    return found is not None and found.get("price_min") == price


def search_count(corner, query=None):
    """How many documents a search finds; also that it is answered."""
    body = {"query": query or {"match_all": {}}}
    return corner.stack.es("POST", f"/{corner.index}/_count", body)["count"]


def physical(corner):
    return next(iter(corner.stack.es("GET", f"/_alias/{corner.index}")))


def state(corner, collection="projector_state"):
    return corner.stack.mongo[corner.name][collection]


def jobs(corner):
    return state(corner, "projector_jobs")


def letters(corner):
    return state(corner, "dead_letters")


def add_category(corner, number, parent_path, name):
    path = f"{parent_path}{number}/"
    parent = int(parent_path.rstrip("/").rsplit("/", 1)[-1]) if parent_path else None
    corner.sql("INSERT INTO categories (id, parent_id, level, path, name) VALUES (%s, %s, %s, %s, %s)", number, parent,
               path.count("/"), path, name)
    return path


def move_category(corner, number, parent_path):
    """As the write-api does it: the row and all below it, in one transaction."""
    old = corner.sql("SELECT path FROM categories WHERE id=%s", number)[0]["path"]
    new = f"{parent_path}{number}/"
    parent = int(parent_path.rstrip("/").rsplit("/", 1)[-1]) if parent_path else None
    with corner.stack.mysql(corner.name) as connection, connection.cursor() as cursor:
        connection.begin()
        cursor.execute("UPDATE categories SET parent_id=%s WHERE id=%s", (parent, number))
        cursor.execute("UPDATE categories SET path=CONCAT(%s, SUBSTRING(path, %s)), level=level+%s WHERE path LIKE %s",
                       (new, len(old) + 1, new.count("/") - old.count("/"), old + "%"))
        connection.commit()


def wait_job(corner, eventually, query, deadline=60, **how):
    return eventually(lambda: jobs(corner).find_one(query, sort=[("created_at", -1)]), deadline, f"a job with {query}", **how)


def no_job_runs(corner):
    assert jobs(corner).count_documents({"state": "running"}) == 0, list(jobs(corner).find({"state": "running"}))
    return True


def log_has(program, pattern):
    return re.search(pattern, program.log())


def get(program, path):
    return requests.get(program.url + path, timeout=60)
