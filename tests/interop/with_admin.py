"""Admin clients (librdkafka's and kafka-python's): topics made, described, deleted and made again."""

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource as PyResource, ConfigResourceType, NewTopic as PyTopic
from kafka.errors import InvalidPartitionsError, TopicAlreadyExistsError, UnknownTopicOrPartitionError

from stack import GIVE_UP_S, eventually, unique


def admin(stack):
    return AdminClient({"bootstrap.servers": stack.kafka})


def outcome(future):
    """What became of one resource: None, or the error's code."""
    try:
        future.result(GIVE_UP_S)
        return None
    except KafkaException as exception:
        return exception.args[0].code()


def create(client, *topics, **more):
    return [outcome(future) for future in client.create_topics(list(topics), **more).values()]


def delete(client, *names):
    return [outcome(future) for future in client.delete_topics(list(names)).values()]


def describe(client, kind, name):
    [future] = client.describe_configs([ConfigResource(kind, name)]).values()
    return {key: entry.value for key, entry in future.result(GIVE_UP_S).items()}


def check_topics_are_made_and_deleted(stack):
    client, name = admin(stack), unique("admin")
    assert create(client, NewTopic(name, 3, replication_factor=3)) == [None]
    assert create(client, NewTopic(name, 3)) == [KafkaError.TOPIC_ALREADY_EXISTS]
    topic = client.list_topics(name, timeout=GIVE_UP_S).topics[name]
    assert (topic.error, len(topic.partitions)) == (None, 3)
    assert name in client.list_topics(timeout=GIVE_UP_S).topics
    assert delete(client, name) == [None]
    assert delete(client, name) == [KafkaError.UNKNOWN_TOPIC_OR_PART]
    eventually(lambda: name not in client.list_topics(timeout=GIVE_UP_S).topics, "the topic to go")


def check_what_cannot_be_made(stack):
    client = admin(stack)
    for topic, code in [(NewTopic("a b", 1), KafkaError.TOPIC_EXCEPTION),
                        (NewTopic(unique("zero"), 0), KafkaError.INVALID_PARTITIONS),
                        (NewTopic(unique("key"), 1, config={"no.such": "1"}), KafkaError.INVALID_CONFIG),
                        (NewTopic(unique("value"), 1, config={"retention.ms": "x"}), KafkaError.INVALID_CONFIG)]:
        assert create(client, topic) == [code], (topic, code)
    name = unique("validated")
    assert create(client, NewTopic(name, 2), validate_only=True) == [None]
    assert name not in client.list_topics(timeout=GIVE_UP_S).topics
    assert delete(client, "__lanes") == [KafkaError.TOPIC_EXCEPTION]


def check_configurations(stack):
    client, name = admin(stack), unique("configured")
    config = {"cleanup.policy": "compact", "retention.ms": "-1", "segment.bytes": "52428800"}
    assert create(client, NewTopic(name, 1, config=config)) == [None]
    found = describe(client, ConfigResource.Type.TOPIC, name)
    assert (found["cleanup.policy"], found["retention.ms"]) == ("compact", "-1"), found
    found = describe(client, ConfigResource.Type.TOPIC, "events")
    assert (found["cleanup.policy"], found["retention.ms"]) == ("delete", "604800000"), found
    broker = describe(client, ConfigResource.Type.BROKER, "0")
    assert broker["delete.topic.enable"] == "true", broker
    [missing] = client.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, unique("none"))]).values()
    assert outcome(missing) == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert delete(client, name) == [None]


def check_the_cluster(stack):
    client = admin(stack)
    cluster = client.describe_cluster(request_timeout=GIVE_UP_S).result(GIVE_UP_S)
    assert cluster.controller.id == 0 and len(cluster.nodes) == 1, cluster
    assert f"{cluster.nodes[0].host}:{cluster.nodes[0].port}" == stack.kafka
    assert len(cluster.cluster_id) == 22


def check_a_topic_made_again_begins_at_0(stack):
    client, name = admin(stack), unique("again")
    for life in range(3):
        assert create(client, NewTopic(name, 1)) == [None]
        offsets = []
        producer = Producer({"bootstrap.servers": stack.kafka, "enable.idempotence": True})
        for n in range(10):
            producer.produce(name, f"{life} {n}", on_delivery=lambda error, message: offsets.append(
                (error, message.offset())))
        assert producer.flush(GIVE_UP_S) == 0
        assert offsets == [(None, n) for n in range(10)], offsets
        consumer = Consumer({"bootstrap.servers": stack.kafka, "group.id": "unused", "enable.auto.commit": False})
        consumer.assign([TopicPartition(name, 0, 0)])
        values = [message.value().decode() for message in consumer.consume(10, timeout=GIVE_UP_S)]
        assert values == [f"{life} {n}" for n in range(10)], values
        assert delete(client, name) == [None]
        consumer.close()


def check_kafka_python(stack):
    client, name = KafkaAdminClient(bootstrap_servers=stack.kafka), unique("python-admin")
    topic = PyTopic(name, 2, 1, topic_configs={"cleanup.policy": "compact,delete"})
    client.create_topics([topic])
    assert name in client.list_topics()
    for wrong, error in [(topic, TopicAlreadyExistsError), (PyTopic(unique("zero"), 0, 1), InvalidPartitionsError)]:
        try:
            client.create_topics([wrong])
            raise AssertionError(f"{wrong} was made")
        except error:
            pass
    [described] = client.describe_topics([name])
    assert len(described["partitions"]) == 2, described
    configs = client.describe_configs([PyResource(ConfigResourceType.TOPIC, name)])
    assert "compact,delete" in str(configs), configs
    assert client.describe_cluster()["controller_id"] == 0
    client.delete_topics([name])
    try:
        client.delete_topics([name])
        raise AssertionError("it was deleted twice")
    except UnknownTopicOrPartitionError:
        pass
    client.close()
