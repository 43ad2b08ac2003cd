"""Consumer groups of confluent-kafka, kafka-python and kcat: join, rebalance, commit, static members, a broker that dies."""

import queue
import signal
import threading

import kafka
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from kafka.coordinator.assignors.range import RangePartitionAssignor

from stack import GIVE_UP_S, attempt, eventually, free_address, unique

PARTITIONS = 4


def filled(address, count=100):
    """A new topic of four partitions with so many records, spread evenly."""
    topic = unique("groups")
    client = Producer({"bootstrap.servers": address})
    client.list_topics(topic, GIVE_UP_S)
    for n in range(count):
        client.produce(topic, f"value {n}", partition=n % PARTITIONS)
    assert client.flush(GIVE_UP_S) == 0
    return topic


class Member(threading.Thread):
    """A confluent-kafka consumer that polls until it is closed, and tells what happened to it. No other thread may use it."""

    def __init__(self, address, group, topic, **more):
        super().__init__(daemon=True)
        self.client = Consumer({"bootstrap.servers": address, "group.id": group, "auto.offset.reset": "earliest",
                                "enable.auto.commit": False, "session.timeout.ms": 6000,
                                "heartbeat.interval.ms": 200, **more})
        self.values, self.events, self.parts, self.closing = [], [], set(), threading.Event()
        self.asked = queue.Queue()
        self.client.subscribe([topic], on_assign=self.noting("+"), on_revoke=self.noting("-"))
        self.start()

    def noting(self, sign):
        def note(_, places):
            numbers = sorted(place.partition for place in places)
            self.parts = self.parts.union(numbers) if sign == "+" else self.parts.difference(numbers)
            self.events.append((sign, numbers))
        return note

    def run(self):
        while not self.closing.is_set():
            while not self.asked.empty():
                work, answer = self.asked.get()
                answer.put(work(self.client))
            for message in self.client.consume(500, 0.1):
                assert message.error() is None, message.error()
                self.values.append(message.value().decode())

    def do(self, work):
        answer = queue.Queue()
        self.asked.put((work, answer))
        return answer.get(timeout=GIVE_UP_S)

    def commit(self, *places):
        return self.do(lambda client: client.commit(offsets=list(places), asynchronous=False))

    def committed(self, *places):
        return self.do(lambda client: client.committed(list(places), GIVE_UP_S))

    def has(self, count):
        """Waits until it has so many partitions, and gives them."""
        eventually(lambda: len(self.parts) == count, f"{count} partitions")
        return sorted(self.parts)

    def close(self):
        self.closing.set()
        self.join()
        self.client.close()


def together(*members):
    return sorted(sum((member.has(PARTITIONS // len(members)) for member in members), []))


def check_members_share_and_commit(stack):
    topic, group = filled(stack.kafka), unique("shared")
    first = Member(stack.kafka, group, topic)
    assert first.has(4) == [0, 1, 2, 3]
    eventually(lambda: len(first.values) == 100, "all records")
    first.commit(*(TopicPartition(topic, n, 20 + n, metadata=f"wörds {n}") for n in range(4)))
    second = Member(stack.kafka, group, topic)
    assert together(first, second) == [0, 1, 2, 3]
    found = second.committed(*(TopicPartition(topic, n) for n in range(4)))
    assert [(place.offset, place.metadata) for place in found] == [(20 + n, f"wörds {n}") for n in range(4)]
    eventually(lambda: len(first.values) + len(second.values) >= 114, "what was not committed, once more")
    first.close()
    assert second.has(4) == [0, 1, 2, 3]
    second.close()
    assert stack.group(group) == {"group": group, "state": "empty", "members": 0, "lag": 14}


def check_a_cooperative_rebalance_leaves_the_others_alone(stack):
    topic, group = filled(stack.kafka), unique("cooperative")
    more = {"partition.assignment.strategy": "cooperative-sticky"}
    first = Member(stack.kafka, group, topic, **more)
    first.has(4)
    second = Member(stack.kafka, group, topic, **more)
    assert together(first, second) == [0, 1, 2, 3]
    revoked = [partition for sign, partitions in first.events for partition in partitions if sign == "-"]
    assert len(revoked) == 2, first.events
    second.close()
    first.has(4)
    first.close()


def check_a_static_member_comes_back_unnoticed(stack):
    topic, group = filled(stack.kafka), unique("static")
    first = Member(stack.kafka, group, topic, **{"group.instance.id": "first"})
    first.has(4)
    second = Member(stack.kafka, group, topic, **{"group.instance.id": "second"})
    together(first, second)
    before = list(first.events), second.has(2)
    second.close()
    second = Member(stack.kafka, group, topic, **{"group.instance.id": "second"})
    assert (first.events, second.has(2)) == before
    assert stack.group(group)["members"] == 2
    first.close()
    second.close()


def python_member(stack, group, topic):
    client = kafka.KafkaConsumer(topic, bootstrap_servers=stack.kafka, group_id=group, auto_offset_reset="earliest",
                                 enable_auto_commit=False, session_timeout_ms=6000, heartbeat_interval_ms=200,
                                 partition_assignment_strategy=[RangePartitionAssignor])
    return client


def check_both_client_families_share_a_group(stack):
    topic, group = filled(stack.kafka), unique("mixed")
    first = Member(stack.kafka, group, topic, **{"partition.assignment.strategy": "range"})
    first.has(4)
    client, values = python_member(stack, group, topic), []

    def poll():
        values.extend(record.value for records in client.poll(100).values() for record in records)
        return len(client.assignment()) == 2 and len(values) == 50
    eventually(poll, "half of the records")
    place = sorted(client.assignment())[0]
    client.commit({place: kafka.OffsetAndMetadata(7, "wörds", -1)})
    assert first.committed(TopicPartition(topic, place.partition))[0].metadata == "wörds"
    client.close()
    first.has(4)
    first.close()
    client = python_member(stack, group, topic)
    assert client.committed(place) == 7
    client.close()


def check_groups_are_listed_described_and_deleted(stack):
    topic, group = filled(stack.kafka), unique("listed")
    member = Member(stack.kafka, group, topic, **{"client.id": "a client"})
    member.has(4)
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    listed = {found.group_id: found.state.name for found in admin.list_consumer_groups().result(GIVE_UP_S).valid}
    assert listed[group] == "STABLE", listed
    described = admin.describe_consumer_groups([group])[group].result(GIVE_UP_S)
    [only] = described.members
    assert (only.client_id, only.host) == ("a client", "/127.0.0.1")
    assert sorted(place.partition for place in only.assignment.topic_partitions) == [0, 1, 2, 3]
    assert admin.delete_consumer_groups([group])[group].exception(GIVE_UP_S).args[0].name() == "NON_EMPTY_GROUP"
    client = kafka.KafkaAdminClient(bootstrap_servers=stack.kafka)
    member.commit(TopicPartition(topic, 0, 5))
    offsets = str(client.list_group_offsets([group]))
    assert topic in offsets and "offset=5" in offsets, offsets
    member.close()
    client.close()
    assert admin.delete_consumer_groups([group])[group].result(GIVE_UP_S) is None
    assert stack.group(group) is None


def check_a_deleted_topic_takes_its_offsets_along(stack):
    topic, group = filled(stack.kafka), unique("gone")
    client = Consumer({"bootstrap.servers": stack.kafka, "group.id": group})
    client.commit(offsets=[TopicPartition(topic, 0, 5)], asynchronous=False)
    assert stack.group(group)["lag"] == 20
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    admin.delete_topics([topic])[topic].result(GIVE_UP_S)
    eventually(lambda: stack.group(group) is None, "the group, which had nothing else, to go")
    client.close()


def check_kcat_in_a_group(stack):
    topic, group = filled(stack.kafka), unique("kcat")
    done = attempt("kcat", "-b", stack.kafka, "-G", group, "-X", "auto.offset.reset=earliest", "-e", topic)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 100, done
    again = attempt("kcat", "-b", stack.kafka, "-G", group, "-X", "auto.offset.reset=earliest", "-e", topic)
    assert again.stdout == b"", "its offsets are remembered"


def check_members_outlive_a_broker_that_is_killed(stack):
    address = free_address()
    more = "[kafka]\ngroup_min_session = \"1s\"\n"
    broker = stack.start_broker("killed", more, "http", kafka=address)
    topic, group = filled(address), unique("killed")
    members = [Member(address, group, topic, **{"session.timeout.ms": 5000}) for _ in range(2)]
    try:
        assert together(*members) == [0, 1, 2, 3]
        before = [list(member.events) for member in members]
        for round_ in range(3):
            members[0].commit(TopicPartition(topic, 0, round_))
            broker.child.send_signal(signal.SIGKILL)
            broker.child.wait()
            broker = stack.start_broker("killed", more, "http", kafka=address)
            found = members[1].committed(TopicPartition(topic, 0))
            assert found[0].offset == round_, found
        members[1].commit(TopicPartition(topic, 1, 9))
        assert [member.events for member in members] == before, "nobody noticed"
        for member in members:
            member.close()
    finally:
        broker.child.kill()
        broker.child.wait()
