"""TLS and passwords on every link: the main road over servers that insist on them, what is said when a link cannot be made,
and that no secret is ever shown. Servers of its own (deploy/stack up --secure)."""
import os
import re
import secrets
import shutil
import signal
import subprocess

import pytest
import requests
from bson import Int64
from harness.own_stack import SecureStack
from harness.process import Program
from harness.shop import PREFIX, document, get, insert, letters, log_has
from harness.tls_front import Authority, TlsFront
from test_stack_end_to_end import LAPTOP, fill, ids, post, search

pytestmark = pytest.mark.slow
SERVERS = ("mongo", "mysql", "elasticsearch", "kafka")
WRONG = "wrong-secret-4711"


@pytest.fixture(scope="module")
def stack():
    made = SecureStack("mongodb", "mysql", "elasticsearch", "kafka", READSIDE_START_SECONDS="270")
    yield made
    made.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def front():
    """front(port, ...) -> TlsFront, closed at the end."""
    made = []

    def make(*arguments, **how):
        made.append(TlsFront(*arguments, **how))
        return made[-1]

    yield make
    for one in made:
        one.close()


def port_of(stack, server):
    named = {"mongo": "READSIDE_MONGO_URI", "mysql": "READSIDE_MYSQL_PORT", "elasticsearch": "READSIDE_ELASTICSEARCH_URL",
             "kafka": "READSIDE_KAFKA_BROKERS"}[server]
    return int(re.search(r"(\d+)(/\?.*)?$", stack.addresses[named]).group(1))


def at(server, address):
    """Environment with another address of a server; a MongoDB client stays with it (no discovery of the set)."""
    host, port = address.rsplit(":", 1)
    return {"mongo": {"READSIDE_MONGO_URI": f"mongodb://{address}/?directConnection=true"},
            "mysql": {"READSIDE_MYSQL_HOST": host, "READSIDE_MYSQL_PORT": port},
            "elasticsearch": {"READSIDE_ELASTICSEARCH_URL": f"https://{address}"},
            "kafka": {"READSIDE_KAFKA_BROKERS": address}}[server]


def reach(environment, server):
    """(exit code, what is said) of one attempt: 0 reached, 3 it may be reached later, 4 never, 2 a configuration refused."""
    variables = {k: v for k, v in {**os.environ, **environment}.items() if v is not None}
    binary = os.path.join(os.environ["READSIDE_BIN_DIR"], "e2e_core_stores")
    if server == "kafka" and b"__tsan_init" in open(binary, "rb").read():
        pytest.skip("librdkafka starts its threads with thrd_create, which gcc 12's ThreadSanitizer does not know: it crashes")
    done = subprocess.run([binary, "reach", server], capture_output=True, text=True, timeout=60, env=variables, check=False)
    said = done.stdout + done.stderr
    assert "Sanitizer" not in said, said
    # The driver's word at loading, before it can be told to be quiet, about shared memory that is full.
    return done.returncode, "\n".join(line for line in said.splitlines() if "Falling back to malloc for counters" not in line)


# ---- the main road --------------------------------------------------------------------------------------------------

def test_what_is_written_is_found_over_secure_links(corner, write_api, projector, query_api, checker, eventually):
    fill(write_api)
    eventually(lambda: ids(search(query_api, q="gram laptop", lang="en")) == ["laptop-1"], 20, "it is found")
    checker.assert_equal(30, at_least=2)
    eventually(checker.queue_is_drained, 20)
    assert corner.environment["READSIDE_ELASTICSEARCH_URL"].startswith("https://")


@pytest.mark.parametrize("group", SERVERS)
def test_sessions_of_core_over_secure_links(stack, group):
    variables = {k: v for k, v in {**os.environ, **stack.environment}.items() if v is not None}
    binary = os.path.join(os.environ["READSIDE_BIN_DIR"], "e2e_core_stores")
    done = subprocess.run([binary, group], capture_output=True, text=True, errors="replace", timeout=240, env=variables, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 0 and "SKIPPED" not in output and not re.search(r"Sanitizer|runtime error", output), output[-6000:]


def test_an_api_key_instead_of_a_password(stack, corner, program, write_api, projector, eventually):
    role = {"index": [{"names": [f"{corner.name}*"], "privileges": ["read", "view_index_metadata"]}], "cluster": ["monitor"]}
    key = stack.es("POST", "/_security/api_key", {"name": corner.name, "role_descriptors": {"reader": role}})["encoded"]
    without = {"elasticsearch.user": None, "elasticsearch.password_file": None}
    query_api = program("query-api", {**without, "elasticsearch.api_key": key}).start()
    post(write_api, "/v1/products", LAPTOP)
    eventually(lambda: ids(search(query_api, q="gram")) == ["laptop-1"], 20, "found by the API key's owner")
    stack.es("DELETE", "/_security/api_key", {"name": corner.name})

    def says_why():
        ready = requests.get(query_api.url + "/readyz", timeout=10)
        return ready.json()["degraded"] and "api_key" in ready.text

    eventually(says_why, 30, "a key that was taken back")
    eventually(lambda: search(query_api, q="gram")["degraded"] in ("stale", "fallback"), 30, "shoppers are answered all the same")
    assert key not in query_api.log()


@pytest.fixture
def marks(corner):
    return {"kafka.marks_topic": f"{corner.name}.marks", "kafka.marks_group": f"{corner.name}.group", "kafka.session_timeout": "6s"}


def test_marks_go_through_a_secure_broker(corner, program, write_api, checker, marks):
    program("projector", marks, arguments=["relay"]).start()
    program("projector", marks, arguments=["run", "--from", "kafka"]).start()
    fill(write_api)
    checker.assert_equal(60, at_least=2)


def test_a_relay_says_why_the_broker_refuses_it(stack, program, write_api, eventually, marks):
    relay = program("projector", {**marks, "kafka.password": WRONG, "kafka.password_file": None}, arguments=["relay"]).start(wait=None)
    address = re.escape(stack.addresses["READSIDE_KAFKA_BROKERS"])
    eventually(lambda: re.search(rf"level=(warn|error).*sasl_ssl://{address}.*uthentication", relay.log()), 60, "it says why")
    relay.assert_runs()
    assert WRONG not in relay.log()


@pytest.fixture
def modest(stack, corner):
    """Users with no more than the rights that README.md names; settings by program."""
    database, name, password = corner.name, f"t_{secrets.token_hex(6)}", secrets.token_hex(12)
    stack.mongo.admin.command("createUser", name, pwd=password, roles=[{"role": "readWrite", "db": database}, {"role": "read", "db": "local"}])
    with stack.mysql() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE USER `{name}`@`127.0.0.1` IDENTIFIED BY '{password}'")
        cursor.execute(f"GRANT ALL ON `{database}`.* TO `{name}`@`127.0.0.1`")
    cluster = {"projector": ["monitor", "manage_index_templates", "cluster:admin/analyze"], "query-api": ["monitor"]}
    catalogue = [f"{corner.index}*", f"{corner.categories_index}*"]
    rights = {"projector": {("all",): catalogue, ("read", "write", "view_index_metadata"): [f"{corner.name}-events", f"{corner.name}-queries"]},
              "query-api": {("read", "view_index_metadata"): catalogue,
                            ("all",): [f"{corner.name}-{own}" for own in ("overrides", "keys", "events", "queries")]}}
    made = {"mongo.user": name, "mongo.password": password, "mongo.password_file": None, "mysql.user": name, "mysql.password": password,
            "mysql.password_file": None, "elasticsearch.user": None, "elasticsearch.password_file": None}
    settings = {"write-api": made}
    for program, granted in rights.items():
        role = {"cluster": cluster[program], "index": [{"names": names, "privileges": list(which)} for which, names in granted.items()]}
        key = stack.es("POST", "/_security/api_key", {"name": f"{name}-{program}", "role_descriptors": {"it": role}})["encoded"]
        settings[program] = {**made, "elasticsearch.api_key": key}
    yield settings
    stack.mongo.admin.command("dropUser", name)
    with stack.mysql() as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP USER `{name}`@`127.0.0.1`")


def test_the_rights_that_are_documented_are_enough(corner, program, checker, eventually, modest):
    write_api = program("write-api", modest["write-api"]).start()
    projector = program("projector", {**modest["projector"], "projector.signals_interval": "1s"}).start()
    query_api = program("query-api", modest["query-api"]).start()
    fill(write_api)
    eventually(lambda: ids(search(query_api, q="gram laptop", lang="en")) == ["laptop-1"], 20, "it is found")
    checker.assert_equal(30, at_least=2)
    bought = {"type": "purchase", "product_ids": ["laptop-1"]}
    eventually(lambda: requests.post(query_api.url + "/v1/events", json=bought, timeout=10).status_code == 202, 20, "an event is taken")
    eventually(lambda: document(corner, "laptop-1").get("sales", 0) > 0, 30, "and counted")
    projector.restart()
    checker.assert_equal(30, at_least=2)
    refused = re.search(r".*(security_exception|not authorized|denied).*", projector.log() + query_api.log() + write_api.log())
    assert not refused, refused.group(0)


@pytest.fixture
def account(stack, corner):
    """(settings, grant(rights), enable(bool)): a user of Elasticsearch whose rights and existence change while a program runs."""
    name, password = f"t_{secrets.token_hex(6)}", secrets.token_hex(12)

    def grant(*rights):
        stack.es("PUT", f"/_security/role/{name}", {"cluster": ["monitor", "manage_index_templates", "cluster:admin/analyze"],
                                                    "indices": [{"names": [f"{corner.name}*"], "privileges": list(rights)}]})

    def enable(on):
        stack.es("PUT", f"/_security/user/{name}/{'_enable' if on else '_disable'}")

    grant("all")
    stack.es("PUT", f"/_security/user/{name}", {"password": password, "roles": [name]})
    yield {"elasticsearch.user": name, "elasticsearch.password": password, "elasticsearch.password_file": None}, grant, enable
    stack.es("DELETE", f"/_security/user/{name}")
    stack.es("DELETE", f"/_security/role/{name}")


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_that_are_revoked_while_the_projector_runs(corner, program, write_api, checker, eventually, account, status):
    settings, grant, enable = account
    revoke, restore = {401: (lambda: enable(False), lambda: enable(True)), 403: (lambda: grant("read"), lambda: grant("all"))}[status]
    projector = program("projector", settings).start()
    insert(corner, range(300))
    checker.assert_equal(60, at_least=300)
    revoke()
    corner.products.update_many({"_id": {"$lt": "p000100"}}, {"$set": {"price": Int64(7)}, "$inc": {"version": 1}})
    corner.products.delete_one({"_id": "p000200"})
    insert(corner, range(300, 400))
    eventually(lambda: projector.metric(PREFIX + "target_paused") == 1, 30, "the index is paused")
    eventually(lambda: get(projector, "/readyz").status_code == 503, 20, "and says so")
    assert log_has(projector, rf"level=error .*event=target\.paused .*status={status}")
    restore()
    eventually(lambda: projector.metric(PREFIX + "target_paused") == 0, 60, "it goes on by itself")
    checker.assert_equal(60, at_least=399)
    assert letters(corner).count_documents({}) == 0 and projector.starts == 1
    assert settings["elasticsearch.password"] not in projector.log()


@pytest.mark.parametrize("server", ["mongo", "mysql", "elasticsearch", "kafka"])
def test_a_client_certificate_is_shown(stack, server):
    """Servers that ask for none take it all the same; a key that is not its own is refused here."""
    section = f"READSIDE_{server.upper()}"
    shown = {f"{section}_CERT_FILE": stack.file("client-both.pem")}
    assert reach({**stack.environment, **shown}, server) == (0, "reached")
    if server == "mongo":
        return  # certificate and key are one file
    shown = {f"{section}_CERT_FILE": stack.file("client.pem"), f"{section}_KEY_FILE": stack.file("client-key.pem")}
    assert reach({**stack.environment, **shown}, server) == (0, "reached")
    code, said = reach({**stack.environment, **shown, f"{section}_KEY_FILE": stack.file("ca-key.pem")}, server)
    assert code in (3, 4), said


# ---- refusals: what is said, and that it may be mended ----------------------------------------------------------------

@pytest.mark.parametrize("server", SERVERS)
class TestRefusals:
    def said(self, environment, server, expected=3):
        code, said = reach(environment, server)
        assert code == expected, said
        assert WRONG not in said
        return said

    def test_wrong_password(self, stack, server):
        section = f"READSIDE_{server.upper()}"
        said = self.said({**stack.environment, f"{section}_PASSWORD": WRONG, f"{section}_PASSWORD_FILE": None}, server)
        assert f"127.0.0.1:{port_of(stack, server)}" in said and re.search(rf"check \[{server}\] user", said), said

    def test_wrong_host(self, stack, front, server):
        port = front(port_of(stack, server), host="127.0.0.2").port
        environment = {**stack.environment, **at(server, f"127.0.0.2:{port}")}
        said = self.said(environment, server)
        assert f"127.0.0.2:{port}" in said and "certificate" in said, said
        if server != "kafka":  # the broker then names itself 127.0.0.1, which its certificate has
            assert reach({**environment, f"READSIDE_{server.upper()}_TLS_VERIFY": "ca"}, server) == (0, "reached")

    def test_expired(self, stack, front, authority, server):
        one = front(port_of(stack, server), authority.issue("expired", expired=True), mysql=server == "mysql")
        environment = {**stack.environment, **at(server, f"127.0.0.1:{one.port}"), f"READSIDE_{server.upper()}_CA_FILE": authority.file}
        said = self.said(environment, server)
        assert f"127.0.0.1:{one.port}" in said and re.search("expired|certificate", said), said
        code, said = reach({**environment, f"READSIDE_{server.upper()}_TLS_VERIFY": "ca"}, server)
        assert code == 3, f"without the name, dates still count: {said}"

    def test_an_authority_we_do_not_know(self, stack, authority, server):
        said = self.said({**stack.environment, f"READSIDE_{server.upper()}_CA_FILE": authority.file}, server)
        assert f"127.0.0.1:{port_of(stack, server)}" in said and "ca_file" in said or "tls and its files" in said, said
        unchecked = {f"READSIDE_{server.upper()}_CA_FILE": authority.file, f"READSIDE_{server.upper()}_TLS_VERIFY": "none"}
        assert reach({**stack.environment, **unchecked}, server) == (0, "reached")

    def test_plaintext_to_a_tls_port(self, stack, server):
        plain = {f"READSIDE_{server.upper()}_CA_FILE": None}
        if server == "elasticsearch":
            plain["READSIDE_ELASTICSEARCH_URL"] = stack.addresses["READSIDE_ELASTICSEARCH_URL"].replace("https", "http")
        said = self.said({**stack.environment, **plain}, server)
        assert f"127.0.0.1:{port_of(stack, server)}" in said and ("tls" in said or "https://" in said), said

    def test_tls_to_a_plaintext_port(self, stack, server):
        """The servers that all tests share speak no TLS."""
        addresses = {name: os.environ[name] for name in os.environ if name.startswith(f"READSIDE_{server.upper()}_")}
        if server == "elasticsearch":
            addresses["READSIDE_ELASTICSEARCH_URL"] = addresses["READSIDE_ELASTICSEARCH_URL"].replace("http:", "https:")
        said = self.said({**addresses, f"READSIDE_{server.upper()}_CA_FILE": stack.file("ca.pem")}, server)
        assert re.search(r"127\.0\.0\.1:\d+", said) and re.search("TLS|SSL", said), said

    def test_files_that_cannot_work_stop_the_start(self, stack, tmp_path, server):
        name = f"READSIDE_{server.upper()}_CA_FILE"
        said = self.said({**stack.environment, name: str(tmp_path / "none.pem")}, server, expected=2)
        assert f"environment {name}" in said and "No such file" in said
        (tmp_path / "empty.pem").write_text("nothing")
        assert "holds no PEM block" in self.said({**stack.environment, name: str(tmp_path / "empty.pem")}, server, expected=2)


@pytest.mark.parametrize("name, section, server", [
    ("write-api", "mysql", "mysql"), ("write-api", "mongo", "mongodb"), ("query-api", "elasticsearch", "elasticsearch"),
    ("projector", "mongo", "mongodb"), ("projector", "mysql", "mysql"), ("projector", "elasticsearch", "elasticsearch")])
def test_a_program_waits_for_a_link_that_may_be_mended(stack, program, write_api, projector, eventually, authority, tmp_path, front,
                                                       name, section, server):
    """The authority of the server's certificate is not among ours; then our file is renewed. No restart."""
    projector.stop()  # it made the indexes
    one = front(port_of(stack, section), authority.issue("fine"), mysql=section == "mysql")
    ours = tmp_path / "ca.pem"
    shutil.copy(stack.file("ca.pem"), ours)
    address = {k.removeprefix("READSIDE_").lower().replace("_", ".", 1): v for k, v in at(section, f"127.0.0.1:{one.port}").items()}
    waiting = program(name, {**address, f"{section}.ca_file": ours, "mongo.server_selection": "1s"}).start(wait=None)
    eventually(lambda: re.search(rf"level=(warn|error).*127\.0\.0\.1:{one.port}.*certificate", waiting.log()), 60, "it says why it waits")
    waiting.assert_runs()
    shutil.copy(authority.file, tmp_path / "ca.pem.new")
    os.replace(tmp_path / "ca.pem.new", ours)
    eventually(lambda: waiting.assert_runs() or waiting._read_port(), 30)
    waiting.port = waiting._read_port()
    waiting.wait_for("/readyz", 60)


# ---- secrets ----------------------------------------------------------------------------------------------------------

def run_program(name, environment, *arguments):
    variables = {k: v for k, v in {**os.environ, **environment}.items() if v is not None}
    done = subprocess.run([os.path.join(os.environ["READSIDE_BIN_DIR"], name), *arguments], capture_output=True, text=True,
                          env=variables, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def with_secrets_in_uris(stack):
    """The same stack, users and passwords inside the addresses."""
    mongo, elastic = stack.secret("READSIDE_MONGO_PASSWORD"), stack.secret("READSIDE_ELASTICSEARCH_PASSWORD")
    return {"READSIDE_MONGO_URI": stack.addresses["READSIDE_MONGO_URI"].replace("//", f"//readside:{mongo}@"),
            "READSIDE_MONGO_USER": None, "READSIDE_MONGO_PASSWORD_FILE": None,
            "READSIDE_ELASTICSEARCH_URL": stack.addresses["READSIDE_ELASTICSEARCH_URL"].replace("//", f"//readside:{elastic}@"),
            "READSIDE_ELASTICSEARCH_USER": None, "READSIDE_ELASTICSEARCH_PASSWORD_FILE": None,
            "READSIDE_MYSQL_PASSWORD": stack.secret("READSIDE_MYSQL_PASSWORD"), "READSIDE_MYSQL_PASSWORD_FILE": None}


def with_wrong_secrets():
    return {"READSIDE_MONGO_PASSWORD": WRONG, "READSIDE_MONGO_PASSWORD_FILE": None, "READSIDE_MYSQL_PASSWORD": WRONG,
            "READSIDE_MYSQL_PASSWORD_FILE": None, "READSIDE_ELASTICSEARCH_PASSWORD": WRONG,
            "READSIDE_ELASTICSEARCH_PASSWORD_FILE": None}


def everything_shown(one):
    """All that a running program shows to the world, but for its environment, which only its own user may read."""
    shown = {"log": one.log()}
    for path in ("/metrics", "/healthz", "/readyz", "/v1/products/none", "/v1/search?q=x", "/v1/status", "/none"):
        shown[path] = requests.get(one.url + path, timeout=30).text
    shown["post"] = requests.post(one.url + "/v1/products", json=LAPTOP, timeout=30).text
    with open(f"/proc/{one.process.pid}/cmdline", encoding="utf-8") as f:
        shown["cmdline"] = f.read()
    return shown


@pytest.mark.parametrize("how", ["files", "uris", "wrong"])
@pytest.mark.parametrize("name", ["write-api", "projector", "query-api"])
def test_no_secret_is_ever_shown(stack, corner, program, write_api, projector, eventually, name, how):
    projector.stop()
    instead = {"files": {}, "uris": with_secrets_in_uris(stack), "wrong": with_wrong_secrets()}[how]
    values = [stack.secret(f"READSIDE_{s.upper()}_PASSWORD") for s in SERVERS] + [WRONG]
    assert all(len(value) > 10 for value in values)
    environment = {**corner.environment, **instead, "READSIDE_CORE_LOG_LEVEL": "debug"}
    shown = {}
    for option in ("--print-config", "--check-config", "--version", "--help"):
        code, shown[option] = run_program(name, environment, option)
        assert code == 0, shown[option]
    assert "***" in shown["--print-config"]
    assert how != "uris" or re.search(r"^(uri = mongodb|url = https)://\*\*\*@127\.0\.0\.1", shown["--print-config"], re.MULTILINE)
    one = program(name, {"core.log_level": "debug"})
    one.environment = environment
    one.start(wait="alive" if how == "wrong" else "ready")
    if how == "wrong":
        eventually(lambda: re.search(r"check \[\w+\] user", one.log()), 30, "it says what is wrong")
    shown.update(everything_shown(one))
    one.process.send_signal(signal.SIGHUP)
    eventually(lambda: "event=reloaded" in one.log(), 20, "reloaded")
    one.process.send_signal(signal.SIGABRT)
    one.process.wait(30)
    one.process = None
    shown["the log of its end"] = one.log()
    for where, text in shown.items():
        for value in values:
            assert value not in text, f"{where} of {name} shows a secret: {text[max(0, text.index(value) - 300):][:400]}"


@pytest.mark.parametrize("option", [f"--mysql.password={WRONG}", f"--mongo.uri=mongodb://u:{WRONG}@h/", f"--mongo.password={WRONG}",
                                    f"--mysq.password={WRONG}", f"--mysql.passwrd={WRONG}"])
def test_a_command_line_takes_no_secret(option):
    """Not even the message about it shows the secret."""
    code, said = run_program("write-api", {}, option, "--check-config")
    assert code == 2 and WRONG not in said, said


def test_an_address_that_is_none_is_refused_without_its_password(corner, tmp_path):
    for name, variable, value in (("query-api", "READSIDE_ELASTICSEARCH_URL", f"htps://u:{WRONG}@h:1"),
                                  ("write-api", "READSIDE_MONGO_URI", f"mongodb://u:{WRONG}@:x/")):
        one = Program(name, str(tmp_path), {**corner.environment, variable: value}).start(wait=None)
        assert one.process.wait(30) != 0
        assert WRONG not in one.log() and re.search(r"\[(elasticsearch|mongo)\] ur[il]", one.log()), one.log()
