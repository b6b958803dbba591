"""For verify: damage done to an index behind the projector's back, writers that go on meanwhile, and the command."""
import json
import os
import subprocess
import threading

from bson import Int64

from . import shop

MISSING, STALE, ORPHANED, DEAD = "missing", "stale", "orphaned", "dead-lettered"
PIECE = 1000


class Planter:
    """Damages documents of products that no writer touches."""

    def __init__(self, corner, rng, ids):
        self.corner, self.rng = corner, rng
        self.free = list(ids)
        rng.shuffle(self.free)
        self.index = shop.physical(corner)

    def take(self, count):
        taken, self.free = self.free[:count], self.free[count:]
        assert len(taken) == count, "not enough products to plant"
        return taken

    def _documents(self, ids):
        found = {}
        for at in range(0, len(ids), PIECE):
            reply = self.corner.stack.es("POST", f"/{self.index}/_mget", {"ids": ids[at:at + PIECE]})
            found.update({d["_id"]: d for d in reply["docs"] if d.get("found")})
        assert len(found) == len(ids), "planting needs the documents"
        return found

    def _bulk(self, lines):
        for at in range(0, len(lines), 2 * PIECE):
            body = "".join(line + "\n" for line in lines[at:at + 2 * PIECE])
            reply = self.corner.stack.http.post(f"{self.corner.stack.es_url}/{self.index}/_bulk", data=body.encode(),
                                                headers={"Content-Type": "application/x-ndjson"}, timeout=60)
            assert reply.status_code == 200 and not reply.json()["errors"], reply.text[:1000]

    @staticmethod
    def _action(what, product_id, version):
        return json.dumps({what: {"_id": product_id, "version": version, "version_type": "external_gte"}})

    def missing(self, count):
        ids = self.take(count)
        documents = self._documents(ids)
        lines = []
        for i in ids:  # a bulk of deletes has one line each
            lines.append(self._action("delete", i, documents[i]["_version"]))
        self._bulk(lines)
        return {(MISSING, i) for i in ids}

    def _rewrite(self, ids, change):
        lines = []
        for i, found in self._documents(ids).items():
            source = change(dict(found["_source"]))
            lines += [self._action("index", i, found["_version"]),
                      json.dumps(source, separators=(",", ":"), ensure_ascii=False)]
        self._bulk(lines)
        return {(STALE, i) for i in ids}

    def stale(self, count):
        """Older content and its hash, under the right version."""
        def older(source):
            source.update(price_min=7, price_max=7)
            source["content_hash"] = self.rng.randrange(-2**63, 2**63)
            return source

        return self._rewrite(self.take(count), older)

    def altered(self, count):
        """Other content beside the right hash."""
        def change(source):
            source["brand"] = "Altered"
            return source

        return self._rewrite(self.take(count), change)

    def orphaned(self, count):
        template = self._documents(self.take(1))
        found = next(iter(template.values()))
        ids = [f"p{self.rng.randrange(10**6):06}-orphan-{n}" for n in range(count)]
        lines = []
        for i in ids:
            lines += [self._action("index", i, found["_version"]),
                      json.dumps({**found["_source"], "id": i}, separators=(",", ":"), ensure_ascii=False)]
        self._bulk(lines)
        return {(ORPHANED, i) for i in ids}


class Writers:
    """Changes products, their stock and their category as fast as told, until the block ends: the numbers `of`."""

    def __init__(self, corner, rng, of, category=None, parents=(), pause=0.02):
        self.corner, self.of, self.category, self.parents, self.pause = corner, of, category, parents, pause
        self.over, self.errors, self.operations = threading.Event(), [], 0
        seeds = [rng.randrange(2**32) for _ in range(3)]
        works = [self._products, self._stock] + ([self._categories] if category else [])
        self.threads = [threading.Thread(target=self._run, args=(work, type(rng)(seed)), daemon=True)
                        for work, seed in zip(works, seeds)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exception):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
        assert not self.errors, self.errors

    def _run(self, work, rng):
        try:
            work(rng)
        except Exception as e:  # shown at the end
            self.errors.append(repr(e))

    def _products(self, rng):
        products, fresh = self.corner.products, 0
        while not self.over.wait(self.pause):
            number, kind = rng.choice(self.of), rng.randrange(10)
            if kind == 0:
                products.delete_one({"_id": f"p{number:06}"})
                products.insert_one(shop.product(number, price=Int64(rng.randrange(10**6)), categories=self._assigned()))
            elif kind == 1:
                products.insert_one(shop.product(number, _id=f"p{number:06}-{fresh}"))
                fresh += 1
            elif kind == 2 and fresh:
                products.delete_many({"_id": {"$regex": f"-{rng.randrange(fresh)}$"}})
            elif kind == 3:  # there and back: the hash says that nothing happened
                for price in (1, 2, 1):
                    shop.update(self.corner, number, price=Int64(price))
            else:
                shop.update(self.corner, number, price=Int64(rng.randrange(10**6)))
            self.operations += 1

    def _assigned(self):
        return [Int64(self.category)] if self.category else []

    def _hold_back(self, cursor):
        """A machine that is busy with other things falls behind without end: the writers wait for it."""
        while self.operations % 20 == 0:
            cursor.execute("SELECT COUNT(*) FROM projection_queue")
            if cursor.fetchone()[0] < 300 or self.over.wait(0.2):
                return

    def _stock(self, rng):
        with self.corner.stack.mysql(self.corner.name) as connection, connection.cursor() as cursor:
            while not self.over.wait(self.pause):
                self._hold_back(cursor)
                sku, available = f"p{rng.choice(self.of):06}", rng.choice((0, 3, 9))
                cursor.execute("INSERT INTO stock (sku, available) VALUES (%s, %s) ON DUPLICATE KEY UPDATE available=%s",
                               (sku, available, available))
                self.operations += 1

    def _categories(self, rng):
        turn = 0
        while not self.over.wait(2):
            if shop.jobs(self.corner).count_documents({"type": "fanout", "state": "running"}) > 1:
                continue  # they overlap, and yet a busy machine comes to an end with them
            turn += 1
            if turn % 2:
                shop.move_category(self.corner, self.category, self.parents[turn // 2 % len(self.parents)])
            else:
                self.corner.sql("UPDATE categories SET name=%s WHERE id=%s", f"Name {turn}", self.category)
            self.operations += 1


class Verify:
    """Runs `projector verify --json` with the environment of the test's programs."""

    EQUAL, FAILED, USAGE, DIFFERENCES, UNREACHABLE = 0, 1, 2, 3, 4

    def __init__(self, corner, timeout=600):
        self.corner, self.timeout = corner, timeout

    def start(self, *arguments, **environment):
        binary = os.path.join(os.environ["READSIDE_BIN_DIR"], "projector")
        return subprocess.Popen([binary, "verify", "--json", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env={**os.environ, **self.corner.environment, **environment})

    def finish(self, process):
        out, self.said = process.communicate(timeout=self.timeout)
        self.lines = [json.loads(line) for line in out.splitlines()]
        self.result = next((line for line in self.lines if line["event"] == "result"), None)
        self.differences = {(line["kind"], line["id"]) for line in self.lines if line["event"] == "difference"}
        self.reported = sum(line["event"] == "difference" for line in self.lines)
        assert "Sanitizer" not in self.said and "runtime error" not in self.said, self.said
        return process.returncode

    def run(self, *arguments, expect=None, **environment):
        """The exit code, which must be `expect` if that is given."""
        code = self.finish(self.start(*arguments, **environment))
        assert expect is None or code == expect, f"{code}, not {expect}: {self.said}\n{self.lines[-5:]}"
        return code

    def assert_found(self, planted):
        wrong, unseen = self.differences - planted, planted - self.differences
        assert not wrong and not unseen, f"false: {sorted(wrong)[:5]} ({len(wrong)}), unseen: {sorted(unseen)[:5]} ({len(unseen)})"
        assert self.reported == len(planted), f"{self.reported} lines for {len(planted)} differences"
