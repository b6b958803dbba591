"""Toxiproxy between a program and a server: connections that are cut, slow or refused.

The binary: $TOXIPROXY, toxiproxy-server of PATH, or built once from its sources with `go install` into the cache that
the servers are in. https://github.com/Shopify/toxiproxy describes the API and the toxics used here.
"""
import os
import shutil
import socket
import subprocess

import bson
import pymysql
import requests
from harness.wait import eventually
from servers import die_with_parent

VERSION = "v2.5.0"  # builds with Debian 12's Go 1.19 and later ones
PROBE_ROUNDS = 400


def binary():
    found = os.environ.get("TOXIPROXY") or shutil.which("toxiproxy-server")
    if found:
        return found
    cache = os.environ.get("READSIDE_CACHE") or ("/var/cache/readside" if os.geteuid() == 0 else
                                                 os.path.expanduser("~/.cache/readside"))
    folder = os.path.join(cache, f"toxiproxy-{VERSION}")
    path = os.path.join(folder, "server")
    if not os.path.exists(path):
        if not shutil.which("go"):
            raise RuntimeError("toxiproxy is neither in PATH nor in $TOXIPROXY, and there is no go to build it with")
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["go", "install", f"github.com/Shopify/toxiproxy/v2/cmd/server@{VERSION}"],
                       env={**os.environ, "GOBIN": folder, "GOFLAGS": "-mod=mod"}, check=True, capture_output=True, timeout=600)
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Toxiproxy:
    def __init__(self, folder):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = requests.Session()
        with open(os.path.join(folder, "toxiproxy.log"), "ab") as log:
            self.process = subprocess.Popen([binary(), "-host", "127.0.0.1", "-port", str(self.port)], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True, preexec_fn=die_with_parent)
        eventually(lambda: self.call("GET", "/version"), 20, "toxiproxy answers")

    def call(self, method, path, body=None):
        reply = requests.request(method, self.url + path, json=body, timeout=10)
        assert reply.status_code < 300, f"toxiproxy {method} {path}: {reply.status_code} {reply.text}"
        return reply.text or "{}"

    def link(self, name, server, host, port):
        return Link(self, name, server, host, port)

    def close(self):
        self.process.kill()
        self.process.wait()


class Link:
    """One program's way to one server."""

    def __init__(self, toxiproxy, name, server, host, port):
        self.toxiproxy, self.name, self.server = toxiproxy, name, server
        self.port = free_port()
        toxiproxy.call("POST", "/proxies", {"name": name, "listen": f"127.0.0.1:{self.port}", "upstream": f"{host}:{port}"})

    def refuse(self, refused):
        """Connections break, and new ones are refused."""
        self.toxiproxy.call("POST", f"/proxies/{self.name}", {"enabled": not refused})

    def toxic(self, kind, stream, **attributes):
        self.toxiproxy.call("POST", f"/proxies/{self.name}/toxics",
                            {"name": "fault", "type": kind, "stream": stream, "toxicity": 1.0, "attributes": attributes})

    def clear(self):
        self.toxiproxy.call("DELETE", f"/proxies/{self.name}/toxics/fault")

    def probe(self, rounds=1):
        """Asks the server through the link as a client of its own, so often on one connection. OSError if it breaks."""
        getattr(self, f"_probe_{self.server}")(rounds)

    def _probe_elasticsearch(self, rounds):
        with requests.Session() as http:
            for _ in range(rounds):
                http.get(f"http://127.0.0.1:{self.port}/", timeout=15)

    def _probe_mysql(self, rounds):
        try:
            connection = pymysql.connect(host="127.0.0.1", port=self.port, user=os.environ["READSIDE_MYSQL_USER"],
                                         password=os.environ["READSIDE_MYSQL_PASSWORD"], connect_timeout=15, read_timeout=15)
            for _ in range(rounds):
                connection.ping(reconnect=False)
            connection.close()
        except pymysql.MySQLError as e:
            raise OSError(str(e)) from e

    def _probe_mongodb(self, rounds):
        """OP_MSG with one section of kind 0, https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/."""
        body = b"\0\0\0\0\0" + bson.encode({"hello": 1, "$db": "admin"})
        message = (len(body) + 16).to_bytes(4, "little") + b"\1\0\0\0\0\0\0\0" + (2013).to_bytes(4, "little") + body
        with socket.create_connection(("127.0.0.1", self.port), timeout=15) as s:
            for _ in range(rounds):
                s.sendall(message)
                head = self._receive(s, 4)
                self._receive(s, int.from_bytes(head, "little") - 4)

    @staticmethod
    def _receive(s, size):
        while size > 0:
            part = s.recv(size)
            if not part:
                raise ConnectionError("connection closed")
            size, last = size - len(part), part
        return last
