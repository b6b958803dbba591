"""A topic of a test's own, and a broker that can be cut off."""
import json
import os
import struct
import subprocess

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from .process import _die_with_parent, end_process
from .tcp_proxy import TcpProxy
from .wait import eventually


def sink_of(corner):
    return corner.stack.mongo[corner.name].projector_state.find_one({"_id": "checkpoint:stream"})["sink"]


def brokers():
    return os.environ["READSIDE_KAFKA_BROKERS"].split(",")


class Topic:
    """Names for a corner: its topic, its group and the settings that point a projector to them."""

    def __init__(self, corner, partitions=8):
        self.name, self.group, self.partitions = f"{corner.name}.marks", f"{corner.name}.group", partitions
        self.settings = {"kafka.marks_topic": self.name, "kafka.marks_group": self.group, "kafka.marks_partitions": partitions,
                         "kafka.session_timeout": "6s"}
        self.admin = KafkaAdminClient(bootstrap_servers=brokers())
        self.producer = None

    def create(self):
        self.admin.create_topics([NewTopic(self.name, num_partitions=self.partitions, replication_factor=1)])
        return self

    def send(self, key, value, headers=None):
        """Bytes or None, as they are, to the partition that a Java client would choose."""
        if self.producer is None:
            self.producer = KafkaProducer(bootstrap_servers=brokers(), acks="all", linger_ms=5)
        self.producer.send(self.name, key=key, value=value, headers=headers)

    def flush(self):
        self.producer.flush()

    def message(self, wanted, eventually):
        """The value of the first message for which wanted(key, value) holds, value as JSON."""
        reader = KafkaConsumer(self.name, bootstrap_servers=brokers(), auto_offset_reset="earliest", enable_auto_commit=False)

        def first():
            for batch in reader.poll(timeout_ms=200).values():
                for message in batch:
                    value = json.loads(message.value) if message.value else {}
                    if wanted(message.key, value):
                        return value
            return None

        try:
            return eventually(first, 30, "a message in the topic")
        finally:
            reader.close()

    def keys(self):
        """All that there are."""
        reader = KafkaConsumer(bootstrap_servers=brokers(), enable_auto_commit=False)
        try:
            places = [TopicPartition(self.name, p) for p in range(self.partitions)]
            ends, found = reader.end_offsets(places), set()
            reader.assign(places)
            reader.seek_to_beginning()
            while any(reader.position(place) < ends[place] for place in places):
                found |= {message.key for batch in reader.poll(timeout_ms=500).values() for message in batch}
            return found
        finally:
            reader.close()

    def offsets(self):
        """{partition: committed offset} of the group."""
        found = self.admin.list_group_offsets([self.group]).get(self.group, {})
        return {place.partition: entry.offset for place, entry in found.items() if place.topic == self.name}

    def ends(self):
        """{partition: the offset of its next message}."""
        reader = KafkaConsumer(bootstrap_servers=brokers(), enable_auto_commit=False)
        try:
            return {place.partition: end for place, end in reader.end_offsets([TopicPartition(self.name, p) for p in range(self.partitions)]).items()}
        finally:
            reader.close()

    def drop_messages(self):
        """As if all that is in the topic had expired."""
        self.admin.delete_records({TopicPartition(self.name, p): -1 for p in range(self.partitions)})

    def delete(self, eventually):
        self.admin.delete_topics([self.name])
        eventually(lambda: self.name not in self.admin.list_topics(), 30, "the topic is gone")

    def close(self):
        if self.producer is not None:
            self.producer.close()
        for remove, name in ((self.admin.delete_topics, self.name), (self.admin.delete_groups, self.group)):
            try:
                remove([name])
            except Exception as e:  # it was never made, or still has members for a moment
                print(f"{name} stays: {e}")
        self.admin.close()


class KafkaProxy(TcpProxy):
    """A broker tells its clients where to connect to: its address in the answers is replaced by the proxy's, which has
    the same length."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.theirs = host.encode() + struct.pack(">i", int(port))
        super().__init__("127.0.0.1" if host == "localhost" else host, port)
        self.ours = host.encode() + struct.pack(">i", self.port)
        self.address = f"{host}:{self.port}"

    def _pump(self, source, sink):
        if source.getpeername()[1] != self.target[1]:
            return super()._pump(source, sink)
        try:
            with source.makefile("rb") as answers:
                while len(head := answers.read(4)) == 4:
                    body = answers.read(struct.unpack(">i", head)[0])
                    sink.sendall(head + body.replace(self.theirs, self.ours))
        except OSError:
            pass
        return super()._pump(source, sink)


def debezium_key(product_id, schema=False):
    key = {"id": json.dumps(product_id)}
    if schema:
        key = {"schema": {"type": "struct", "fields": [{"type": "string", "optional": False, "field": "id"}], "optional": False,
                          "name": "shop.readside.products.Key"}, "payload": key}
    return json.dumps(key, separators=(",", ":")).encode()


def debezium_value(op, product_id, time, document=None, schema=False):
    """As the connector writes it (capture.mode change_streams_update_full); time: a BSON timestamp."""
    after = json.dumps({"_id": product_id, **(document or {})}) if op != "d" else None
    value = {"before": None, "after": after, "updateDescription": None,
             "source": {"version": "2.7.0.Final", "connector": "mongodb", "name": "shop", "ts_ms": time.time * 1000, "snapshot": "false",
                        "db": "readside", "sequence": None, "ts_us": time.time * 1000000, "ts_ns": time.time * 1000000000,
                        "collection": "products", "ord": time.inc, "lsid": None, "txnNumber": None,
                        "wallTime": time.time * 1000 + 250},
             "op": op, "ts_ms": time.time * 1000 + 400, "transaction": None}
    if schema:
        value = {"schema": {"type": "struct", "fields": [{"type": "string", "optional": True, "field": "after"}],
                            "name": "shop.readside.products.Envelope"}, "payload": value}
    return json.dumps(value, separators=(",", ":")).encode()


def wait_for_partitions(consumers, total, deadline=60):
    """All partitions are dealt out among these, and each has some."""
    def dealt():
        have = [c.metric("readside_projector_kafka_partitions") for c in consumers]
        assert sum(n or 0 for n in have) == total and all(have), f"{have} of {total}"
        return have

    return eventually(dealt, deadline, "the partitions are dealt out")


class Debezium:
    """Debezium's MongoDB connector in a Kafka Connect of its own: writes PREFIX.DATABASE.products."""

    CLASS = "io.debezium.connector.mongodb.MongoDbConnector"

    def __init__(self, corner, folder, schema):
        java, classes = self._programs()
        converters = {f"{part}.converter{what}": value for part in ("key", "value")
                      for what, value in (("", "org.apache.kafka.connect.json.JsonConverter"), (".schemas.enable", str(schema).lower()))}
        worker = self._write(folder / "worker.properties", {
            "bootstrap.servers": ",".join(brokers()), "offset.storage.file.filename": folder / "offsets", "listeners": "http://127.0.0.1:0",
            "offset.flush.interval.ms": 1000, **converters})
        connector = self._write(folder / "connector.properties", {
            "name": "shop", "connector.class": self.CLASS, "tasks.max": 1, "topic.prefix": corner.name, "snapshot.mode": "initial",
            "mongodb.connection.string": os.environ["READSIDE_MONGO_URI"], "collection.include.list": f"{corner.name}.products"})
        with open(folder / "log", "wb") as log:
            self.process = subprocess.Popen([java, "-Xmx256m", f"-Dlog4j.configuration=file:{self._log4j(folder)}", "-cp", classes,
                                             "org.apache.kafka.connect.cli.ConnectStandalone", worker, connector],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent)

    @staticmethod
    def _programs():
        script = os.path.join(os.path.dirname(__file__), "..", "..", "support", "debezium")
        done = subprocess.run([script], capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-2:]

    @staticmethod
    def _write(path, properties):
        path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        return str(path)

    def _log4j(self, folder):
        return self._write(folder / "log4j.properties", {
            "log4j.rootLogger": "INFO, stdout", "log4j.appender.stdout": "org.apache.log4j.ConsoleAppender",
            "log4j.appender.stdout.layout": "org.apache.log4j.PatternLayout", "log4j.appender.stdout.layout.ConversionPattern": "%d %p %m (%c{1})%n"})

    def close(self):
        end_process(self.process)
