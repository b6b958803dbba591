"""What the READMEs tell a reader to type does what they say."""
import os
import re
import subprocess

import requests

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def type_in(readme, folder, **ports):
    """Every block of curl commands, in order, in a shell that stops at the first error; what they print."""
    with open(os.path.join(ROOT, readme), encoding="utf-8") as f:
        blocks = [block for block in re.findall(r"^```\n(.*?)^```$", f.read(), re.MULTILINE | re.DOTALL) if block.startswith("curl ")]
    script = "set -e\ncurl() { command curl -sS --noproxy '*' --fail-with-body \"$@\"; echo; }\n" + "\n".join(blocks)
    for usual, port in ports.items():
        script = script.replace(f":{usual.lstrip('_')}/", f":{port}/")
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert blocks and done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_first_search(write_api, projector, query_api, tmp_path, eventually):
    said = type_in("README.md", tmp_path, _8080=query_api.port, _8081=write_api.port)
    assert '"path":"1/"' in said and '"id":"boot-1"' in said

    def found(size):
        query = f"q=hiking+boots&lang=en&attr.size={size}&in_stock=true"
        return [h["id"] for h in requests.get(f"{query_api.url}/v1/search?{query}", timeout=10).json()["hits"]]

    eventually(lambda: found(270) == ["boot-1"], 20, "the boots in a size that is there")
    assert found(260) == []


def test_the_write_api(write_api, tmp_path):
    (tmp_path / "products.ndjson").write_text('{"id":"x","name":"x"}\n{"id":"y"}\n', "utf-8")
    said = type_in("write-api/README.md", tmp_path, _8081=write_api.port)
    assert '"summary":{"lines":2,"created":1,"updated":0,"failed":1}' in said.replace(" ", "")
    gram = requests.get(write_api.url + "/v1/products/gram-16", timeout=10).json()
    assert (gram["price"], gram["version"], gram["categories"]) == (1790000, 2, [1])
    assert requests.get(write_api.url + "/v1/stock/G16-BLK", timeout=10).json()["available"] == 12
