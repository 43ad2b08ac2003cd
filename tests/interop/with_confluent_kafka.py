"""confluent-kafka (current librdkafka): produce, assign, seek, consume, times, idempotence, refusals."""

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from stack import GIVE_UP_S, unique
from with_kcat import CODECS


def producer(stack, **more):
    return Producer({"bootstrap.servers": stack.kafka, **more})


def consumer(stack, **more):
    return Consumer({"bootstrap.servers": stack.kafka, "group.id": "unused", "enable.auto.commit": False,
                     "check.crcs": True, **more})


def value(n):
    return f"value {n} ".encode() + b"x" * 100


def produce(stack, topic, count, **more):
    offsets = []

    def delivered(error, message):
        assert error is None, error
        offsets.append(message.offset())

    client = producer(stack, **more)
    for n in range(count):
        client.produce(topic, key=f"k{n}", value=value(n), partition=0, timestamp=1_000_000 + n,
                       headers=[("n", str(n).encode())], on_delivery=delivered)
        client.poll(0)
    assert client.flush(GIVE_UP_S) == 0
    assert offsets == list(range(count)), offsets[:10]


def take(client, count):
    messages = []
    while len(messages) < count:
        batch = client.consume(count - len(messages), timeout=GIVE_UP_S)
        assert batch, f"{len(messages)} of {count} messages"
        for message in batch:
            assert message.error() is None, message.error()
        messages += batch
    return messages


def refusal(client, topic, payload=b"x", **more):
    """The error with which a message comes back, at once or later."""
    errors = []
    try:
        client.produce(topic, payload, on_delivery=lambda error, _: errors.append(error), **more)
    except KafkaException as exception:
        errors += exception.args
    assert client.flush(GIVE_UP_S) == 0
    return errors[0].code() if errors[0] else None


def check_every_codec_with_idempotence(stack):
    for codec in CODECS:
        topic = unique("confluent-" + codec)
        produce(stack, topic, 2000, **{"compression.type": codec, "enable.idempotence": True, "linger.ms": 20})
        client = consumer(stack)
        client.assign([TopicPartition(topic, 0, 0)])
        messages = take(client, 2000)
        assert [m.offset() for m in messages] == list(range(2000))
        assert [m.value() for m in messages] == [value(n) for n in range(2000)]
        assert [m.key() for m in messages] == [f"k{n}".encode() for n in range(2000)]
        assert [m.headers() for m in messages] == [[("n", str(n).encode())] for n in range(2000)]
        assert [m.timestamp()[1] for m in messages] == [1_000_000 + n for n in range(2000)]
        client.close()
        stored, raw = stack.stream(topic)["bytes"], sum(len(value(n)) for n in range(2000))
        assert stored > raw if codec == "none" else stored < raw / 4, (codec, stored, raw)


def check_list_topics(stack):
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    metadata = admin.list_topics(timeout=GIVE_UP_S)
    assert len(metadata.topics["events"].partitions) == 8
    assert not any(name.startswith("__") for name in metadata.topics), metadata.topics
    assert [f"{broker.host}:{broker.port}" for broker in metadata.brokers.values()] == [stack.kafka]
    # This client permits that a topic it names is made.
    topic = unique("confluent-named")
    one = admin.list_topics(topic, timeout=GIVE_UP_S).topics[topic]
    assert one.error is None and sorted(one.partitions) == [0, 1, 2, 3], one


def check_seek_and_watermarks(stack):
    topic = unique("confluent-seek")
    produce(stack, topic, 500, **{"compression.type": "zstd"})
    client = consumer(stack)
    client.assign([TopicPartition(topic, 0, 0)])
    take(client, 10)
    for first in (333, 7, 495):
        client.seek(TopicPartition(topic, 0, first))
        assert [(m.offset(), m.value()) for m in take(client, 5)] == [(n, value(n)) for n in range(first, first + 5)]
    assert client.get_watermark_offsets(TopicPartition(topic, 0), timeout=GIVE_UP_S) == (0, 500)
    client.close()


def check_offsets_for_times(stack):
    topic = unique("confluent-times")
    produce(stack, topic, 500)
    client = consumer(stack)
    asked = [TopicPartition(topic, 0, time) for time in (0, 1_000_250, 1_000_499, 1_000_500)]
    found = [client.offsets_for_times([one], timeout=GIVE_UP_S)[0].offset for one in asked]
    assert found == [0, 250, 499, -1], found
    client.close()


def check_a_tail_is_woken_by_the_append(stack):
    topic = unique("confluent-tail")
    produce(stack, topic, 1)
    client = consumer(stack, **{"fetch.wait.max.ms": 20_000})
    client.assign([TopicPartition(topic, 0, 1)])
    assert client.poll(0.2) is None
    writer = producer(stack)
    writer.produce(topic, value=b"wake", partition=0)
    writer.flush(GIVE_UP_S)
    message = client.poll(10)
    assert message is not None and message.value() == b"wake"
    client.close()


def check_an_offset_that_is_not_there(stack):
    topic = unique("confluent-range")
    produce(stack, topic, 3)
    client = consumer(stack, **{"auto.offset.reset": "error"})
    client.assign([TopicPartition(topic, 0, 1000)])
    assert client.poll(GIVE_UP_S).error().code() == KafkaError._AUTO_OFFSET_RESET
    client.close()
    client = consumer(stack, **{"auto.offset.reset": "earliest"})
    client.assign([TopicPartition(topic, 0, 1000)])
    assert [m.offset() for m in take(client, 3)] == [0, 1, 2]
    client.close()


def check_what_cannot_be_produced(stack):
    client = producer(stack, **{"message.max.bytes": 5_000_000})
    topic = unique("confluent-refused")
    assert refusal(client, topic) is None
    assert refusal(client, topic, partition=99) == KafkaError._UNKNOWN_PARTITION
    assert refusal(client, topic, b"x" * 2_000_000) == KafkaError.MSG_SIZE_TOO_LARGE
    for name in ("not a name", "__devices"):
        # The broker's error, or the client's own once it has seen that.
        assert refusal(client, name) in (KafkaError.TOPIC_EXCEPTION, KafkaError._UNKNOWN_TOPIC)
    assert refusal(client, topic) is None
    assert stack.stream(topic)["records"] == 2
