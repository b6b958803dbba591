"""A TCP proxy in front of a server, that can be cut: what a server that dies looks like to a program."""
import socket
import threading


class TcpProxy:
    def __init__(self, host, port):
        self.target = (host, int(port))
        self.lock = threading.Lock()
        self.open = []
        self.up = True
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                if not self.up:
                    near.close()
                    continue
            try:
                far = socket.create_connection(self.target, timeout=10)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self.lock:
                self.open += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    @staticmethod
    def _pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        """Every connection breaks now, and new ones are closed at once."""
        with self.lock:
            self.up = False
            broken, self.open = self.open, []
        for one in broken:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    def mend(self):
        with self.lock:
            self.up = True

    def close(self):
        self.listener.close()
        self.cut()
