"""confluent-kafka (current librdkafka): produce, assign, seek, consume, times, idempotence."""

from confluent_kafka import Consumer, Producer, TopicPartition

from stack import GIVE_UP_S, unique


def producer(stack, **more):
    return Producer({"bootstrap.servers": stack.kafka, **more})


def consumer(stack, **more):
    return Consumer({"bootstrap.servers": stack.kafka, "group.id": "unused", "enable.auto.commit": False, **more})


def produce(stack, topic, count, **more):
    offsets = []

    def delivered(error, message):
        assert error is None, error
        offsets.append(message.offset())

    client = producer(stack, **more)
    for n in range(count):
        client.produce(topic, key=f"k{n}", value=f"v{n}", partition=0, timestamp=1_000_000 + n,
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


def check_every_codec_with_idempotence(stack):
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        topic = unique("confluent-" + codec)
        produce(stack, topic, 2000, **{"compression.type": codec, "enable.idempotence": True, "linger.ms": 5})
        client = consumer(stack, **{"check.crcs": True})
        client.assign([TopicPartition(topic, 0, 0)])
        messages = take(client, 2000)
        assert [m.offset() for m in messages] == list(range(2000))
        assert [m.value() for m in messages] == [f"v{n}".encode() for n in range(2000)]
        assert [m.key() for m in messages] == [f"k{n}".encode() for n in range(2000)]
        assert messages[7].headers() == [("n", b"7")]
        assert messages[7].timestamp()[1] == 1_000_007
        client.close()


def check_seek_and_watermarks(stack):
    topic = unique("confluent-seek")
    produce(stack, topic, 500, **{"compression.type": "lz4"})
    client = consumer(stack)
    client.assign([TopicPartition(topic, 0, 0)])
    take(client, 10)
    client.seek(TopicPartition(topic, 0, 333))
    assert [m.offset() for m in take(client, 5)] == [333, 334, 335, 336, 337]
    assert client.get_watermark_offsets(TopicPartition(topic, 0), timeout=GIVE_UP_S) == (0, 500)
    client.close()


def check_offsets_for_times(stack):
    topic = unique("confluent-times")
    produce(stack, topic, 500)
    client = consumer(stack)
    asked = [TopicPartition(topic, 0, time) for time in (0, 1_000_250, 1_000_499)]
    found = [client.offsets_for_times([one], timeout=GIVE_UP_S)[0].offset for one in asked]
    assert found == [0, 250, 499], found
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
