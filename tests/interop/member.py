"""One member of a group as a process of its own, to be killed at any moment: writes down what it is told, with the time.

Usage: member.py librdkafka|python ADDRESS GROUP TOPIC FILE
Lines: NANOSECONDS then `A PARTITION…` (assigned), `R PARTITION OFFSET…` (received), `C PARTITION OFFSET` (commit acknowledged), `X REASON`.
"""

import os
import sys
import time

SESSION_MS, HEARTBEAT_MS, POLL_MS_MAX = 6_000, 500, 20_000


class Notes:
    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def add(self, *words):
        line = " ".join(str(word) for word in (time.monotonic_ns(), *words))
        os.write(self.file, (line + "\n").encode())

    def received(self, offsets):
        for partition, all_of_it in offsets.items():
            self.add("R", partition, *all_of_it)


def librdkafka(address, group, topic, notes):
    from confluent_kafka import Consumer, KafkaException

    client = Consumer({"bootstrap.servers": address, "group.id": group, "auto.offset.reset": "earliest",
                       "enable.auto.commit": False, "partition.assignment.strategy": "range",
                       "session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": HEARTBEAT_MS,
                       "max.poll.interval.ms": POLL_MS_MAX})
    client.subscribe([topic], on_assign=lambda _, new: notes.add("A", *(place.partition for place in new)))
    while True:
        offsets = {}
        for message in client.consume(500, 0.2):
            if message.error():
                notes.add("X", message.error())
            else:
                offsets.setdefault(message.partition(), []).append(message.offset())
        notes.received(offsets)
        if offsets:
            try:
                for place in client.commit(asynchronous=False):
                    if place.error is None and place.offset >= 0:
                        notes.add("C", place.partition, place.offset)
            except KafkaException as exception:
                notes.add("X", exception)


def python(address, group, topic, notes):
    from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata
    from kafka.coordinator.assignors.range import RangePartitionAssignor
    from kafka.errors import KafkaError

    class Listener(ConsumerRebalanceListener):
        def on_partitions_revoked(self, _):
            pass

        def on_partitions_assigned(self, new):
            notes.add("A", *(place.partition for place in new))

    client = KafkaConsumer(bootstrap_servers=address, group_id=group, auto_offset_reset="earliest",
                           enable_auto_commit=False, partition_assignment_strategy=[RangePartitionAssignor],
                           session_timeout_ms=SESSION_MS, heartbeat_interval_ms=HEARTBEAT_MS,
                           max_poll_interval_ms=POLL_MS_MAX)
    client.subscribe([topic], listener=Listener())
    while True:
        try:
            records = client.poll(200, max_records=500)
            offsets = {place.partition: [record.offset for record in some] for place, some in records.items()}
            notes.received(offsets)
            if records:
                client.commit({place: OffsetAndMetadata(some[-1].offset + 1, "", -1)
                               for place, some in records.items()})
                for place, some in records.items():
                    notes.add("C", place.partition, some[-1].offset + 1)
        except KafkaError as error:
            notes.add("X", repr(error))


if __name__ == "__main__":
    kind, address, group, topic, path = sys.argv[1:]
    {"librdkafka": librdkafka, "python": python}[kind](address, group, topic, Notes(path))
