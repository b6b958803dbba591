"""The quickstart whole, as a stranger types it: servers of its own, the release build, a small shop."""
import os
import re
import socket
import subprocess
import urllib.parse

import pytest
import requests

DEPLOY = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))), "deploy")
SERVERS = ["MONGODB", "MYSQL", "ELASTICSEARCH"]
PRODUCTS = 2000


def quickstart(environment, *arguments):
    done = subprocess.run([os.path.join(DEPLOY, "quickstart"), *arguments], env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment_of(folder):
    """Of somebody who has set nothing but ports that are free, since others run here."""
    made = {k: v for k, v in os.environ.items() if not k.startswith("READSIDE_") or k == "READSIDE_CACHE"}
    held = [socket.create_server(("127.0.0.1", 0)) for _ in SERVERS]
    ports = {f"READSIDE_{name}_PORT": str(one.getsockname()[1]) for name, one in zip(SERVERS, held)}
    for one in held:
        one.close()
    listen = {f"READSIDE_{name}_LISTEN": "127.0.0.1:0" for name in ("QUERY_API", "WRITE_API", "PROJECTOR")}
    return {**made, **ports, **listen, "READSIDE_VAR": str(folder)}


def search(url, **parameters):
    return requests.get(f"{url}/v1/search", params=parameters, timeout=10).json()


@pytest.mark.slow
def test_the_quickstart(tmp_path, eventually):
    environment = environment_of(tmp_path / "var")
    try:
        said = quickstart(environment, "--products", str(PRODUCTS))
        url, write = (re.search(rf"^  {name} +(http://127\.0\.0\.1:\d+) ", said, re.MULTILINE).group(1) for name in ("query-api", "write-api"))
        assert f"searchable {PRODUCTS} of {PRODUCTS}" in said
        for example in re.findall(r'^  curl "(http\S+/v1/search\?\S+facets=\S+)"\n  -> ([\d,]+) products', said, re.MULTILINE):
            asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(example[0]).query))
            assert 0 < search(url, **asked)["total"]["value"] == int(example[1].replace(",", ""))
        assert len(re.findall(r"^  -> ", said, re.MULTILINE)) == 3
        assert "<html" in requests.get(f"{url}/?lang=en", timeout=10).text

        typed = re.search(r"^Change something.*?(?=^Stop:)", said, re.MULTILINE | re.DOTALL).group(0).split("\n", 1)[1]
        done = subprocess.run(["bash", "-ec", "curl() { command curl -sS --noproxy '*' --fail-with-body \"$@\"; echo; }\n" + typed],
                              env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0 and '"id":"my-1"' in done.stdout and write in typed, done.stdout + done.stderr
        eventually(lambda: [hit["id"] for hit in search(url, q="my first product", lang="en", in_stock="true")["hits"]][:1] == ["my-1"],
                   60, "it can be found")

        again = quickstart(environment, "--products", str(PRODUCTS))
        assert "is there already" in again and f"searchable {PRODUCTS + 1} of {PRODUCTS}" in again and url in again
    finally:
        quickstart(environment, "--stop", "--reset")
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/healthz", timeout=5)
    status = subprocess.run([os.path.join(DEPLOY, "stack"), "status", "mongodb", "mysql", "elasticsearch"], env=environment, capture_output=True,
                            text=True, timeout=60, check=False)
    assert status.returncode != 0 and "running" not in status.stdout, status.stdout
