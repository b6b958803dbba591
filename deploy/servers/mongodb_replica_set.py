#!/usr/bin/env python3
"""mongodb_replica_set.py PORT [SECURE]: makes the mongod on 127.0.0.1:PORT the primary of replica set rs0.

SECURE: folder with ca.pem and mongodb.password, for a server that speaks TLS and knows users. Its first user,
`readside`, may do everything; a server without users lets a client on the same machine make one.

Exit 0 if it is the primary, 1 if not yet (call again). Starts the set on an empty server, and
tells a set that was made on another port where it lives now. Needs nothing but the standard
library: a mongo shell is in no package, and the four commands used here are small.
Wire protocol: OP_MSG, one section of kind 0; BSON as in bsonspec.org.
"""
import os
import socket
import ssl
import struct
import sys

NOT_YET_INITIALIZED = 94
INVALID_REPLICA_SET_CONFIG = 93
UNAUTHORIZED = 13


def encode(document):
    out = b""
    for key, value in document.items():
        name = key.encode() + b"\0"
        if isinstance(value, bool):
            out += b"\x08" + name + bytes([value])
        elif isinstance(value, int):
            out += b"\x12" + name + struct.pack("<q", value)
        elif isinstance(value, float):
            out += b"\x01" + name + struct.pack("<d", value)
        elif isinstance(value, str):
            text = value.encode() + b"\0"
            out += b"\x02" + name + struct.pack("<i", len(text)) + text
        elif isinstance(value, dict):
            out += b"\x03" + name + encode(value)
        elif isinstance(value, list):
            out += b"\x04" + name + encode({str(i): v for i, v in enumerate(value)})
        elif isinstance(value, Raw):
            out += bytes([value.kind]) + name + value.data
        else:
            raise TypeError(f"{key}: {type(value).__name__}")
    return struct.pack("<i", len(out) + 5) + out + b"\0"


class Raw:
    """A value of a type that is only passed back, such as an ObjectId."""

    def __init__(self, kind, data):
        self.kind, self.data = kind, data


FIXED = {0x07: 12, 0x09: 8, 0x0A: 0, 0x11: 8, 0x13: 16}


def decode(data, at=0):
    """Returns the document that begins at data[at]."""
    end = at + struct.unpack_from("<i", data, at)[0] - 1
    at += 4
    document = {}
    while at < end:
        kind = data[at]
        stop = data.index(b"\0", at + 1)
        key = data[at + 1:stop].decode()
        at = stop + 1
        if kind == 0x01:
            value, size = struct.unpack_from("<d", data, at)[0], 8
        elif kind == 0x02:
            size = 4 + struct.unpack_from("<i", data, at)[0]
            value = data[at + 4:at + size - 1].decode()
        elif kind in (0x03, 0x04):
            size = struct.unpack_from("<i", data, at)[0]
            value = decode(data, at)
            if kind == 0x04:
                value = list(value.values())
        elif kind == 0x05:
            size = 5 + struct.unpack_from("<i", data, at)[0]
            value = Raw(kind, data[at:at + size])
        elif kind == 0x08:
            value, size = bool(data[at]), 1
        elif kind == 0x10:
            value, size = struct.unpack_from("<i", data, at)[0], 4
        elif kind == 0x12:
            value, size = struct.unpack_from("<q", data, at)[0], 8
        elif kind in FIXED:
            size = FIXED[kind]
            value = Raw(kind, data[at:at + size])
        else:
            raise ValueError(f"{key}: BSON type {kind:#x}")
        document[key] = value
        at += size
    return document


def receive(sock, size):
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise OSError("connection closed")
        data += part
    return data


def command(sock, document):
    body = struct.pack("<iB", 0, 0) + encode({**document, "$db": "admin"})
    sock.sendall(struct.pack("<iiii", len(body) + 16, 1, 0, 2013) + body)
    size = struct.unpack("<i", receive(sock, 4))[0]
    return decode(receive(sock, size - 4), 12 + 5)


def ensure_primary(sock, host):
    hello = command(sock, {"hello": 1})
    if hello.get("isWritablePrimary"):
        if hello.get("me") == host:
            return True
    config = command(sock, {"replSetGetConfig": 1})
    if config.get("code") == NOT_YET_INITIALIZED:
        command(sock, {"replSetInitiate": {"_id": "rs0", "members": [{"_id": 0, "host": host}]}})
        return False
    # A member that does not find itself in its own configuration refuses to hand it out.
    if config.get("code") == INVALID_REPLICA_SET_CONFIG or "config" not in config:
        return False
    members = config["config"]["members"]
    if [m["host"] for m in members] != [host]:
        new = dict(config["config"], version=config["config"]["version"] + 1)
        new["members"] = [{"_id": 0, "host": host}]
        command(sock, {"replSetReconfig": new, "force": True})
    return False


def ensure_user(sock, folder):
    """True once there is a user: the server then no longer lets us make one without a login."""
    with open(os.path.join(folder, "mongodb.password"), encoding="ascii") as f:
        password = f.read().strip()
    made = command(sock, {"createUser": "readside", "pwd": password, "roles": [{"role": "root", "db": "admin"}]})
    return made.get("ok") == 1 or made.get("code") == UNAUTHORIZED


def ensure_secure_primary(sock, host, folder):
    hello = command(sock, {"hello": 1})
    if hello.get("isWritablePrimary") and hello.get("me") == host:
        return ensure_user(sock, folder)
    if not hello.get("setName"):
        command(sock, {"replSetInitiate": {"_id": "rs0", "members": [{"_id": 0, "host": host}]}})
    return False


def main():
    port = int(sys.argv[1])
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            if len(sys.argv) > 2:
                context = ssl.create_default_context(cafile=os.path.join(sys.argv[2], "ca.pem"))
                with context.wrap_socket(sock, server_hostname="127.0.0.1") as secure:
                    return 0 if ensure_secure_primary(secure, f"127.0.0.1:{port}", sys.argv[2]) else 1
            return 0 if ensure_primary(sock, f"127.0.0.1:{port}") else 1
    except OSError as error:
        print(f"mongod on port {port}: {error}", file=sys.stderr)
        return 1


sys.exit(main())
