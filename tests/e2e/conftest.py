"""Fixtures of the end-to-end tests. tests/run e2e starts the servers and gives their addresses as READSIDE_*."""
import os
import random
import subprocess
import sys
import urllib.parse

import pytest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from harness.checker import Checker  # noqa: E402
from harness.http_proxy import HttpProxy  # noqa: E402
from harness.kafka_topic import Topic  # noqa: E402
from harness.process import Program  # noqa: E402
from harness.proxy import Proxy  # noqa: E402
from harness.shop import SURE_LEASE  # noqa: E402
from harness.stack import Corner, Stack  # noqa: E402
from harness.wait import eventually as wait_until  # noqa: E402


@pytest.fixture(scope="session")
def stack():
    made = Stack()
    yield made
    made.close()


@pytest.fixture(scope="module")
def proxy(stack):
    """Stands between the programs and Elasticsearch, and can stand in the way."""
    address = urllib.parse.urlsplit(stack.es_url)
    made = Proxy(address.hostname, address.port)
    yield made
    made.close()


@pytest.fixture
def es_proxy(stack):
    """Looks at what the programs ask of Elasticsearch, request by request."""
    made = HttpProxy(stack.es_url)
    yield made
    made.close()


@pytest.fixture
def corner(stack, request):
    """Databases and index names that belong to this test alone."""
    made = Corner(stack, request.node.name)
    yield made
    if os.environ.get("READSIDE_KEEP_DATA") and getattr(request.node, "failed", False):
        print(f"kept: {made.name}")
        return
    made.remove()


@pytest.fixture
def program(corner, tmp_path, request):
    """program("write-api", settings) starts nothing; .start() does. All are stopped at the end, each with exit code 0
    and without a sanitizer's report."""
    made = []

    def make(name, settings=None, **how):
        folder = tmp_path / f"{name}-{len(made)}"
        folder.mkdir()
        made.append(Program(name, str(folder), corner.environment, settings, **how))
        return made[-1]

    yield make
    failures = []
    for one in reversed(made):  # all at once: how one ends does not hang on another
        one.terminate()
    for one in reversed(made):
        try:
            one.stop()
        except Exception as e:  # the others are to be stopped too
            failures.append(str(e))
        finally:
            one.kill()
        if getattr(request.node, "failed", False):
            print(f"--- {one.name}, the end of its log:\n{one.log_tail(60)}")
    assert not failures, "\n\n".join(failures)


@pytest.fixture
def topic(corner):
    made = Topic(corner)
    yield made
    made.close()


@pytest.fixture
def relay(program, topic):
    """relay() makes one; .start() starts it."""
    return lambda **more: program("projector", {**SURE_LEASE, **topic.settings, **more}, arguments=["relay"])


@pytest.fixture
def consumer(program, topic):
    return lambda **more: program("projector", {**SURE_LEASE, **topic.settings, **more}, arguments=["run", "--from", "kafka"])


@pytest.fixture
def write_api(program):
    return program("write-api").start()


@pytest.fixture
def projector(program, write_api):
    """After the write-api, which makes the tables."""
    return program("projector").start()


@pytest.fixture
def query_api(program, projector):
    """After the projector, which makes the indexes."""
    return program("query-api", {"query-api.search_timeout": "50s"}).start()  # a busy machine's answer is late, not wrong


@pytest.fixture
def checker(corner):
    return Checker(corner)


@pytest.fixture
def eventually():
    return wait_until


@pytest.fixture
def rng(request):
    """Random numbers from a seed that a failure shows; READSIDE_TEST_SEED repeats a run."""
    seed = int(os.environ.get("READSIDE_TEST_SEED") or random.SystemRandom().randrange(2**32))
    print(f"seed: READSIDE_TEST_SEED={seed}")
    return random.Random(seed)


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory):
    """catalogue(products) -> folder with categories.ndjson, products.ndjson and stock.ndjson of the generator."""
    made = {}

    def make(products, seed=1):
        if (products, seed) not in made:
            folder = tmp_path_factory.mktemp(f"catalogue-{products}")
            binary = os.path.join(os.environ["READSIDE_BIN_DIR"], "catalogue")
            subprocess.run([binary, "--products", str(products), "--seed", str(seed), "--out", str(folder), "--quiet"],
                           check=True, timeout=120)
            made[products, seed] = folder
        return made[products, seed]

    return make


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        item.failed = True
