"""A forwarding proxy between a program and Elasticsearch that shows every request to `keep`: what the other side of a
comparison replays is byte for byte what the program sent."""
import http.client
import os
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def of_products(asked):
    """The searches among (method, path, body): a page is one, or several in one _msearch."""
    return [(method, path, body) for method, path, body in asked if path.endswith(("/products/_search", "/products/_msearch"))]


class Forwarder:
    def __init__(self, target, keep):
        """keep(method, path, body): called before each answer is given, one call at a time."""
        parts = urllib.parse.urlsplit(target)
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_one(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else b""
                connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=120)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
                connection.request(self.command, self.path, body, headers)
                reply = connection.getresponse()
                text = reply.read()
                connection.close()
                with lock:
                    keep(self.command, self.path, body)
                self.send_response(reply.status)
                for k, v in reply.getheaders():
                    if k.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(k, v)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_one

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Recorder(Forwarder):
    """Keeps the _bulk bodies of products in files below `folder`: bodies, a list of (file, path)."""

    def __init__(self, target, folder):
        self.bodies = []

        def keep(_, path, body):
            if path.partition("?")[0].endswith("/_bulk") and b'"categories' not in body[:200]:
                name = os.path.join(folder, f"{len(self.bodies):06}.bulk")
                self.bodies.append((name, path))
                with open(name, "wb") as f:
                    f.write(body)
        super().__init__(target, keep)
