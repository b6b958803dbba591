"""Serves widgets.html and the npm packages from an origin that is not the query-api's."""
import os
import threading
import urllib.parse
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

HERE = os.path.dirname(os.path.realpath(__file__))
CLIENTS = {"4": "algoliasearch4/dist/algoliasearch-lite.umd.js", "5": "algoliasearch/dist/lite/builds/browser.umd.js"}


class WidgetPage:
    def __init__(self, npm, api):
        self.api = urllib.parse.urlsplit(api).netloc

        class Handler(SimpleHTTPRequestHandler):
            def translate_path(self, path):
                parts = urllib.parse.urlsplit(path)
                if parts.path == "/client.js":
                    page = urllib.parse.urlsplit(self.headers.get("Referer", ""))
                    return os.path.join(npm, CLIENTS[urllib.parse.parse_qs(page.query)["client"][0]])
                if parts.path.startswith("/npm/"):
                    return os.path.join(npm, *[p for p in parts.path.split("/")[2:] if p != ".."])
                return os.path.join(HERE, os.path.basename(parts.path) or "widgets.html")

            def end_headers(self):
                self.send_header("Cache-Control", "no-store")
                super().end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def address(self, **parameters):
        return f"http://127.0.0.1:{self.server.server_port}/?{urllib.parse.urlencode({'api': self.api, **parameters})}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
