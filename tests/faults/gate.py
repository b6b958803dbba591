"""An HTTP proxy in front of Elasticsearch that refuses, delays, holds and loses what it is told to.

Each projector has a gate of its own. It understands `_bulk`: an item that it refuses is not handed on, and its refusal
is put at its place into the answer, as a node whose write queue is full answers (429), or one whose shard is not there (503).
"""
import http.client
import http.server
import json
import random
import threading
import time

REASONS = {429: ("es_rejected_execution_exception", "rejected execution: the queue is full"),
           503: ("unavailable_shards_exception", "primary shard is not active")}


class Rules:
    """What a gate does now. Changed by a fault, read by every request; `hits` counts what was really done."""

    def __init__(self):
        self.lock = threading.Lock()
        self.clear()

    def clear(self):
        self.item_share, self.request_share, self.lose_share, self.status, self.delay, self.hold = 0.0, 0.0, 0.0, 429, 0.0, None
        self.rng, self.hits = random.Random(0), 0

    def dice(self, share):
        if share <= 0:
            return False
        with self.lock:
            hit = self.rng.random() < share
            self.hits += hit
        return hit


class Hold:
    """Keeps bulks that a predicate chooses until they are released. Then they go to Elasticsearch, whether or not anybody
    still waits for the answer; or, with `drop`, nowhere."""

    def __init__(self, wanted, drop=False):
        self.wanted, self.drop = wanted, drop
        self.held, self.released, self.passed = threading.Event(), threading.Event(), threading.Event()

    def wait(self, body):
        if not self.wanted(body):
            return False
        self.held.set()
        self.released.wait(120)
        return True


class Gate:
    def __init__(self, host, port):
        self.target, self.rules, self.closing = (host, port), Rules(), False
        gate = self

        class Handler(_Handler):
            pass

        Handler.gate = gate
        self.server = _Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.1,), daemon=True).start()

    def close(self):
        self.closing = True
        if self.rules.hold:
            self.rules.hold.released.set()
        self.server.shutdown()
        self.server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """Connections that break are what this is for."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 300
    gate = None
    upstream = None

    def log_message(self, format, *args):  # noqa: A002 (the base class's name)
        pass

    def finish(self):
        if self.upstream:
            self.upstream.close()
        super().finish()

    def do_GET(self):
        self._serve()

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

    def _serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        rules = self.gate.rules
        is_bulk = "/_bulk" in self.path
        if rules.dice(rules.request_share):
            self._reply(rules.status, _refusal(rules.status))
            return
        hold = rules.hold if is_bulk else None
        if rules.delay and is_bulk:
            rules.hits += 1
            time.sleep(rules.delay)
        held = hold and hold.wait(body)
        if held and hold.drop:
            self.close_connection = True
            return
        answer = self._bulk(body, rules) if is_bulk and rules.item_share else self._ask(body)
        if answer and held:
            hold.passed.set()
        if answer is None or rules.dice(rules.lose_share if is_bulk else 0):
            self.close_connection = True  # the server is away, or the answer is lost on its way
            return
        self._reply(*answer)

    def _ask(self, body):
        """(status, body, headers) of Elasticsearch; None if it has none."""
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "expect", "content-length", "accept-encoding")}
        for fresh in (False, True):
            try:
                if self.upstream is None:
                    self.upstream = http.client.HTTPConnection(*self.gate.target, timeout=120)
                    fresh = True
                self.upstream.request(self.command, self.path, body or None, headers)
                reply = self.upstream.getresponse()
                return reply.status, reply.read(), dict(reply.getheaders())
            except (OSError, http.client.HTTPException):
                self.upstream.close()
                self.upstream = None
                if fresh:
                    return None
        return None

    def _bulk(self, body, rules):
        """Hands on the items that are not refused, and puts refusals and answers together in their order."""
        items, order, passed = _items(body), [], []
        for item in items:
            refused = rules.dice(rules.item_share)
            order.append((item[0], refused))
            if not refused:
                passed.append(item)
        answers, status, headers = [], 200, {"Content-Type": "application/json"}
        if passed:
            reply = self._ask(b"".join(lines for _, lines in passed))
            if reply is None:
                return None
            status, text, headers = reply
            if status != 200:
                return reply
            answers = json.loads(text)["items"]
        rest = iter(answers)
        made = [{operation: {"status": rules.status, "error": _error(rules.status)}} if refused else next(rest)
                for operation, refused in order]
        errors = any("error" in one for item in made for one in item.values())
        return 200, json.dumps({"took": 1, "errors": errors, "items": made}).encode(), headers

    def _reply(self, status, body, headers=None):
        self.send_response(status)
        for key, value in (headers or {"Content-Type": "application/json", "X-Elastic-Product": "Elasticsearch"}).items():
            if key.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _items(body):
    """[(operation, its lines)] of a bulk."""
    lines, found, at = body.split(b"\n"), [], 0
    while at < len(lines) and lines[at]:
        operation = next(iter(json.loads(lines[at])))
        count = 1 if operation == "delete" else 2
        found.append((operation, b"".join(line + b"\n" for line in lines[at:at + count])))
        at += count
    return found


def _error(status):
    return {"type": REASONS[status][0], "reason": REASONS[status][1]}


def _refusal(status):
    return json.dumps({"error": _error(status), "status": status}).encode()
