"""Writes the batches of this folder: what stock Kafka clients send to a broker, byte for byte.

A broker that knows three requests listens on loopback; each client sends it the records below, and
the records field of its Produce request becomes a file. Needs confluent-kafka, kafka-python and the
codecs of the latter (python-snappy, lz4, zstandard). Run it in this folder.
"""

import socket
import struct
import sys
import threading

BASE_MS = 1_760_000_000_000
# (key, value, headers, milliseconds after BASE_MS); tests/golden.rs has the same list.
RECORDS = [
    (b"gw-1/room/temperature", b'{"value":21.5,"unit":"C"}', [("hw-device", b"gw-1")], 0),
    (None, b"no key", [], 5),
    (b"tombstone", None, [("null", None), ("empty", b""), ("null", b"again")], 3),
    (b"", b"", [], 3),
    ("gw-1/\u00fcml\u00e4ut".encode(), b"abcdefgh" * 100, [("\u00fc", b"\x00\xff")], 1000),
]
PRODUCER_ID, PRODUCER_EPOCH = 4711, 7


def string(text):
    return struct.pack(">h", len(text)) + text


def api_versions(version):
    served = [(0, 0, 7), (1, 4, 11), (2, 1, 3), (3, 0, 4), (10, 0, 1), (18, 0, 3), (22, 0, 1)]
    if version > 3:
        return struct.pack(">hihhh", 35, 1, 18, 0, 3)
    if version == 3:
        keys = b"".join(struct.pack(">hhhb", *api, 0) for api in served)
        return struct.pack(">hb", 0, len(served) + 1) + keys + struct.pack(">ib", 0, 0)
    keys = b"".join(struct.pack(">hhh", *api) for api in served)
    throttle = struct.pack(">i", 0) if version else b""
    return struct.pack(">hi", 0, len(served)) + keys + throttle


def metadata(version, port):
    broker = struct.pack(">ii", 1, 0) + string(b"127.0.0.1") + struct.pack(">i", port)
    partition = struct.pack(">hiiiiii", 0, 0, 0, 1, 0, 1, 0)
    topic = struct.pack(">h", 0) + string(b"golden")
    head = struct.pack(">i", 0) if version >= 3 else b""
    if version >= 1:
        broker += struct.pack(">h", -1)
        topic += b"\0"
    cluster = string(b"golden") if version >= 2 else b""
    controller = struct.pack(">i", 0) if version >= 1 else b""
    topics = struct.pack(">i", 1) + topic + struct.pack(">i", 1) + partition
    return head + broker + cluster + controller + topics


def produce(body, version, batches):
    at = 2 + max(0, struct.unpack_from(">h", body)[0])
    at += 2 + 4 + 4
    at += 2 + struct.unpack_from(">h", body, at)[0]
    at += 4 + 4
    length = struct.unpack_from(">i", body, at)[0]
    batches.append(body[at + 4 : at + 4 + length])
    answer = struct.pack(">i", 1) + string(b"golden") + struct.pack(">iihqq", 1, 0, 0, 0, -1)
    if version >= 5:
        answer += struct.pack(">q", 0)
    return answer + struct.pack(">i", 0)


def serve(connection, port, batches):
    stream = connection.makefile("rb")
    while head := stream.read(4):
        request = stream.read(struct.unpack(">i", head)[0])
        key, version, correlation, client = struct.unpack_from(">hhih", request)
        body = request[10 + max(0, client) :]
        if key == 18:
            answer = api_versions(version)
        elif key == 3:
            answer = metadata(version, port)
        elif key == 22:
            answer = struct.pack(">ihqh", 0, 0, PRODUCER_ID, PRODUCER_EPOCH)
        elif key == 0:
            answer = produce(body, version, batches)
        else:
            raise SystemExit(f"Request {key} is not served")
        connection.sendall(struct.pack(">ii", 4 + len(answer), correlation) + answer)


def broker():
    listener = socket.create_server(("127.0.0.1", 0))
    port, batches = listener.getsockname()[1], []

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, port, batches), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return f"127.0.0.1:{port}", batches


def librdkafka(codec, **more):
    from confluent_kafka import Producer

    address, batches = broker()
    config = {"bootstrap.servers": address, "compression.type": codec, "linger.ms": 500, **more}
    producer = Producer(config)
    for key, value, headers, ms in RECORDS:
        producer.produce("golden", value, key, 0, headers=headers, timestamp=BASE_MS + ms)
    assert producer.flush(30) == 0
    return batches


def kafka_python(codec):
    from kafka import KafkaProducer

    address, batches = broker()
    codec = None if codec == "none" else codec
    producer = KafkaProducer(
        bootstrap_servers=address, compression_type=codec, linger_ms=500, enable_idempotence=False
    )
    for key, value, headers, ms in RECORDS:
        # It has no null header values.
        headers = [header for header in headers if header[1] is not None]
        producer.send("golden", value, key, headers, 0, BASE_MS + ms)
    producer.flush(30)
    return batches


def write(name, batches):
    assert len(batches) == 1, (name, len(batches))
    with open(f"{name}.batch", "wb") as file:
        file.write(batches[0])
    print(name, len(batches[0]), "bytes, attributes", batches[0][22], file=sys.stderr)


for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
    write(f"librdkafka-{codec}", librdkafka(codec))
    write(f"kafka-python-{codec}", kafka_python(codec))
write("librdkafka-idempotent", librdkafka("none", **{"enable.idempotence": True}))
