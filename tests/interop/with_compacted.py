"""A compacted stream, read by kafka-python, confluent-kafka, mosquitto and curl: the newest of each key, at its offset."""

import json
import time
import urllib.request

import confluent_kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from stack import GIVE_UP_S, attempt
from with_kcat import CODECS

KEYS = 20
ROUNDS = 30
# A retention this short makes the broker put its journal into segments once a second, in which records are compacted.
SETTINGS = '''
[[stream]]
name = "table"
filters = ["state/#"]
partitions = 1
cleanup = "compact"
partition_by = "topic"
[[stream]]
name = "brief"
retention = "4s"
'''


def fill(address):
    """Every key over and over, in batches of every codec; gives what each offset has."""
    written = {}
    for round_ in range(ROUNDS):
        codec = CODECS[round_ % len(CODECS)]
        client = KafkaProducer(bootstrap_servers=address, compression_type=None if codec == "none" else codec, linger_ms=20)
        sent = []
        for key in range(KEYS):
            deleted = key == 3 and round_ == ROUNDS - 1
            pair = (f"state/{key}".encode(), None if deleted else f"value {round_} ".encode() + b"x" * 100)
            sent.append((client.send("table", pair[1], pair[0], partition=0), pair))
        written.update({future.get(GIVE_UP_S).offset: pair for future, pair in sent})
        client.close()
    return written


def read_with_kafka_python(address, offset):
    client = KafkaConsumer(bootstrap_servers=address, group_id=None, enable_auto_commit=False, consumer_timeout_ms=1000)
    partition = TopicPartition("table", 0)
    client.assign([partition])
    client.seek(partition, offset)
    records = {record.offset: (record.key, record.value) for record in client}
    assert client.position(partition) == client.end_offsets([partition])[partition], "it comes to the end across what is gone"
    client.close()
    return records


def read_with_librdkafka(address, offset):
    client = confluent_kafka.Consumer({"bootstrap.servers": address, "group.id": "x", "enable.partition.eof": True})
    client.assign([confluent_kafka.TopicPartition("table", 0, offset)])
    records = {}
    while (message := client.poll(GIVE_UP_S)) is not None and message.error() is None:
        records[message.offset()] = (message.key(), message.value())
    assert message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF, message
    client.close()
    return records


def read_with_curl(address, offset):
    url = f"http://{address}/api/v1/streams/table/records?partition=0&offset={offset}"
    page = json.load(urllib.request.urlopen(url, timeout=GIVE_UP_S))
    return {r["offset"]: (r["key"].encode(), None if r["value"] is None else r["value"].encode()) for r in page["records"]}


def newest(records):
    return {key: (offset, value) for offset, (key, value) in sorted(records.items())}


def check_the_newest_of_each_key_stays_for_every_reader(stack):
    broker = stack.start_broker("compacted", SETTINGS, "mqtt", "kafka", "http")
    try:
        kafka, http = broker.listeners["kafka"], broker.listeners["http"]
        written = fill(kafka)
        deadline = time.monotonic() + GIVE_UP_S
        while len(left := read_with_librdkafka(kafka, 0)) > 2 * KEYS:
            assert time.monotonic() < deadline, len(left)
            time.sleep(0.5)
        assert newest(left) == newest(written)
        assert all(written[offset] == pair for offset, pair in left.items())
        for read in read_with_kafka_python, read_with_librdkafka, read_with_curl:
            for offset in 0, 1, len(written) // 2, max(left):
                found = read(kafka if read is not read_with_curl else http, offset)
                assert newest(found) == {k: v for k, v in newest(written).items() if v[0] >= offset}, (read, offset)
        told = attempt("mosquitto_sub", "-V", "5", "-p", broker.port("mqtt"), "-t", "state/#", "-D", "subscribe", "user-property",
                       "from", "earliest", "-F", "%t %p", "-W", "3").stdout.decode().splitlines()
        assert dict(line.split(" ", 1) for line in told) == {
            key.decode(): (value or b"").decode() for key, (_, value) in newest(written).items()}, told
    finally:
        assert broker.stop() == 0
