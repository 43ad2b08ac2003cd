"""kafka-python: produce, assign, seek, consume, list."""

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, MessageSizeTooLargeError

from stack import GIVE_UP_S, unique
from with_kcat import CODECS


def producer(stack, **more):
    return KafkaProducer(bootstrap_servers=stack.kafka, **more)


def consumer(stack, partition):
    client = KafkaConsumer(bootstrap_servers=stack.kafka, group_id=None, enable_auto_commit=False,
                           consumer_timeout_ms=GIVE_UP_S * 1000)
    client.assign([partition])
    return client


def take(client, count):
    return [next(client) for _ in range(count)]


def value(n):
    return f"value {n} ".encode() + b"x" * 100


def check_every_codec(stack):
    for codec in CODECS:
        topic = unique("python-" + codec)
        client = producer(stack, compression_type=None if codec == "none" else codec, linger_ms=20)
        sent = [client.send(topic, value(n), f"k{n}".encode(), [("n", str(n).encode())], 0, 1_000_000 + n)
                for n in range(500)]
        assert [future.get(GIVE_UP_S).offset for future in sent] == list(range(500))
        client.close()
        partition = TopicPartition(topic, 0)
        client = consumer(stack, partition)
        client.seek_to_beginning(partition)
        records = take(client, 500)
        assert [(r.offset, r.key, r.value, r.headers, r.timestamp) for r in records] == [
            (n, f"k{n}".encode(), value(n), [("n", str(n).encode())], 1_000_000 + n) for n in range(500)]
        client.seek(partition, 123)
        assert [r.value for r in take(client, 3)] == [value(n) for n in (123, 124, 125)]
        assert client.beginning_offsets([partition]) == {partition: 0}
        assert client.end_offsets([partition]) == {partition: 500}
        client.close()
        stored, raw = stack.stream(topic)["bytes"], sum(len(value(n)) for n in range(500))
        assert stored > raw if codec == "none" else stored < raw / 2, (codec, stored, raw)


def check_each_kind_of_acknowledgement(stack):
    for acks in (0, 1, "all"):
        topic = unique(f"python-acks-{acks}")
        client = producer(stack, acks=acks, enable_idempotence=False)
        for n in range(100):
            client.send(topic, value(n), partition=0)
        client.flush(GIVE_UP_S)
        client.close()
        client = consumer(stack, TopicPartition(topic, 0))
        client.seek(TopicPartition(topic, 0), 0)
        assert [r.value for r in take(client, 100)] == [value(n) for n in range(100)]
        client.close()


def check_a_subscription_without_a_group(stack):
    topic = unique("python-subscribe")
    client = producer(stack)
    for n in range(40):
        client.send(topic, value(n), partition=n % 4)
    client.flush(GIVE_UP_S)
    client.close()
    client = KafkaConsumer(topic, bootstrap_servers=stack.kafka, group_id=None, auto_offset_reset="earliest",
                           consumer_timeout_ms=GIVE_UP_S * 1000)
    found = sorted((r.partition, r.offset, r.value) for r in take(client, 40))
    assert found == sorted((n % 4, n // 4, value(n)) for n in range(40))
    client.close()


def check_offsets_for_times(stack):
    topic = unique("python-times")
    client = producer(stack)
    for n in range(100):
        client.send(topic, value=str(n).encode(), partition=0, timestamp_ms=5_000 + n)
    client.flush(GIVE_UP_S)
    client.close()
    partition = TopicPartition(topic, 0)
    client = consumer(stack, partition)
    found = client.offsets_for_times({partition: 5_042})[partition]
    assert (found.offset, found.timestamp) == (42, 5_042), found
    client.close()


def check_lists_and_descriptions(stack):
    admin = KafkaAdminClient(bootstrap_servers=stack.kafka)
    names = admin.list_topics()
    assert {"events", "rejected"} <= set(names) and not any(name.startswith("__") for name in names), names
    (events,) = admin.describe_topics(["events"])
    assert [p["partition_index"] for p in events["partitions"]] == list(range(8)), events
    assert {p["leader_id"] for p in events["partitions"]} == {0}
    brokers = admin.describe_cluster()["brokers"]
    assert [f"{broker['host']}:{broker['port']}" for broker in brokers] == [stack.kafka]
    admin.close()


def check_what_is_too_large_is_refused(stack):
    topic = unique("python-large")
    # With idempotence this client takes any refusal for the end of the whole producer.
    client = producer(stack, max_request_size=5_000_000, acks="all", enable_idempotence=False)
    try:
        client.send(topic, b"x" * 2_000_000, partition=0).get(GIVE_UP_S)
        raise AssertionError("it was taken")
    except MessageSizeTooLargeError as error:
        assert "1048588" in str(error), error
    assert client.send(topic, b"x" * 1_000_000, partition=0).get(GIVE_UP_S).offset == 0
    client.close()


def check_no_topic_is_made_where_that_is_forbidden(stack):
    broker = stack.start_broker("closed-too", "[kafka]\nauto_create = false\n", "kafka")
    try:
        client = KafkaProducer(bootstrap_servers=broker.listeners["kafka"], max_block_ms=500)
        try:
            client.send("absent", b"x").get(GIVE_UP_S)
            raise AssertionError("it was taken")
        except KafkaError:
            pass
        client.close(timeout=1)
        admin = KafkaAdminClient(bootstrap_servers=broker.listeners["kafka"])
        assert "absent" not in admin.list_topics()
        admin.close()
    finally:
        assert broker.stop() == 0
