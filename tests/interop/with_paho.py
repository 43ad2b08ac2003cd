"""paho-mqtt: many in flight, QoS 0 and 1, unsubscribe."""

import queue

import paho.mqtt.client as mqtt

from stack import GIVE_UP_S, unique


def connected(port, version=mqtt.MQTTv5):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=version)
    ready = queue.Queue()
    client.on_connect = lambda *_: ready.put("connected")
    client.on_subscribe = lambda *_: ready.put("subscribed")
    client.on_unsubscribe = lambda *_: ready.put("unsubscribed")
    client.connect("127.0.0.1", int(port))
    client.loop_start()
    assert ready.get(timeout=GIVE_UP_S) == "connected"
    return client, ready


def check_many_in_flight_arrive_in_order(stack):
    for version in (mqtt.MQTTv311, mqtt.MQTTv5):
        topic = unique("paho")
        received = queue.Queue()
        subscriber, ready = connected(stack.broker.port("mqtt"), version)
        subscriber.on_message = lambda _c, _u, message: received.put(message.payload)
        subscriber.subscribe(topic + "/#", qos=1)
        assert ready.get(timeout=GIVE_UP_S) == "subscribed"
        publisher, _ = connected(stack.broker.port("mqtt"), version)
        sent = [publisher.publish(f"{topic}/x", f"{n}".encode(), qos=n % 2 if n < 1000 else 1) for n in range(2000)]
        for message in sent:
            message.wait_for_publish(GIVE_UP_S)
        numbers = [int(received.get(timeout=GIVE_UP_S)) for _ in range(2000)]
        assert numbers == list(range(2000)), numbers[:20]
        publisher.disconnect()
        subscriber.disconnect()


def check_nothing_arrives_after_unsubscribe(stack):
    topic = unique("paho")
    received = queue.Queue()
    client, ready = connected(stack.broker.port("mqtt"))
    client.on_message = lambda _c, _u, message: received.put((message.topic, message.payload))
    client.subscribe([(topic + "/a", 1), (topic + "/b", 1)])
    assert ready.get(timeout=GIVE_UP_S) == "subscribed"
    client.unsubscribe(topic + "/a")
    assert ready.get(timeout=GIVE_UP_S) == "unsubscribed"
    client.publish(topic + "/a", b"not this", qos=1).wait_for_publish(GIVE_UP_S)
    client.publish(topic + "/b", b"this", qos=1).wait_for_publish(GIVE_UP_S)
    assert received.get(timeout=GIVE_UP_S) == (topic + "/b", b"this")
    assert received.empty()
    client.disconnect()


def check_a_payload_of_every_size(stack):
    topic = unique("paho")
    received = queue.Queue()
    client, ready = connected(stack.broker.port("mqtt"))
    client.on_message = lambda _c, _u, message: received.put(message.payload)
    client.subscribe(topic, qos=1)
    assert ready.get(timeout=GIVE_UP_S) == "subscribed"
    payloads = [bytes([n % 251]) * size for n, size in enumerate([0, 1, 127, 128, 4095, 4096, 16383, 65_536, 240_000, 900_000])]
    for payload in payloads:
        client.publish(topic, payload, qos=1).wait_for_publish(GIVE_UP_S)
    for payload in payloads:
        assert received.get(timeout=GIVE_UP_S) == payload
    client.disconnect()
