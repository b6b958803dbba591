"""An HTTP proxy in front of Elasticsearch that looks at each request: delays it, holds it, or answers some of the items
of a bulk itself."""
import http.client
import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

REJECTED = {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "rejected by the test's proxy"}}


class HttpProxy:
    """delay, delay_per_item: seconds before each bulk is forwarded; delay_all: before each request, bulks too. reject(item id) -> True: that item is answered with 429 and does not
    reach the server. largest: a bulk of more bytes is answered with 413. hold(): bulks are kept until release(); release(n) lets n of them pass. `held` counts those that were kept, `answered`
    those that the server has answered. refuse(): every connection is
    closed without an answer, until accept(). deny: a status (401, 403) that every request is answered with
    whose path contains deny_path. catch(method, path) -> True: that request does not reach the server and is never answered,
    catch_answer: it reaches the server and is never answered; `caught` counts both. after_bulk() is called when a bulk is carried out and not answered yet, after_alias() when an
    alias is swapped and that is not answered yet. version: members of what GET / says of its version. traces: (path, traceparent) of every request."""

    def __init__(self, url):
        self.target = urlsplit(url)
        self.delay, self.delay_per_item, self.reject, self.largest, self.deny, self.deny_path = 0.0, 0.0, None, None, None, ""
        self.version = self.after_bulk = self.after_alias = self.catch = self.catch_answer = None
        self.delay_all, self.bulks, self.items, self.rejected, self.held, self.answered, self.caught = 0.0, 0, 0, 0, 0, 0, 0
        self.seen, self.traces = deque(maxlen=1000), deque(maxlen=100_000)
        self.lock = threading.Lock()
        self.let_go, self.left = threading.Event(), None
        self.let_go.set()
        self.away = threading.Event()
        self.waiting = threading.Event()  # wakes those that are delayed at the end
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self):
                proxy.serve(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

            def log_message(self, *arguments):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 128

            def handle_error(self, request, client_address):
                pass  # a client that went away

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.waiting.set()
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()

    def held_ids(self):
        """Of the documents in bulks that were held."""
        with self.lock:
            return {item_id for was_held, ids in self.seen if was_held for item_id in ids}

    def refuse(self):
        self.away.set()

    def accept(self):
        self.away.clear()

    def hold(self):
        self.let_go.clear()

    def release(self, bulks=None):
        with self.lock:
            self.left = bulks
        self.let_go.set()

    def _wait_to_pass(self):
        while True:
            self.let_go.wait()
            with self.lock:
                if not self.let_go.is_set():
                    continue  # another one was the last
                if self.left is not None:
                    self.left -= 1
                    if self.left == 0:
                        self.let_go.clear()
                return

    # ---- one request ------------------------------------------------------------------------------------------

    def serve(self, client):
        if self.away.is_set():
            client.close_connection = True
            return
        body = client.rfile.read(int(client.headers.get("Content-Length") or 0))
        self.traces.append((client.path, client.headers.get("traceparent")))
        self.waiting.wait(self.delay_all)
        if self.catch and self.catch(client.command, client.path):
            self._keep(client)
            return
        if self.deny and self.deny_path in client.path:
            reason = {"type": "security_exception", "reason": "denied by the test's proxy"}
            status, answer = self.deny, json.dumps({"error": reason, "status": self.deny}).encode()
        elif "/_bulk" in client.path and "categories" not in client.path:
            status, answer = self._bulk(client, body)
            if self.after_bulk:
                self.after_bulk()
            with self.lock:
                self.answered += 1
        else:
            status, answer = self._forward(client, body)
            if self.after_alias and client.path.startswith("/_aliases"):
                self.after_alias()
        if self.catch_answer and self.catch_answer(client.command, client.path):
            self._keep(client)
            return
        if self.version and client.path == "/":
            known = json.loads(answer)
            known["version"].update(self.version)
            answer = json.dumps(known).encode()
        client.send_response(status)
        client.send_header("Content-Type", "application/json")
        client.send_header("X-Elastic-Product", "Elasticsearch")
        client.send_header("Content-Length", str(len(answer)))
        client.end_headers()
        if client.command != "HEAD":
            client.wfile.write(answer)

    def _keep(self, client):
        """For good: until the proxy's end."""
        with self.lock:
            self.caught += 1
        self.waiting.wait()
        client.close_connection = True

    def _forward(self, client, body):
        server = http.client.HTTPConnection(self.target.hostname, self.target.port, timeout=120)
        try:
            headers = {"Content-Type": client.headers["Content-Type"]} if client.headers.get("Content-Type") else {}
            server.request(client.command, client.path, body or None, headers)
            reply = server.getresponse()
            return reply.status, reply.read()
        finally:
            server.close()

    def _bulk(self, client, body):
        with self.lock:
            self.bulks += 1
            self.held += not self.let_go.is_set()
        items = split_bulk(body)
        with self.lock:
            self.seen.append((not self.let_go.is_set(), [item_id for item_id, _, _ in items]))
        if self.largest is not None and len(body) > self.largest:
            return 413, b"<html>Request Entity Too Large</html>"
        self.waiting.wait(self.delay + self.delay_per_item * len(items))
        self._wait_to_pass()
        reject = self.reject
        refused = [reject is not None and reject(item_id) for item_id, _, _ in items]
        with self.lock:
            self.items += len(items)
            self.rejected += sum(refused)
        if not any(refused):
            return self._forward(client, body)
        kept = b"".join(text for (_, _, text), no in zip(items, refused) if not no)
        answered = iter([])
        if kept:
            status, answer = self._forward(client, kept)
            if status != 200:
                return status, answer
            answered = iter(json.loads(answer)["items"])
        merged = [{op: REJECTED} if no else next(answered) for (_, op, _), no in zip(items, refused)]
        return 200, json.dumps({"took": 1, "errors": True, "items": merged}).encode()


def split_bulk(body):
    """[(id, operation, bytes of the action and its document)]"""
    items, lines, at = [], body.splitlines(keepends=True), 0
    while at < len(lines):
        (operation, what), = json.loads(lines[at]).items()
        count = 1 if operation == "delete" else 2
        items.append((what["_id"], operation, b"".join(lines[at:at + count])))
        at += count
    return items
