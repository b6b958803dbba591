"""A TCP proxy in front of a server, that can be cut: what a server that dies looks like to a program."""
import socket
import threading


class TcpProxy:
    def __init__(self, host, port):
        self.target = (host, int(port))
        self.lock = threading.Lock()
        self.open = []
        self.up = True
        self.fatal, self.fatal_times = None, 0
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
                up = self.up
                if up:
                    self.open += [near, far]
            if not up:  # cut while it was made
                near.close()
                far.close()
                continue
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _is_fatal(self, data):
        with self.lock:
            found = self.fatal_times > 0 and self.fatal in data
            self.fatal_times -= found
        return found

    def _pump(self, source, sink):
        try:
            while (data := source.recv(65536)) and not self._is_fatal(data):
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

    def cut_at(self, data, times):
        """Connections break that bring these bytes, so many times."""
        with self.lock:
            self.fatal, self.fatal_times = data, times

    def mend(self):
        with self.lock:
            self.up = True

    def close(self):
        self.listener.close()
        self.cut()
