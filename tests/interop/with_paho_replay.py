"""paho-mqtt: subscriptions that begin in the past (`from`), and that tell offsets."""

import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timezone

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from stack import unique
from with_paho import Client


def asked(*pairs):
    properties = Properties(PacketTypes.SUBSCRIBE)
    properties.UserProperty = list(pairs)
    return properties


def replay(client, topic_filter, *pairs):
    """Subscribes with these user properties; gives the reason codes as text."""
    return client.subscribe(topic_filter, options=SubscribeOptions(qos=1), properties=asked(*pairs))


def place(message):
    """Stream, partition and offset of a delivery."""
    (text,) = [value for name, value in message.properties.UserProperty if name == "hw-offset"]
    stream, partition, offset = text.rsplit("/", 2)
    return stream, int(partition), int(offset)


def in_order(messages):
    """Whether each partition's offsets rise, and nothing comes twice."""
    places = [place(message) for message in messages]
    last = {}
    for stream, partition, offset in places:
        assert last.get((stream, partition), -1) < offset, places
        last[stream, partition] = offset
    return last


def fill(port, topic, numbers):
    """One client after the other publishes a number: several partitions."""
    publishers = [Client(port, client_id=unique("p")) for _ in range(6)]
    for number in numbers:
        publishers[number % 6].publish(topic, str(number))
    for publisher in publishers:
        publisher.__exit__()


def check_from_the_earliest_on_without_a_gap(stack):
    port, topic = stack.broker.port("mqtt"), unique("replay")
    fill(port, topic, range(300))
    with Client(port) as client, Client(port) as publisher:
        assert replay(client, topic + "/#", ("from", "earliest")) == ["Granted QoS 1"]
        for number in range(300, 320):
            publisher.publish(topic, str(number))
        messages = client.take(320)
        in_order(messages)
        assert sorted(int(m.payload) for m in messages) == list(range(320))
        assert [int(m.payload) for m in messages[300:]] == list(range(300, 320))
        assert client.received.empty()


def check_from_a_time(stack):
    port, topic = stack.broker.port("mqtt"), unique("replay")
    fill(port, topic, range(60))
    time.sleep(0.01)  # Arrival times are whole milliseconds.
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    fill(port, topic, range(60, 120))
    with Client(port) as client:
        assert replay(client, topic, ("from", now)) == ["Granted QoS 1"]
        messages = client.take(60)
        in_order(messages)
        assert sorted(int(m.payload) for m in messages) == list(range(60, 120))
        client.publish(topic, b"live")
        assert client.payloads(1) == [b"live"]


READER = """
import sys
import with_paho_replay as replay
client = replay.Client(sys.argv[1])
print(*replay.replay(client, sys.argv[2], ("from", sys.argv[3])), flush=True)
while True:
    (message,) = client.take(1)
    print(*replay.place(message), message.payload.decode(), flush=True)
"""


def read_until_killed(port, topic, start, count):
    """What a client prints of `count` records, before it is killed."""
    command = [sys.executable, "-c", READER, port, topic, start]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=os.path.dirname(os.path.abspath(__file__)))
    try:
        assert child.stdout.readline() == "Granted QoS 1\n", start
        lines = [child.stdout.readline().split() for _ in range(count)]
    finally:
        child.send_signal(signal.SIGKILL)
        # What it had printed beyond that counts too: it has seen it.
        rest = child.stdout.read()
        child.wait()
    whole = [line.split() for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    return [(int(partition), int(offset), int(number)) for _, partition, offset, number in lines + whole]


def check_a_killed_client_goes_on_where_it_was(stack):
    port, topic = stack.broker.port("mqtt"), unique("replay")
    fill(port, topic, range(600))
    seen, places, start = [], {}, "earliest"
    while len(seen) < 600:
        records = read_until_killed(port, topic, start, min(100, 600 - len(seen)))
        seen += [number for _, _, number in records]
        for partition, offset, _ in records:
            assert places.get(partition, 0) <= offset, (start, records)
            places[partition] = offset + 1
        start = ",".join(f"{partition}:{offset}" for partition, offset in places.items())
    assert sorted(seen) == list(range(600))


def check_offsets_alone_change_nothing_else(stack):
    port, topic = stack.broker.port("mqtt"), unique("replay")
    with Client(port) as client:
        client.publish(topic, b"before")
        assert replay(client, topic, ("offsets", "")) == ["Granted QoS 1"]
        client.publish(topic, b"after")
        (message,) = client.take(1)
        assert message.payload == b"after" and place(message)[0] == "events"


def check_what_cannot_be_is_refused_in_words(stack):
    port, topic = stack.broker.port("mqtt"), unique("replay")
    with Client(port) as client:
        client.paho.on_subscribe = lambda _c, _u, _m, reasons, p: client._events.put(
            ("subscribe", *map(str, reasons), getattr(p, "ReasonString", "")))
        for start, said in (("never", "from must be"), ("0:999999999", "ends at"), ("800:0", "has no partition 800")):
            code, words = replay(client, topic, ("from", start))
            assert code == "Implementation specific error" and said in words, (start, code, words)
