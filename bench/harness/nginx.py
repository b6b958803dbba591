"""nginx as a cache in front of a server. The program comes from the distribution's package, unpacked below var/bench: it is
not installed, so no service begins on this machine."""
import glob
import os
import shutil
import socket
import subprocess

from harness.environment import VAR, until


def find():
    there = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
    unpacked = os.path.join(VAR, "nginx-package")
    binary = os.path.join(unpacked, "usr/sbin/nginx")
    if there or os.path.exists(binary):
        return there or binary
    os.makedirs(unpacked, exist_ok=True)
    subprocess.run(["apt-get", "download", "-q", "nginx"], cwd=unpacked, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run(["dpkg", "-x", glob.glob(os.path.join(unpacked, "nginx_*.deb"))[0], unpacked], check=True)
    return binary


# As fast as nginx can be made: one worker per core, kept connections on both sides, files kept open, one header per send.
CONFIGURATION = """
daemon off;
master_process on;
worker_processes auto;
pid {folder}/pid;
error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_body_buffer_size 256k;
    client_body_in_single_buffer on;
    open_file_cache max=20000 inactive=60s;
    proxy_cache_path {folder}/cache levels=1:2 keys_zone=answers:64m max_size=2g inactive=10m use_temp_path=off;
    upstream engine {{ server {target}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port} reuseport;
        location / {{
            proxy_pass http://engine;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffer_size 64k;  # the key, which is the whole request, must fit
            proxy_buffers 16 64k;
            proxy_cache answers;
            proxy_cache_methods GET HEAD POST;
            proxy_cache_key "$request_uri|$request_body";
            add_header X-Cache $upstream_cache_status;
            proxy_cache_valid 200 {fresh};
            proxy_cache_lock on;
            proxy_cache_use_stale updating error timeout;
            proxy_cache_background_update on;
        }}
    }}
}}
"""


class Nginx:
    def __init__(self, target, fresh):
        self.folder = os.path.join(VAR, "nginx")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        path = os.path.join(self.folder, "conf")
        with open(path, "w") as f:
            user = "user root;\n" if os.geteuid() == 0 else ""
            f.write(user + CONFIGURATION.format(folder=self.folder, target=target, port=self.port, fresh=fresh))
        self.process = subprocess.Popen([find(), "-p", self.folder, "-e", os.path.join(self.folder, "error.log"), "-c", path])
        self.url = f"http://127.0.0.1:{self.port}"
        until(self._answers, 20, "answer of nginx")

    def _answers(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.folder, "error.log")) as f:
                raise RuntimeError("nginx: " + f.read()[-500:])
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def cpu_seconds(self):
        """Of its workers."""
        total = 0
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            children = f.read().split()
        for pid in children:
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
