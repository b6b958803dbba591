"""Loads a catalogue through the write-api while its programs may die: each piece is sent again until it is answered."""
import json
import threading
import time

import requests


class Lines:
    """NDJSON in pieces of so many lines."""

    def __init__(self, path, per_piece):
        with open(path, "rb") as f:
            lines = f.read().splitlines(keepends=True)
        self.count = len(lines)
        self.pieces = [b"".join(lines[i:i + per_piece]) for i in range(0, len(lines), per_piece)]


def load_categories(api, path):
    with open(path, "rb") as f:
        for line in f:
            reply = requests.post(api.url + "/v1/categories", data=line, headers={"Content-Type": "application/json"}, timeout=60)
            assert reply.status_code in (201, 409), f"{line!r}: {reply.status_code} {reply.text}"


def send_piece(api, path, piece):
    """One import; its summary."""
    reply = requests.post(f"{api.url}{path}?results=errors", data=piece, headers={"Content-Type": "application/x-ndjson"},
                          timeout=120)
    assert reply.status_code == 200, f"{path}: {reply.status_code} {reply.text[:500]}"
    summary = json.loads(reply.text.splitlines()[-1])["summary"]
    assert summary["failed"] == 0, reply.text[:1500]
    return summary


class Load(threading.Thread):
    """Products and their stock in turn, then a second round of changes. `progress` goes from 0 to 1."""

    def __init__(self, api, folder, rng, per_piece=250, deadline=600.0):
        super().__init__(name="load", daemon=True)
        self.api, self.rng = api, rng
        self.products, self.stock = Lines(folder / "products.ndjson", per_piece), Lines(folder / "stock.ndjson", per_piece * 3)
        self.deleted, self.error, self.resent = set(), None, 0
        self.done_pieces, self.all_pieces = 0, len(self.products.pieces) + len(self.stock.pieces)
        self.end = time.monotonic() + deadline
        self.given_up = threading.Event()

    @property
    def progress(self):
        return self.done_pieces / self.all_pieces

    def run(self):
        try:
            work = [("/v1/products:import", p) for p in self.products.pieces] + [("/v1/stock:import", p) for p in self.stock.pieces]
            self.rng.shuffle(work)
            for number, (path, piece) in enumerate(work):
                self._until_answered(lambda path=path, piece=piece: send_piece(self.api, path, piece))
                if path == "/v1/products:import" and number % 5 == 0:
                    self._delete_one(json.loads(piece.splitlines()[0])["id"])
                self.done_pieces += 1
        except Exception as e:  # shown by finish()
            self.error = e

    def _delete_one(self, product_id):
        def delete():
            reply = requests.delete(f"{self.api.url}/v1/products/{product_id}", timeout=60)
            assert reply.status_code in (204, 200, 404), f"DELETE {product_id}: {reply.status_code} {reply.text}"
            return True

        self._until_answered(delete)
        self.deleted.add(product_id)

    def _until_answered(self, send):
        """A killed server is no answer; a 503 (it waits for a server, or starts) neither."""
        while True:
            try:
                return send()
            except (requests.RequestException, AssertionError) as e:
                if isinstance(e, AssertionError) and " 503 " not in str(e):
                    raise
                if self.given_up.is_set() or time.monotonic() > self.end:
                    raise AssertionError(f"no answer before the deadline; the last: {e}") from e
                self.resent += 1
                self.given_up.wait(0.1)

    def finish(self, deadline):
        self.join(deadline)
        self.given_up.set()
        assert not self.is_alive(), f"the load is at {self.progress:.0%} after {deadline} s"
        if self.error:
            raise self.error
