"""A group of ten members, of librdkafka, kafka-python and Java, that are killed and started again thirty times."""

import itertools
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

import java
from stack import eventually, unique

SEED, PARTITIONS, ROUNDS, KILLS_A_ROUND = 20261124, 64, 10, 3
KINDS = ["librdkafka", "python"] * 4 + ["python", "java"]
MEMBER = pathlib.Path(__file__).parent / "member.py"


class Members:
    """Ten processes, and the notes of all that ever lived."""

    def __init__(self, stack, group, topic):
        self.words = [stack.kafka, group, topic]
        self.folder = stack.folder / group
        self.folder.mkdir()
        self.numbers = itertools.count()
        self.java = java.member(stack.programs)
        self.children = [self.start(kind) for kind in KINDS]

    def start(self, kind):
        notes = self.folder / f"{next(self.numbers)}-{kind}"
        if kind == "java" and self.java:
            command = [*self.java, *self.words, notes, *java.limits()]
        else:
            command = [sys.executable, MEMBER, kind.replace("java", "librdkafka"), *self.words, notes]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self, place):
        self.children[place].send_signal(signal.SIGKILL)
        self.children[place].wait()

    def restart(self, place):
        self.children[place] = self.start(KINDS[place])

    def end(self):
        for child in self.children:
            child.kill()
            child.wait()

    def notes(self):
        """For each process that lived, its lines: time, kind and numbers."""
        for file in sorted(self.folder.iterdir()):
            lines = (line.split() for line in file.read_text().splitlines())
            yield [(int(words[0]), words[1], words[2:]) for words in lines if words[1] != "X"]


class Source(threading.Thread):
    """Produces until it is told to stop; knows how many records each partition has."""

    def __init__(self, stack, topic):
        super().__init__(daemon=True)
        self.topic, self.stopped, self.failed = topic, threading.Event(), []
        self.client = Producer({"bootstrap.servers": stack.kafka, "linger.ms": 20})

    def run(self):
        for n in itertools.count():
            if self.stopped.is_set():
                break
            self.client.produce(self.topic, f"value {n}".encode(), partition=n % PARTITIONS, on_delivery=self.delivered)
            if n % 100 == 0:
                self.client.poll(0)
                time.sleep(0.1)
        self.client.flush(30)

    def delivered(self, error, _):
        if error is not None:
            self.failed.append(error)


def check_a_group_whose_members_are_killed_loses_nothing(stack):
    topic, group, chance = unique("storm"), unique("storm"), random.Random(SEED)
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    admin.create_topics([NewTopic(topic, PARTITIONS)])[topic].result()
    members, source = Members(stack, group, topic), Source(stack, topic)
    try:
        source.start()
        settled(stack, group)
        for _ in range(ROUNDS):
            for place in chance.sample(range(len(KINDS)), KILLS_A_ROUND):
                members.kill(place)
                time.sleep(chance.uniform(0, 0.7))
                members.restart(place)
            settled(stack, group)
        source.stopped.set()
        source.join()
        assert not source.failed, source.failed[:3]
        eventually(lambda: stack.group(group)["lag"] == 0, "the last record to be read")
    finally:
        source.stopped.set()
        members.end()
    notes = list(members.notes())
    assert len(notes) == len(KINDS) + ROUNDS * KILLS_A_ROUND
    assert_nothing_is_lost(stack, topic, notes)
    assert_nothing_comes_again_below_a_commit(notes)


check_a_group_whose_members_are_killed_loses_nothing.give_up_s = 240


def settled(stack, group):
    """Waits until the ten that live, and nobody else, are members and have their parts."""
    eventually(lambda: (found := stack.group(group)) and (found["state"], found["members"]) == ("stable", len(KINDS)),
               "a rebalance to end")


def assert_nothing_is_lost(stack, topic, notes):
    received = [set() for _ in range(PARTITIONS)]
    for _, kind, numbers in itertools.chain(*notes):
        if kind == "R":
            received[int(numbers[0])].update(map(int, numbers[1:]))
    ends = [part["end"] for part in stack.stream(topic)["partition"]]
    assert all(ends) and [len(some) for some in received] == ends, "records that nobody received"
    assert [max(some) + 1 for some in received] == ends


def assert_nothing_comes_again_below_a_commit(notes):
    commits = sorted((at, int(numbers[0]), int(numbers[1])) for at, kind, numbers in itertools.chain(*notes) if kind == "C")
    for life in notes:
        floor = {}
        for at, kind, numbers in life:
            if kind == "A":
                floor = {int(partition): 0 for partition in numbers}
                for _, partition, offset in itertools.takewhile(lambda commit: commit[0] < at, commits):
                    if partition in floor:
                        floor[partition] = max(floor[partition], offset)
            elif kind == "R":
                first = int(numbers[1])
                assert first >= floor[int(numbers[0])], f"partition {numbers[0]} from {first}, committed: {floor}"
