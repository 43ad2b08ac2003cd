"""kcat 1.7.1: list, produce with each codec, consume from offsets and times."""

import json
import subprocess

from stack import GIVE_UP_S, attempt, run, unique
from with_mosquitto import Subscriber, publish

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def kcat(stack, *words, stdin=None):
    return run("kcat", "-b", stack.kafka, *words, stdin=stdin)


def check_list(stack):
    metadata = json.loads(kcat(stack, "-L", "-J"))
    topics = {topic["topic"]: topic["partitions"] for topic in metadata["topics"]}
    assert len(topics["events"]) == 8 and len(topics["rejected"]) == 1, topics
    assert not any(name.startswith("__") for name in topics), topics
    assert [broker["name"] for broker in metadata["brokers"]] == [stack.kafka]
    assert metadata["controllerid"] == 0
    text = kcat(stack, "-L", "-t", "events").decode()
    assert 'topic "events" with 8 partitions' in text, text


def check_produce_and_consume_with_each_codec(stack):
    for codec in CODECS:
        topic = unique("kcat-" + codec)
        lines = [f"key{n}:value {n} " + "x" * 100 for n in range(1000)]
        kcat(stack, "-P", "-t", topic, "-p", "0", "-K", ":", "-z", codec, stdin="\n".join(lines).encode())
        out = kcat(stack, "-C", "-t", topic, "-p", "0", "-e", "-q", "-K", ":").decode()
        assert out.splitlines() == lines, codec
        stored, raw = stack.stream(topic)["bytes"], sum(len(line) - 1 for line in lines)
        assert stored > raw if codec == "none" else stored < raw / 4, (codec, stored, raw)


def check_keys_headers_nulls_and_times(stack):
    topic = unique("kcat-fields")
    to = ("-P", "-t", topic, "-p", "0")
    kcat(stack, *to, "-k", "a key", "-H", "site=north", "-H", "line=", stdin=b"a value")
    kcat(stack, *to, "-Z", "-K", ":", stdin=b"gone:")
    kcat(stack, *to, stdin="ü 漢字".encode())
    out = kcat(stack, "-C", "-t", topic, "-p", "0", "-e", "-q", "-J").decode()
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["offset"] for record in records] == [0, 1, 2]
    assert [record["key"] for record in records] == ["a key", "gone", None]
    assert [record["payload"] for record in records] == ["a value", None, "ü 漢字"]
    assert records[0]["headers"] == ["site", "north", "line", ""]
    time = records[1]["ts"]
    assert records[0]["ts"] < time < records[2]["ts"]
    for asked, offset in ((0, 0), (time, 1), (time + 1, 2), (-1, 3), (-2, 0)):
        out = kcat(stack, "-Q", "-t", f"{topic}:0:{asked}").decode()
        assert out == f"{topic} [0] offset {offset}\n", (asked, out)
    out = kcat(stack, "-C", "-t", topic, "-p", "0", "-o", f"s@{time}", "-e", "-q", "-f", "%o ")
    assert out == b"1 2 "


def check_consume_from_an_offset(stack):
    topic = unique("kcat-offset")
    kcat(stack, "-P", "-t", topic, "-p", "1", stdin="\n".join(str(n) for n in range(100)).encode())
    for begin, first in (("37", 37), ("-5", 95), ("beginning", 0)):
        out = kcat(stack, "-C", "-t", topic, "-p", "1", "-o", begin, "-e", "-q").decode().split()
        assert out == [str(n) for n in range(first, 100)], begin


def check_a_tail_is_woken(stack):
    topic = unique("kcat-tail")
    kcat(stack, "-P", "-t", topic, "-p", "0", stdin=b"before")
    tail = subprocess.Popen(["kcat", "-b", stack.kafka, "-C", "-t", topic, "-p", "0", "-o", "1", "-c", "2", "-u"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert b"Reached end of topic" in tail.stderr.readline()
    kcat(stack, "-P", "-t", topic, "-p", "0", stdin=b"one\ntwo")
    assert tail.communicate(timeout=GIVE_UP_S)[0] == b"one\ntwo\n"


def check_mqtt_publishes_are_records(stack):
    for process, device in ((stack.broker, ""), (stack.agent, ",hw-device=gw-1")):
        topic, client_id = unique("via-mqtt") + "/t", unique("client")
        publish(process.port("mqtt"), topic, [f"m{n}" for n in range(300)], "-i", client_id)
        found = []
        while len(found) < 300:
            out = kcat(stack, "-C", "-t", "events", "-o", "beginning", "-e", "-q", "-f", "%k %s %h\n")
            found = [line.split(b" ")[1:] for line in out.split(b"\n") if line.startswith(topic.encode() + b" ")]
        assert [value for value, _ in found] == [f"m{n}".encode() for n in range(300)]
        assert {headers for _, headers in found} == {f"mqtt-client={client_id},mqtt-flags=\x01{device}".encode()}


def check_records_are_mqtt_messages(stack):
    root = unique("via-kafka")
    subscriber = Subscriber(stack.broker.port("mqtt"), root + "/#", 200, "-q", "1", "-F", "%t %p")
    lines = [f"{root}/{n % 7} value {n}" for n in range(200)]
    kcat(stack, "-P", "-t", "events", "-p", "3", "-K", " ", "-z", "snappy", stdin="\n".join(lines).encode())
    assert subscriber.messages() == lines


def check_a_topic_is_not_made_where_that_is_forbidden(stack):
    broker = stack.start_broker("closed", "[kafka]\nauto_create = false\n", "kafka")
    try:
        done = attempt("kcat", "-b", broker.listeners["kafka"], "-C", "-t", "absent", "-e")
        assert done.returncode == 1 and b"Unknown topic or partition" in done.stderr, done
        done = attempt("kcat", "-b", broker.listeners["kafka"], "-P", "-t", "absent", "-X", "message.timeout.ms=500",
                       stdin=b"x")
        assert done.returncode == 1 and b"Delivery failed" in done.stderr, done
    finally:
        assert broker.stop() == 0
