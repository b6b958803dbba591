"""The servers that tests/run started, and a corner of them that belongs to one test."""
import functools
import os
import secrets

import pymongo
import pymysql
import requests

NEEDED = ("READSIDE_MONGO_URI", "READSIDE_MYSQL_HOST", "READSIDE_MYSQL_PORT", "READSIDE_MYSQL_USER", "READSIDE_ELASTICSEARCH_URL", "READSIDE_KAFKA_BROKERS", "READSIDE_BIN_DIR")


class Stack:
    """Addresses and clients of the servers. `environment`: what programs need besides the process's own."""

    environment = {}

    def __init__(self, addresses=None):
        self.addresses = addresses or os.environ
        missing = [name for name in NEEDED if not self.addresses.get(name)]
        if missing:
            raise RuntimeError(f"{', '.join(missing)} not set: start these tests with tests/run e2e, or see tests/README.md")
        self.mongo = pymongo.MongoClient(self.addresses["READSIDE_MONGO_URI"], tz_aware=True, serverSelectionTimeoutMS=10000,
                                         **self._mongo_security())
        self.es_url = self.addresses["READSIDE_ELASTICSEARCH_URL"].split(",")[0].rstrip("/")
        self.http = requests.Session()
        self.http.trust_env = False  # neither a proxy nor REQUESTS_CA_BUNDLE, which would win over verify
        self.http.verify = self.addresses.get("READSIDE_ELASTICSEARCH_CA_FILE") or True
        if self.addresses.get("READSIDE_ELASTICSEARCH_USER"):
            self.http.auth = (self.addresses["READSIDE_ELASTICSEARCH_USER"], self.secret("READSIDE_ELASTICSEARCH_PASSWORD"))

    def secret(self, name):
        """A secret as the programs take it: from NAME, or from the file that NAME_FILE names."""
        if self.addresses.get(name + "_FILE"):
            with open(self.addresses[name + "_FILE"], encoding="utf-8") as f:
                return f.read().rstrip("\n")
        return self.addresses.get(name, "")

    def _mongo_security(self):
        made = {}
        if self.addresses.get("READSIDE_MONGO_CA_FILE"):
            made.update(tls=True, tlsCAFile=self.addresses["READSIDE_MONGO_CA_FILE"])
        if self.addresses.get("READSIDE_MONGO_USER"):
            made.update(username=self.addresses["READSIDE_MONGO_USER"], password=self.secret("READSIDE_MONGO_PASSWORD"))
        return made

    def mysql(self, database=None):
        """A connection of its own, autocommit, as the programs' sessions are."""
        authority = self.addresses.get("READSIDE_MYSQL_CA_FILE")
        return pymysql.connect(
            ssl={"ca": authority} if authority else None,
            host=self.addresses["READSIDE_MYSQL_HOST"], port=int(self.addresses["READSIDE_MYSQL_PORT"]), database=database,
            user=self.addresses["READSIDE_MYSQL_USER"], password=self.secret("READSIDE_MYSQL_PASSWORD"), charset="utf8mb4",
            autocommit=True, init_command="SET time_zone='+00:00'", connect_timeout=10)

    def es(self, method, path, body=None, expect=(200, 201), **how):
        reply = self.http.request(method, self.es_url + path, json=body, timeout=60, **how)
        assert reply.status_code in expect, f"{method} {path}: {reply.status_code} {reply.text[:1000]}"
        return reply.json() if reply.content else None

    @functools.cached_property
    def has_nori(self):
        """Can the search server take Korean words apart? Elsewhere indexes get the plain mapping."""
        probe = {"tokenizer": {"type": "nori_tokenizer"}, "text": "가"}
        return "tokens" in self.es("POST", "/_analyze", probe, expect=(200, 400))

    def close(self):
        self.mongo.close()
        self.http.close()


class Corner:
    """Names that no other test has: a database in MongoDB and in MySQL, two index names."""

    def __init__(self, stack, label):
        self.stack = stack
        # Short, lower-case: index names are restricted, and MySQL's names end at 64 bytes.
        clean = "".join(c if c.isalnum() else "_" for c in label.lower())[:30].strip("_")
        self.name = f"t_{clean}_{secrets.token_hex(3)}"
        self.index, self.categories_index = f"{self.name}-products", f"{self.name}-categories"
        self.environment = {
            **stack.environment,
            "READSIDE_MONGO_DATABASE": self.name,
            "READSIDE_MYSQL_DATABASE": self.name,
            "READSIDE_PROJECTOR_INDEX": self.index,
            "READSIDE_QUERY_API_INDEX": self.index,
            "READSIDE_PROJECTOR_CATEGORIES_INDEX": self.categories_index,
            "READSIDE_QUERY_API_CATEGORIES_INDEX": self.categories_index,
            "READSIDE_QUERY_API_OVERRIDES_INDEX": f"{self.name}-overrides",
            "READSIDE_QUERY_API_KEYS_INDEX": f"{self.name}-keys",
            "READSIDE_QUERY_API_EVENTS_INDEX": f"{self.name}-events",
            "READSIDE_PROJECTOR_EVENTS_INDEX": f"{self.name}-events",
            "READSIDE_QUERY_API_QUERIES_INDEX": f"{self.name}-queries",
            "READSIDE_PROJECTOR_QUERIES_INDEX": f"{self.name}-queries",
        }
        with stack.mysql() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{self.name}` CHARACTER SET utf8mb4")

    @property
    def products(self):
        return self.stack.mongo[self.name]["products"]

    def sql(self, text, *values):
        with self.stack.mysql(self.name) as connection, connection.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute(text, values)
            return cursor.fetchall()

    def refresh(self):
        self.stack.es("POST", f"/{self.index}/_refresh")

    def remove(self):
        """Everything that belongs to the test; also when half of it was never made."""
        self.stack.mongo.drop_database(self.name)
        with self.stack.mysql() as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS `{self.name}`")
        found = self.stack.es("GET", f"/_cat/indices/{self.name}-*?format=json&h=index&expand_wildcards=all")
        for row in found or []:
            self.stack.es("DELETE", f"/{row['index']}", expect=(200, 404))
        templates = self.stack.es("GET", f"/_index_template/*{self.name}*", expect=(200, 404)) or {}
        for template in templates.get("index_templates", []):
            self.stack.es("DELETE", f"/_index_template/{template['name']}", expect=(200, 404))
