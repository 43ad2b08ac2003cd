"""The same clients over TLS, each with a device's certificate; without one nobody comes in."""

import json

import kafka
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from stack import GIVE_UP_S, attempt, eventually, run, unique
from with_mosquitto import Subscriber, client, publish


def for_mosquitto(certificate):
    return "--cafile", certificate.ca, "--cert", certificate.cert, "--key", certificate.key


def for_kcat(certificate):
    files = {"ca": certificate.ca, "certificate": certificate.cert, "key": certificate.key}
    settings = ["security.protocol=ssl", *(f"ssl.{name}.location={file}" for name, file in files.items())]
    return [word for setting in settings for word in ("-X", setting)]


def for_curl(certificate):
    return "--cacert", certificate.ca, "--cert", certificate.cert, "--key", certificate.key


def for_confluent(stack):
    return {"bootstrap.servers": stack.kafkas, "security.protocol": "ssl", "ssl.ca.location": stack.visitor.ca,
            "ssl.certificate.location": stack.visitor.cert, "ssl.key.location": stack.visitor.key}


def for_kafka_python(stack):
    return {"bootstrap_servers": stack.kafkas, "security_protocol": "SSL", "ssl_cafile": stack.visitor.ca,
            "ssl_certfile": stack.visitor.cert, "ssl_keyfile": stack.visitor.key}


def kcat(stack, *words, stdin=None):
    return run("kcat", "-b", stack.kafkas, *for_kcat(stack.visitor), *words, stdin=stdin)


def check_mosquitto_with_a_device_certificate(stack):
    port = stack.broker.port("mqtts")
    for version in ("mqttv311", "mqttv5"):
        topic = unique("tls")
        lines = [f"reading {n}" for n in range(300)]
        files = for_mosquitto(stack.visitor)
        over_tls = Subscriber(port, topic, len(lines), "-q", "1", "-V", version, *files)
        plain = Subscriber(stack.broker.port("mqtt"), topic, len(lines), "-q", "1")
        publish(port, topic, lines, "-V", version, *files)
        assert over_tls.messages() == lines and plain.messages() == lines


def check_large_payloads_of_mosquitto(stack):
    port, topic = stack.broker.port("mqtts"), unique("tls")
    files = for_mosquitto(stack.visitor)
    content = bytes(n * n % 251 for n in range(900_000))
    subscriber = Subscriber(port, topic, 1, "-q", "1", "-F", "payload %x", *files)
    run(*client("mosquitto_pub", port, topic, "-q", "1", "-s", *files), stdin=content)
    assert subscriber.messages() == ["payload " + content.hex()]


def check_the_certificate_says_who_a_device_is(stack):
    """Whatever the client id says: a status sent under another name is filed under the certificate's."""
    other = unique("other")
    run(*client("mosquitto_pub", stack.broker.port("mqtts"), "$hw/1/status", "-V", "mqttv5", "-q", "1",
                "-i", f"{other}~01234567", "-m", '{"device":"visitor"}', *for_mosquitto(stack.visitor)))

    def devices():
        answer = json.loads(run("curl", "-sS", stack.http + "/api/v1/devices"))
        return {device["device"] for device in answer["devices"]}

    eventually(lambda: "visitor" in devices(), "the device of the certificate")
    assert devices() == {"visitor", "gw-1"}


def check_kcat(stack):
    topic = unique("kcat-tls")
    lines = [f"key{n}:value {n}" for n in range(500)]
    kcat(stack, "-P", "-t", topic, "-p", "0", "-K", ":", "-z", "zstd", stdin="\n".join(lines).encode())
    out = kcat(stack, "-C", "-t", topic, "-p", "0", "-e", "-q", "-K", ":").decode()
    assert out.splitlines() == lines
    metadata = json.loads(kcat(stack, "-L", "-J"))
    assert [broker["name"] for broker in metadata["brokers"]] == [stack.kafkas]
    assert topic in [one["topic"] for one in metadata["topics"]]


def check_confluent_kafka(stack):
    topic = unique("confluent-tls")
    writer = Producer({**for_confluent(stack), "enable.idempotence": True})
    for n in range(300):
        writer.produce(topic, f"v{n}".encode(), partition=0)
    assert writer.flush(GIVE_UP_S) == 0
    reader = Consumer({**for_confluent(stack), "group.id": "unused", "enable.auto.commit": False})
    reader.assign([TopicPartition(topic, 0, 100)])
    assert [m.value() for m in reader.consume(200, GIVE_UP_S)] == [f"v{n}".encode() for n in range(100, 300)]
    reader.close()
    assert topic in AdminClient(for_confluent(stack)).list_topics(timeout=GIVE_UP_S).topics


def check_kafka_python(stack):
    topic = unique("python-tls")
    writer = kafka.KafkaProducer(**for_kafka_python(stack))
    for n in range(300):
        writer.send(topic, f"v{n}".encode(), partition=0)
    writer.flush(GIVE_UP_S)
    writer.close()
    reader = kafka.KafkaConsumer(group_id=None, consumer_timeout_ms=GIVE_UP_S * 1000, **for_kafka_python(stack))
    partition = kafka.TopicPartition(topic, 0)
    reader.assign([partition])
    reader.seek(partition, 100)
    assert [next(reader).value for _ in range(200)] == [f"v{n}".encode() for n in range(100, 300)]
    reader.close()


def check_curl(stack):
    topic = unique("curl-tls")
    kcat(stack, "-P", "-t", topic, "-p", "0", stdin=b"one\ntwo")
    path = f"/api/v1/streams/{topic}/records?partition=0&offset=0"
    answer = json.loads(run("curl", "-sS", "--fail-with-body", *for_curl(stack.visitor), stack.https + path))
    assert [record["value"] for record in answer["records"]] == ["one", "two"]


def check_who_has_no_certificate_or_a_foreign_one_does_not_come_in(stack):
    foreign = stack.certify("foreign", "visitor")
    foreign.ca = stack.visitor.ca
    topic = unique("intruder")
    trust = stack.visitor.ca
    mqtt = client("mosquitto_pub", stack.broker.port("mqtts"), topic, "-q", "1", "-m", "x")
    produce = ["kcat", "-b", stack.kafkas, "-P", "-t", topic, "-X", "message.timeout.ms=500"]
    curl = ["curl", "-sS", stack.https + "/healthz"]
    for command in (
        [*mqtt, "--cafile", trust], [*mqtt, *for_mosquitto(foreign)],
        [*produce, "-X", "security.protocol=ssl", "-X", f"ssl.ca.location={trust}"], [*produce, *for_kcat(foreign)],
        [*curl, "--cacert", trust], [*curl, *for_curl(foreign)],
    ):
        done = attempt(*command, stdin=b"x")
        assert done.returncode != 0 and not done.stdout, (command, done)
    answer = json.loads(run("curl", "-sS", stack.http + "/api/v1/streams"))
    assert topic not in [stream["name"] for stream in answer["streams"]]
    stored = run("kcat", "-b", stack.kafka, "-C", "-t", "events", "-e", "-q", "-f", "%k\n").decode(errors="replace")
    assert topic not in stored.splitlines()
