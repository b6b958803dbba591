"""How the page's files are served: for ever under their version, compressed, and not again if they are the same."""
import gzip
import re

import pytest
import requests


@pytest.fixture(scope="module")
def page(shop):
    return requests.get(shop.url + "/", timeout=20)


@pytest.fixture(scope="module")
def assets(page):
    found = re.findall(r'(?:src|href)="(/assets/[^"]+)"', page.text)
    assert len(found) >= 4, page.text
    return found


def plain(url, method="GET", **headers):
    return requests.request(method, url, headers={"Accept-Encoding": "identity", **headers}, timeout=20)


def test_the_page(shop, page):
    assert page.status_code == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Cache-Control"] == "no-cache" and page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|\bon\w+=|\bstyle=|//", re.sub(r"<!doctype[^>]*>", "", page.text)), "nothing inline, no other host"
    assert requests.get(shop.url + "/p/anything", timeout=20).text == page.text


def test_files_are_kept_for_ever(shop, assets):
    for path in assets:
        reply = plain(shop.url + path)
        assert reply.status_code == 200 and reply.headers["Cache-Control"] == "public, max-age=31536000, immutable", path
        assert reply.headers["X-Content-Type-Options"] == "nosniff" and "Content-Encoding" not in reply.headers
        again = plain(shop.url + path, **{"If-None-Match": f'"x", W/{reply.headers["ETag"]}'})
        assert again.status_code == 304 and not again.content and again.headers["ETag"] == reply.headers["ETag"]
        assert plain(shop.url + path, **{"If-None-Match": '"x"'}).status_code == 200
        head = plain(shop.url + path, "HEAD")
        assert head.status_code == 200 and not head.content and int(head.headers["Content-Length"]) == len(reply.content)


@pytest.mark.parametrize("accepted,compressed", [
    ("gzip", True), ("br;q=1, GZIP ; q=0.5", True), ("gzip;q=0", False), ("gzip;q=0.000", False), ("br", False), ("xgzip", False), ("", False), (", ,;", False)])
def test_compressed_if_asked_for(shop, assets, accepted, compressed):
    whole = plain(shop.url + assets[-1])
    with requests.get(shop.url + assets[-1], headers={"Accept-Encoding": accepted}, timeout=20, stream=True) as reply:
        raw = reply.raw.read(decode_content=False)
    assert reply.headers["Vary"] == "Accept-Encoding"
    assert (reply.headers.get("Content-Encoding") == "gzip") == compressed
    assert (gzip.decompress(raw) if compressed else raw) == whole.content
    assert (reply.headers["ETag"] != whole.headers["ETag"]) == compressed


def test_another_version_still_finds_its_files(shop, assets):
    name = assets[-1].rsplit("/", 1)[-1]
    reply = plain(f"{shop.url}/assets/0123456789abcdef/{name}")
    assert reply.status_code == 200 and reply.headers["Cache-Control"] == "no-cache"
    for path in ("/assets/x/nothing.js", "/assets/x/..%2Fmain.c", "/assets/x/%00", "/assets/x"):
        assert plain(shop.url + path).status_code in (400, 404), path


def test_every_file_that_a_script_imports_is_there(shop, assets):
    base = shop.url + assets[0].rsplit("/", 1)[0]
    wanted, seen = [path.rsplit("/", 1)[-1] for path in assets], set()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        reply = plain(f"{base}/{name}")
        assert reply.status_code == 200, name
        assert reply.headers["Content-Type"] in ("text/javascript; charset=utf-8", "text/css; charset=utf-8", "image/svg+xml"), name
        if name.endswith(".js") and ".min." not in name:
            wanted += re.findall(r"from '\./([^']+)'", reply.text)
    assert len(seen) >= 15
