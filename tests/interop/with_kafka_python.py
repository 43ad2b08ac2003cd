"""kafka-python: produce, assign, seek, consume."""

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from stack import GIVE_UP_S, unique


def consumer(stack, partition):
    client = KafkaConsumer(bootstrap_servers=stack.kafka, group_id=None, enable_auto_commit=False,
                           consumer_timeout_ms=GIVE_UP_S * 1000)
    client.assign([partition])
    return client


def take(client, count):
    return [next(client) for _ in range(count)]


def check_every_codec(stack):
    for codec in (None, "gzip", "snappy", "lz4", "zstd"):
        topic = unique(f"python-{codec}")
        producer = KafkaProducer(bootstrap_servers=stack.kafka, compression_type=codec, linger_ms=5)
        sent = [producer.send(topic, value=f"v{n}".encode(), key=f"k{n}".encode(), partition=0) for n in range(500)]
        assert [future.get(GIVE_UP_S).offset for future in sent] == list(range(500))
        producer.close()
        partition = TopicPartition(topic, 0)
        client = consumer(stack, partition)
        client.seek_to_beginning(partition)
        records = take(client, 500)
        assert [r.value for r in records] == [f"v{n}".encode() for n in range(500)]
        client.seek(partition, 123)
        assert [r.offset for r in take(client, 3)] == [123, 124, 125]
        assert client.end_offsets([partition]) == {partition: 500}
        client.close()


def check_offsets_for_times(stack):
    topic = unique("python-times")
    producer = KafkaProducer(bootstrap_servers=stack.kafka)
    for n in range(100):
        producer.send(topic, value=str(n).encode(), partition=0, timestamp_ms=5_000 + n)
    producer.flush(GIVE_UP_S)
    producer.close()
    partition = TopicPartition(topic, 0)
    client = consumer(stack, partition)
    found = client.offsets_for_times({partition: 5_042})[partition]
    assert (found.offset, found.timestamp) == (42, 5_042), found
    client.close()
