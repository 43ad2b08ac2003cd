"""paho-mqtt: what MQTT rules for connections and subscriptions, as test suites of others try it."""

import socket

from paho.mqtt.client import MQTTv5, MQTTv311
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from stack import GIVE_UP_S, unique
from with_paho import Client


def properties(packet, **values):
    made = Properties(packet)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def both(stack):
    return [process.port("mqtt") for process in (stack.broker, stack.agent)]


def check_the_connack_says_what_is_not_offered(stack):
    asked = properties(PacketTypes.CONNECT, SessionExpiryInterval=100)
    for port in both(stack):
        with Client(port, client_id=unique("c"), clean_start=False, properties=asked) as client:
            reason, flags, granted = client.connack
            assert (str(reason), flags.session_present) == ("Success", False)
            assert (granted.SessionExpiryInterval, granted.MaximumQoS, granted.RetainAvailable) == (0, 1, 0)
            assert granted.SharedSubscriptionAvailable == 0
            assert client.subscribe("$share/group/a", 1) == ["Shared subscription not supported"]


def check_client_ids(stack):
    for port in both(stack):
        with Client(port) as client:
            assert client.connack[2].AssignedClientIdentifier
        with Client(port, MQTTv311) as client:
            assert str(client.connack[0]) == "Success"
        # Empty, with a session to keep: the one case that 3.1.1 forbids.
        with socket.create_connection(("127.0.0.1", int(port)), GIVE_UP_S) as raw:
            raw.sendall(b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00")
            assert (raw.recv(4), raw.recv(1)) == (b"\x20\x02\x00\x02", b"")
        name = unique("same")
        with Client(port, client_id=name) as first, Client(port, client_id=name):
            assert first.event("disconnect") == ["Session taken over"]


def check_a_silent_client_is_gone_after_its_keep_alive(stack):
    for port in both(stack):
        topic = unique("w").encode()
        with Client(port) as watcher:
            watcher.subscribe(topic.decode(), 1)
            body = b"\x00\x04MQTT\x04\x06\x00\x01\x00\x01c" + len(topic).to_bytes(2, "big") + topic + b"\x00\x04gone"
            with socket.create_connection(("127.0.0.1", int(port)), GIVE_UP_S) as raw:
                raw.sendall(bytes([0x10, len(body)]) + body)
                assert (raw.recv(4), raw.recv(1)) == (b"\x20\x02\x00\x00", b"")
            assert watcher.payloads(1) == [b"gone"]


def check_wills(stack):
    wish = properties(PacketTypes.WILLMESSAGE, WillDelayInterval=1, ContentType="t/x")
    for port in both(stack):
        topic = unique("wills")
        will = {"topic": topic, "payload": b"gone", "qos": 1, "properties": wish}
        with Client(port) as watcher:
            watcher.subscribe(topic, 1)
            with Client(port, will=will):
                pass
            with Client(port, will=will) as owner:
                owner.paho.disconnect(ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message"))
            (message,) = watcher.take(1)
            assert (message.payload, message.properties.ContentType) == (b"gone", "t/x")
            watcher.publish(topic, b"nothing between")
            assert watcher.payloads(1) == [b"nothing between"]


def check_overlapping_subscriptions_give_one_copy_at_the_highest_qos(stack):
    for port in both(stack):
        for version in (MQTTv311, MQTTv5):
            topic = unique("overlap")
            with Client(port, version) as client:
                client.subscribe(topic + "/#", 0)
                client.subscribe(topic + "/+", 1)
                for payload in (b"1", b"2"):
                    client.publish(topic + "/x", payload)
                assert [(m.payload, m.qos) for m in client.take(2)] == [(b"1", 1), (b"2", 1)]


def check_subscription_identifiers(stack):
    topic = unique("ids")
    with Client(stack.broker.port("mqtt")) as client:
        for topic_filter, number in ((topic + "/#", 5), (topic + "/+", 7), (topic + "/+", 200_000)):
            client.subscribe(topic_filter, options=SubscribeOptions(qos=1),
                             properties=properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=number))
        client.publish(topic + "/x")
        (message,) = client.take(1)
        assert sorted(message.properties.SubscriptionIdentifier) == [5, 200_000]


def check_no_local(stack):
    for port in both(stack):
        topic = unique("local")
        with Client(port) as client, Client(port) as other:
            client.subscribe(topic, options=SubscribeOptions(qos=1, noLocal=True))
            client.publish(topic, b"own")
            other.publish(topic, b"other")
            assert client.payloads(1) == [b"other"]


def check_topic_aliases(stack):
    topic = unique("alias")
    with Client(stack.broker.port("mqtt")) as client:
        client.subscribe(topic + "/#", 1)
        for name, alias in ((topic + "/a", 1), ("", 1), (topic + "/b", 1), ("", 1), (topic + "/c", 16), ("", 16)):
            client.publish(name, properties=properties(PacketTypes.PUBLISH, TopicAlias=alias))
        assert [m.topic[-1] for m in client.take(6)] == list("aabbcc")
        client.paho.publish("", b"", 1, properties=properties(PacketTypes.PUBLISH, TopicAlias=17))
        assert client.event("disconnect") == ["Topic alias invalid"]


def check_maximum_packet_size(stack):
    for port in both(stack):
        topic = unique("size")
        asked = properties(PacketTypes.CONNECT, MaximumPacketSize=200)
        with Client(port, properties=asked) as small, Client(port) as other:
            small.subscribe(topic, 1)
            for payload in (b"x" * 300, b"fits"):
                other.publish(topic, payload)
            assert small.payloads(1) == [b"fits"]
            other.paho.publish(topic, b"x" * 4_000_000, 1)
            assert other.event("disconnect") == ["Packet too large"]


def check_receive_maximum(stack):
    for port in both(stack):
        topic = unique("maximum")
        asked = properties(PacketTypes.CONNECT, ReceiveMaximum=2)
        with Client(port, properties=asked) as slow, Client(port) as other:
            slow.paho.manual_ack_set(True)
            slow.subscribe(topic, 1)
            for n in range(6):
                other.publish(topic, str(n))
            got = []
            for _ in range(3):
                pair = slow.take(2)
                assert slow.received.empty(), "more than the client permits"
                got += [int(message.payload) for message in pair]
                for message in pair:
                    slow.paho.ack(message.mid, message.qos)
            assert got == list(range(6))


def check_all_properties_of_a_publish(stack):
    sent = properties(PacketTypes.PUBLISH, PayloadFormatIndicator=1, MessageExpiryInterval=3600, ContentType="a/b",
                      ResponseTopic="r/t", CorrelationData=b"\x00\xff")
    sent.UserProperty = [("k", "1"), ("k", "2"), ("hw-x", "3"), ("mqtt-client", "4"), ("user-x", "5")]
    for port in both(stack):
        topic = unique("properties")
        with Client(port) as client:
            client.subscribe(topic, 1)
            client.publish(topic, properties=sent)
            (message,) = client.take(1)
            got = message.properties.json()
            left = got.pop("MessageExpiryInterval")
            assert 3500 < left <= 3600
            assert got == {name: value for name, value in sent.json().items() if name != "MessageExpiryInterval"}


def check_what_is_not_allowed_ends_the_connection_with_its_reason(stack):
    for port in both(stack):
        cases = [("QoS not supported", {"qos": 2}), ("Retain not supported", {"qos": 1, "retain": True})]
        for reason, publish in cases:
            with Client(port) as client:
                client.paho.publish(unique("not-allowed"), b"x", **publish)
                assert client.event("disconnect") == [reason]
