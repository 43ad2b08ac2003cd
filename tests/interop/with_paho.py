"""paho-mqtt: many in flight, QoS 0 and 1, payloads of all sizes, topics in all scripts."""

import queue

import paho.mqtt.client as mqtt

from stack import GIVE_UP_S, unique

VERSIONS = (mqtt.MQTTv311, mqtt.MQTTv5)


class Client:
    """A connected client. `connack` is the answer to its CONNECT, `received` what it is sent."""

    def __init__(self, port, version=mqtt.MQTTv5, client_id="", in_flight=100, will=None, **connect):
        clean = {"clean_session": True} if version == mqtt.MQTTv311 else {}
        self.paho = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id, protocol=version, **clean)
        self.received, self._events = queue.Queue(), queue.Queue()
        tell = self._events.put
        self.paho.on_connect = lambda _c, _u, flags, reason, properties: tell(("connect", reason, flags, properties))
        self.paho.on_subscribe = lambda _c, _u, _m, reasons, _p: tell(("subscribe", *map(str, reasons)))
        self.paho.on_unsubscribe = lambda _c, _u, _m, reasons, _p: tell(("unsubscribe", *map(str, reasons)))
        self.paho.on_publish = lambda _c, _u, _m, reason, _p: tell(("publish", str(reason)))
        self.paho.on_disconnect = lambda _c, _u, _f, reason, _p: tell(("disconnect", str(reason)))
        self.paho.on_message = lambda _c, _u, message: self.received.put(message)
        self.paho.max_inflight_messages = in_flight
        self.paho.reconnect_delay_set(GIVE_UP_S, GIVE_UP_S)
        if will:
            self.paho.will_set(**will)
        self.paho.connect("127.0.0.1", int(port), **connect)
        self.paho.loop_start()
        self.connack = self.event("connect")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.paho.disconnect()
        self.paho.loop_stop()

    def event(self, kind):
        """What came with the next event of this kind: its reason codes, as text."""
        while True:
            event, *reasons = self._events.get(timeout=GIVE_UP_S)
            if event == kind:
                return reasons

    def subscribe(self, *words, **more):
        self.paho.subscribe(*words, **more)
        return self.event("subscribe")

    def unsubscribe(self, topics):
        self.paho.unsubscribe(topics)
        return self.event("unsubscribe")

    def publish(self, topic, payload=b"", qos=1, **more):
        """Publishes and gives the reason of the answer."""
        self.paho.publish(topic, payload, qos, **more)
        (reason,) = self.event("publish")
        return reason

    def take(self, count):
        return [self.received.get(timeout=GIVE_UP_S) for _ in range(count)]

    def payloads(self, count):
        return [message.payload for message in self.take(count)]


def check_many_in_flight_arrive_in_order(stack):
    for process in (stack.broker, stack.agent):
        for version in VERSIONS:
            port, topic = process.port("mqtt"), unique("paho")
            with Client(port, version) as subscriber, Client(port, version, in_flight=500) as publisher:
                subscriber.subscribe(topic + "/#", 1)
                sent = [publisher.paho.publish(topic + "/x", f"{n}", qos=1) for n in range(2000)]
                for message in sent:
                    message.wait_for_publish(GIVE_UP_S)
                assert [int(payload) for payload in subscriber.payloads(2000)] == list(range(2000))


def check_each_qos_arrives_at_no_more_than_what_was_granted(stack):
    for process in (stack.broker, stack.agent):
        port, topic = process.port("mqtt"), unique("paho")
        with Client(port) as low, Client(port) as high, Client(port) as publisher:
            assert low.subscribe(topic, 0) == ["Granted QoS 0"]
            assert high.subscribe(topic, 2) == ["Granted QoS 1"]
            publisher.publish(topic, b"0", 0)
            publisher.publish(topic, b"1", 1)
            assert [(m.payload, m.qos) for m in low.take(2)] == [(b"0", 0), (b"1", 0)]
            assert [(m.payload, m.qos) for m in high.take(2)] == [(b"0", 0), (b"1", 1)]


def check_nothing_arrives_after_unsubscribe(stack):
    for process in (stack.broker, stack.agent):
        topic = unique("paho")
        with Client(process.port("mqtt")) as client:
            client.subscribe([(topic + "/a", 1), (topic + "/b", 1)])
            assert client.unsubscribe([topic + "/a", topic + "/never"]) == ["Success", "No subscription found"]
            client.publish(topic + "/a", b"not this")
            client.publish(topic + "/b", b"this")
            assert client.payloads(1) == [b"this"]
            assert client.received.empty()


def check_a_payload_of_every_size(stack):
    sizes = [0, 1, 127, 128, 4095, 4096, 16_383, 65_536, 200_000]
    for process, more in ((stack.broker, [900_000, 1_048_576]), (stack.agent, [])):
        topic = unique("paho")
        payloads = [bytes([n % 251]) * size for n, size in enumerate(sizes + more)]
        with Client(process.port("mqtt")) as client:
            client.subscribe(topic, 1)
            for payload in payloads:
                client.publish(topic, payload)
            assert client.payloads(len(payloads)) == payloads


def check_topics_of_all_kinds(stack):
    for process in (stack.broker, stack.agent):
        root = unique("paho")
        topics = [root + end for end in ("", "/", "//", "/ a b ", "/ü/漢字/🎉", "/" + "x" * 1000, "/a" * 60)]
        with Client(process.port("mqtt")) as client:
            client.subscribe(root + "/#", 1)
            for topic in topics:
                assert client.publish(topic, topic.encode()) == "Success", topic
            got = [(message.topic, message.payload.decode()) for message in client.take(len(topics))]
            assert got == [(topic, topic) for topic in topics]


def check_wildcards(stack):
    """Each of these filters against each of these topics."""
    expected = {
        "+": {"a"}, "a/+": {"a/b", "a/"}, "+/+": {"a/b", "/a", "a/"}, "/+": {"/a"}, "a/#": {"a", "a/b", "a/", "a//b"},
        "a/+/b": {"a//b"}, "/#": {"/a"}, "a/b": {"a/b"}, "#": {"a", "a/b", "/a", "a/", "a//b"},
    }
    topics = ["a", "a/b", "/a", "a/", "a//b"]
    for process in (stack.broker, stack.agent):
        port = process.port("mqtt")
        for topic_filter, matching in expected.items():
            with Client(port) as subscriber:
                subscriber.subscribe(topic_filter, 1)
                for topic in topics:
                    subscriber.publish(topic, b"wildcards")
                # One more that comes last, so that nothing can come later.
                subscriber.subscribe("last", 1)
                subscriber.publish("last", b"wildcards")
                got = []
                while "last" not in got:
                    got += [message.topic for message in subscriber.take(1) if message.payload == b"wildcards"]
                assert set(got) - {"last"} == matching and len(set(got)) == len(got), (topic_filter, got)
