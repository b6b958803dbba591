"""A TCP proxy in front of a server that misbehaves on command."""
import socket
import threading


class Proxy:
    """mode: "pass"; "refuse" (not listening, connections cut); "hang" (accepts and says nothing); "silence" (forwards the
    question, keeps the answer); bytes: these instead of every answer. Changing it cuts the connections that there are.
    late: seconds that each piece of an answer is kept back."""

    def __init__(self, host, port):
        self.target = (host, port)
        self.lock = threading.Lock()
        self.open, self.asked, self.mode = set(), 0, "pass"
        self.listener = None
        self.late, self.forever = 0, threading.Event()
        # Never listens: while nobody does, it keeps the port from everybody else.
        self.place = self._bound(0, socket.SO_REUSEPORT)
        self.port = self.place.getsockname()[1]
        self._listen()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @staticmethod
    def _bound(port, *options):
        made = socket.socket()
        for option in options:
            made.setsockopt(socket.SOL_SOCKET, option, 1)
        made.bind(("127.0.0.1", port))
        return made

    def _listen(self):
        listener = self._bound(self.port, socket.SO_REUSEPORT, socket.SO_REUSEADDR)
        listener.listen(128)
        self.listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def set(self, mode):
        if mode == "refuse" and self.listener:
            # shutdown wakes the thread in accept(), and only then does nobody listen
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        with self.lock:
            self.mode = mode  # from here on _accept goes by it; who was before it is cut
        self.cut()
        if mode != "refuse" and not self.listener:
            self._listen()

    def cut(self):
        with self.lock:
            connections, self.open = self.open, set()
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # gone already

    def close(self):
        self.set("refuse")
        self.place.close()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                mode = self.mode
                self.open.add(client)
            if mode == "refuse":
                self._drop(client)  # came at the last moment
                continue
            threading.Thread(target=self._serve, args=(client, mode), daemon=True).start()

    def _serve(self, client, mode):
        server = None
        try:
            if mode in ("pass", "silence"):
                server = socket.create_connection(self.target)
                with self.lock:
                    self.open.add(server)
                threading.Thread(target=self._pump, args=(server, client, mode == "silence"), daemon=True).start()
            while data := client.recv(65536):
                self.asked += data.count(b" HTTP/1.1\r\n")
                if server:
                    server.sendall(data)
                elif isinstance(mode, bytes):
                    client.sendall(mode)
                    break
        except OSError:
            pass  # cut
        finally:
            for connection in (client, server):
                if connection:
                    self._drop(connection)

    def _pump(self, server, client, swallow):
        try:
            while data := server.recv(65536):
                self.forever.wait(self.late)
                if not swallow:
                    client.sendall(data)
        except OSError:
            pass  # cut
        finally:
            self._drop(client)

    def _drop(self, connection):
        with self.lock:
            self.open.discard(connection)
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # gone already
        connection.close()


def http_answer(status, body, content_type="application/json"):
    body = body.encode() if isinstance(body, str) else body
    return (f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nX-Elastic-Product: Elasticsearch\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n").encode() + body
