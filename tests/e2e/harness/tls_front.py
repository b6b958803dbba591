"""What a client meets before the real server: a certificate of the test's choice, and an authority that issues such."""
import os
import select
import socket
import ssl
import subprocess
import threading

CONFIGURATION = """[ca]
default_ca = here
[here]
database = {folder}/index.txt
new_certs_dir = {folder}
default_md = sha256
policy = names
unique_subject = no
rand_serial = yes
[names]
commonName = supplied
"""


class Authority:
    """A certificate authority in a folder, over openssl."""

    def __init__(self, folder):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.file, self.key = self.path("ca.pem"), self.path("ca-key.pem")
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=test authority", "-addext",
                      "basicConstraints=critical,CA:TRUE", "-keyout", self.key, "-out", self.file)
        with open(self.path("index.txt"), "w", encoding="ascii"), open(self.path("ca.cnf"), "w", encoding="ascii") as f:
            f.write(CONFIGURATION.format(folder=self.folder))

    def path(self, name):
        return os.path.join(self.folder, name)

    def _openssl(self, *arguments):
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"openssl {arguments}: {done.stderr[-2000:]}"

    def issue(self, name, host="IP:127.0.0.1", expired=False):
        """Path of a file with certificate and key for a host."""
        key, request, certificate, both = (self.path(f"{name}{end}") for end in ("-key.pem", ".csr", ".pem", "-both.pem"))
        with open(self.path("extensions"), "w", encoding="ascii") as f:
            f.write(f"subjectAltName={host}\n")
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        end = "20200102000000Z" if expired else "20490101000000Z"
        self._openssl("ca", "-batch", "-notext", "-config", self.path("ca.cnf"), "-cert", self.file, "-keyfile", self.key,
                      "-extfile", self.path("extensions"), "-startdate", "20200101000000Z", "-enddate", end, "-in", request, "-out", certificate)
        with open(both, "w", encoding="ascii") as f:
            for part in (certificate, key):
                with open(part, encoding="ascii") as g:
                    f.write(g.read())
        return both


class TlsFront:
    """Takes TLS connections with its own certificate and hands what it reads to a server that speaks TLS too.
    certificate None: hands on the bytes as they are, from another address. mysql: TLS begins after a greeting."""

    def __init__(self, port, certificate=None, mysql=False, host="127.0.0.1"):
        self.target, self.certificate, self.mysql = ("127.0.0.1", int(port)), certificate, mysql
        self.listener = socket.create_server((host, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        try:
            far = socket.create_connection(self.target, timeout=30)
            if self.certificate:
                near, far = self._secured(near, far)
            self._pump_both(near, far)
        except OSError:  # a refused handshake is one too
            near.close()

    def _secured(self, near, far):
        if self.mysql:
            near.sendall(far.recv(65536))  # the greeting
            far.sendall(near.recv(65536))  # the wish for TLS
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        near = context.wrap_socket(near, server_side=True)
        blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
        return near, blind.wrap_socket(far)

    @staticmethod
    def _pump_both(near, far):
        """One thread for both directions: an SSLSocket is not for two."""
        while True:
            buffered = [s for s in (near, far) if isinstance(s, ssl.SSLSocket) and s.pending()]
            for source in buffered or select.select([near, far], [], [])[0]:
                data = received(source)
                if data == b"":
                    near.close()
                    far.close()
                    return
                if data:
                    (far if source is near else near).sendall(data)


def received(source):
    """What is there; b"" at the end, None if it was no data (TLS has records of its own)."""
    source.setblocking(False)
    try:
        return source.recv(65536)
    except (ssl.SSLWantReadError, BlockingIOError):
        return None
    finally:
        source.setblocking(True)
