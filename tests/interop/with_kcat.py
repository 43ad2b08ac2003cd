"""kcat 1.7.1: list, produce with each codec, consume from offsets."""

import json

from stack import run, unique
from with_mosquitto import publish


def kcat(stack, *words, stdin=None):
    return run("kcat", "-b", stack.kafka, *words, stdin=stdin)


def check_list(stack):
    metadata = json.loads(kcat(stack, "-L", "-J"))
    topics = {topic["topic"]: topic["partitions"] for topic in metadata["topics"]}
    assert len(topics["events"]) == 8, topics
    assert not any(name.startswith("__") for name in topics), topics
    assert [broker["name"] for broker in metadata["brokers"]] == [stack.kafka]
    assert metadata["controllerid"] == 0


def check_produce_and_consume_with_each_codec(stack):
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        topic = unique("kcat-" + codec)
        lines = [f"key{n}:value {n} " + "x" * 100 for n in range(1000)]
        kcat(stack, "-P", "-t", topic, "-p", "0", "-K", ":", "-z", codec, stdin="\n".join(lines).encode())
        out = kcat(stack, "-C", "-t", topic, "-p", "0", "-e", "-q", "-K", ":").decode()
        assert out.splitlines() == lines, codec


def check_consume_from_an_offset(stack):
    topic = unique("kcat-offset")
    kcat(stack, "-P", "-t", topic, "-p", "1", stdin="\n".join(str(n) for n in range(100)).encode())
    out = kcat(stack, "-C", "-t", topic, "-p", "1", "-o", "37", "-e", "-q").decode().split()
    assert out == [str(n) for n in range(37, 100)]
    out = kcat(stack, "-C", "-t", topic, "-p", "1", "-o", "-5", "-e", "-q").decode().split()
    assert out == [str(n) for n in range(95, 100)]


def check_mqtt_publishes_are_records(stack):
    topic = unique("via-mqtt") + "/t"
    publish(stack.broker.port("mqtt"), topic, [f"m{n}" for n in range(300)], "-i", unique("client"))
    out = kcat(stack, "-C", "-t", "events", "-o", "beginning", "-e", "-q", "-f", "%k %s\n").decode(errors="replace")
    assert [line.split()[1] for line in out.splitlines() if line.startswith(topic + " ")] == [f"m{n}" for n in range(300)]
