"""The live writers: each a thread that carries out its operations of the schedule in their order.

An operation is tried until it is answered. What was answered with a refusal (a category that is gone, a name that is
taken, stock that would fall below zero) is done too: the sources decide what is true, and the checker asks them.
"""
import json
import os
import threading
import time

import content
import pymongo
import pymongo.errors
import pymysql
import requests
from bson import Int64
from pymongo.write_concern import WriteConcern

TRY_SECONDS = 45
NOT_NOW = (requests.RequestException, pymongo.errors.PyMongoError, pymysql.MySQLError, OSError)


class NotAnswered(Exception):
    """The program or the server is not fit to answer now."""


class Writer(threading.Thread):
    def __init__(self, name, operations, world, began):
        super().__init__(name=f"writer-{name}", daemon=True)
        self.kind, self.operations, self.world, self.began = name, operations, world, began
        self.done = self.refused = self.given_up = self.tries = 0
        self.error = None
        self.http = requests.Session()
        # Straight to the server: another program's writes know nothing of the links of ours.
        self.mongo = pymongo.MongoClient(os.environ["READSIDE_MONGO_URI"], serverSelectionTimeoutMS=2000, socketTimeoutMS=5000)
        self.database = self.mongo[world.corner.name]
        self.products = self.database.get_collection("products", write_concern=WriteConcern("majority", wtimeout=5000))
        self.mysql = None

    def run(self):
        try:
            for op in self.operations:
                if self.world.ending.wait(max(0.0, self.began + op["at"] - time.monotonic())):
                    return
                self._carry_out(op)
        except Exception as e:  # shown by the runner
            self.error = e
        finally:
            self.mongo.close()
            self.http.close()

    def _carry_out(self, op):
        act = getattr(self, f"_{self.kind}_{op['kind']}".replace("-", "_"))
        end = time.monotonic() + TRY_SECONDS
        while not self.world.ending.is_set():
            self.tries += 1
            try:
                act(**op["args"])
                self.done += 1
                return
            except NOT_NOW + (NotAnswered,) as e:
                if self._is_refusal(e):
                    self.done += 1
                    self.refused += 1
                    return
                if time.monotonic() >= end:
                    self.given_up += 1
                    self.world.log(f"{self.name} gives up {op['kind']}: {e}")
                    return
                self.world.ending.wait(0.2)

    @staticmethod
    def _is_refusal(e):
        return isinstance(e, (pymongo.errors.DuplicateKeyError, pymysql.err.IntegrityError))

    # ---- products ------------------------------------------------------------------------------------------------

    def _api(self, method, path, body=None, **how):
        if body is not None and "data" not in how:
            how["json"] = body
        reply = self.http.request(method, self.world.programs["write-api"].url + path, timeout=20, **how)
        if reply.status_code >= 500 or reply.status_code == 429:
            raise NotAnswered(f"{path}: {reply.status_code} {reply.text[:200]}")
        self.refused += reply.status_code >= 400
        return reply

    def _products_api_put(self, id, number):  # noqa: A002 (the schedule's word)
        self._api("PUT", f"/v1/products/{id}", content.api_product(id, number))

    def _products_api_patch(self, id, price):  # noqa: A002
        self._api("PATCH", f"/v1/products/{id}", {"price": price})

    def _products_api_delete(self, id):  # noqa: A002
        self._api("DELETE", f"/v1/products/{id}")

    def _products_api_import(self, ids, number):
        lines = "".join(json.dumps(content.api_product(i, number + k)) + "\n" for k, i in enumerate(ids))
        self._api("POST", "/v1/products:import?results=errors", data=lines.encode(),
                  headers={"Content-Type": "application/x-ndjson"})

    def _products_direct_replace(self, id, number):  # noqa: A002
        self.products.replace_one({"_id": id}, content.stored_product(id, number), upsert=True)

    def _products_direct_set_price(self, id, price):  # noqa: A002
        self.products.update_one({"_id": id}, {"$set": {"price": Int64(price)}, "$inc": {"version": Int64(1)}})

    def _products_direct_delete(self, id):  # noqa: A002
        self.products.delete_one({"_id": id})

    def _products_direct_range(self, first, last, number):
        self.products.update_many({"_id": {"$gte": first, "$lt": last}},
                                  {"$set": {"brand": f"Brand {number}"}, "$inc": {"version": Int64(1)}})

    def _products_direct_transaction(self, ids, number):
        with self.mongo.start_session() as session, session.start_transaction(write_concern=WriteConcern("majority")):
            products = self.database["products"]
            for product_id in ids:
                products.replace_one({"_id": product_id}, content.stored_product(product_id, number), upsert=True,
                                     session=session)

    def _hot_replace(self, id, number):  # noqa: A002
        self._products_direct_replace(id, number)

    def _hot_burst(self, id, count, price):  # noqa: A002
        """The same product again and again, half of it unconfirmed, as fast as MongoDB takes it."""
        quick = self.database.get_collection("products", write_concern=WriteConcern(1))
        for n in range(count):
            (quick if n % 2 else self.products).update_one(
                {"_id": id}, {"$set": {"price": Int64(price + n)}, "$inc": {"version": Int64(1)}})

    # ---- categories and stock ------------------------------------------------------------------------------------

    def _categories_rename(self, id, name):  # noqa: A002
        self._api("PATCH", f"/v1/categories/{id}", {"name": name})

    def _categories_move(self, id, parent):  # noqa: A002
        self._api("POST", f"/v1/categories/{id}:move", {"parent_id": parent})

    def _categories_delete(self, id, reassign_to):  # noqa: A002
        self._api("DELETE", f"/v1/categories/{id}?reassign_to={reassign_to}")

    def _categories_create(self, id, name):  # noqa: A002
        self._api("POST", "/v1/categories", {"id": id, "name": name})

    def _categories_rename_direct(self, id, name):  # noqa: A002
        self._sql("UPDATE categories SET name=%s, names=NULL WHERE id=%s", name, id)

    def _stock_api_put(self, sku, available):
        self._api("PUT", f"/v1/stock/{sku}", {"available": available})

    def _stock_api_adjust(self, sku, delta):
        self._api("POST", f"/v1/stock/{sku}:adjust", {"delta": delta, "reason": "test"})

    def _stock_direct_set(self, sku, available):
        self._sql("INSERT INTO stock (sku, available) VALUES (%s, %s) ON DUPLICATE KEY UPDATE available=VALUES(available)",
                  sku, available)

    def _stock_direct_delete(self, sku):
        self._sql("DELETE FROM stock WHERE sku=%s", sku)

    def _stock_direct_flip(self, skus, available):
        self._sql(f"UPDATE stock SET available=%s WHERE sku IN ({', '.join(['%s'] * len(skus))})", available, *skus)

    def _sql(self, text, *values):
        try:
            if self.mysql is None:
                self.mysql = pymysql.connect(
                    host=os.environ["READSIDE_MYSQL_HOST"], port=int(os.environ["READSIDE_MYSQL_PORT"]),
                    user=os.environ["READSIDE_MYSQL_USER"], password=os.environ["READSIDE_MYSQL_PASSWORD"],
                    database=self.world.corner.name, charset="utf8mb4", autocommit=True, connect_timeout=3, read_timeout=8,
                    write_timeout=8)
            with self.mysql.cursor() as cursor:
                cursor.execute(text, values)
        except pymysql.err.IntegrityError:
            raise
        except (pymysql.MySQLError, OSError):
            broken, self.mysql = self.mysql, None
            if broken:
                broken.close()
            raise
