"""A TCP proxy that a test can cut: what a program sees when a server goes away, without touching the server."""
import contextlib
import socket
import threading


class Proxy:
    def __init__(self, host, port):
        self.target = (host, int(port))
        self.pairs, self.lock, self.closed = [], threading.Lock(), False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                down = self.closed
            try:
                if down:
                    raise ConnectionRefusedError
                server = socket.create_connection(self.target)
            except OSError:
                client.close()
                continue
            with self.lock:
                self.pairs.append((client, server))
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=(a, b), daemon=True).start()

    @staticmethod
    def _copy(a, b):
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                b.sendall(data)
        for s in (a, b):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def cut(self):
        """Breaks every connection and takes no new ones until mend()."""
        with self.lock:
            self.closed, pairs, self.pairs = True, self.pairs, []
        for pair in pairs:
            for s in pair:
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)
                s.close()

    def mend(self):
        with self.lock:
            self.closed = False

    def close(self):
        self.cut()
        self.listener.close()
