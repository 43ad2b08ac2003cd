"""mosquitto_pub and mosquitto_sub, to the broker and to the agent, MQTT 3.1.1 and 5."""

import os
import subprocess

from stack import GIVE_UP_S, attempt, eventually, run, unique

VERSIONS = ("mqttv311", "mqttv5")


def client(program, port, topic, *more):
    return [program, "-h", "127.0.0.1", "-p", port, "-t", topic, *more]


def publish(port, topic, lines, *more):
    run(*client("mosquitto_pub", port, topic, "-q", "1", "-l", *more),
        stdin="".join(line + "\n" for line in lines).encode())


class Subscriber:
    """mosquitto_sub that has subscribed, and ends after `count` messages."""

    def __init__(self, port, topic, count, *more):
        # Without stdbuf it keeps its lines to itself until there are many.
        self.child = subprocess.Popen(
            ["stdbuf", "-oL", *client("mosquitto_sub", port, topic, "-C", str(count), "-d", *more)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = ""
        while "SUBACK" not in line:
            line = self.child.stdout.readline()
            assert line, "mosquitto_sub ended before it had subscribed"

    def messages(self):
        try:
            out, _ = self.child.communicate(timeout=GIVE_UP_S)
        finally:
            self.child.kill()
        return [line for line in out.splitlines() if not line.startswith(("Client ", "Subscribed"))]


def check_publish_and_subscribe_on_the_broker(stack):
    port = stack.broker.port("mqtt")
    for version in VERSIONS:
        topic = unique("plant") + "/line/1"
        lines = [f"reading {n} of {version}" for n in range(200)]
        subscriber = Subscriber(port, topic.split("/")[0] + "/+/#", len(lines), "-q", "1", "-V", version)
        publish(port, topic, lines, "-V", version)
        assert subscriber.messages() == lines


def check_publish_and_subscribe_on_the_agent(stack):
    port = stack.agent.port("mqtt")
    for version in VERSIONS:
        topic = unique("local") + "/press"
        lines = [f"reading {n} of {version}" for n in range(200)]
        subscriber = Subscriber(port, topic, len(lines), "-q", "1", "-V", version)
        publish(port, topic, lines, "-V", version)
        assert subscriber.messages() == lines


def check_what_the_agent_takes_reaches_a_subscriber_of_the_broker(stack):
    for version in VERSIONS:
        topic = unique("edge") + "/temperature"
        lines = [f'{{"value":{n}}}' for n in range(500)]
        subscriber = Subscriber(stack.broker.port("mqtt"), topic, len(lines), "-q", "1", "-V", version)
        publish(stack.agent.port("mqtt"), topic, lines, "-V", version)
        assert subscriber.messages() == lines


def check_qos_0_arrives_too(stack):
    for process in (stack.broker, stack.agent):
        port, topic = process.port("mqtt"), unique("qos0")
        lines = [f"reading {n}" for n in range(100)]
        subscriber = Subscriber(port, topic, len(lines))
        run(*client("mosquitto_pub", port, topic, "-l"), stdin="\n".join(lines).encode())
        assert subscriber.messages() == lines


def check_files_and_empty_payloads_arrive_byte_for_byte(stack):
    for process, size in ((stack.broker, 900_000), (stack.agent, 200_000)):
        port, topic = process.port("mqtt"), unique("files")
        content = os.urandom(size)
        subscriber = Subscriber(port, topic, 2, "-q", "1", "-F", "payload %x")
        run(*client("mosquitto_pub", port, topic, "-q", "1", "-s"), stdin=content)
        run(*client("mosquitto_pub", port, topic, "-q", "1", "-n"))
        assert subscriber.messages() == ["payload " + content.hex(), "payload "]


def check_properties_come_back(stack):
    topic = unique("props")
    subscriber = Subscriber(stack.broker.port("mqtt"), topic, 2, "-V", "mqttv5", "-q", "1", "-F", "%t|%p|%C|%R|%D|%P")
    for process in (stack.broker, stack.agent):
        run(*client("mosquitto_pub", process.port("mqtt"), topic, "-V", "mqttv5", "-q", "1", "-m", "hello",
                    "-D", "publish", "content-type", "text/plain", "-D", "publish", "response-topic", "answers/here",
                    "-D", "publish", "correlation-data", "c-1", "-D", "publish", "user-property", "site", "north"))
    direct, over_the_agent = subscriber.messages()
    assert direct == f"{topic}|hello|text/plain|answers/here|c-1|site:north"
    assert over_the_agent == direct + " hw-device:gw-1"


def check_a_will_is_published_when_its_owner_dies(stack):
    for process in (stack.broker, stack.agent):
        port, topic = process.port("mqtt"), unique("wills")
        subscriber = Subscriber(port, topic, 1, "-q", "1")
        owner = Subscriber(port, topic + "/none", 1, "--will-topic", topic, "--will-payload", "gone", "--will-qos", "1")
        owner.child.kill()
        assert subscriber.messages() == ["gone"]


def check_a_request_is_answered(stack):
    """mosquitto_rr, and a mosquitto_sub and mosquitto_pub that answer it."""
    for process in (stack.broker, stack.agent):
        port, topic = process.port("mqtt"), unique("request")
        responder = Subscriber(port, topic, 1, "-V", "mqttv5", "-q", "1", "-F", "%R %p")
        asking = subprocess.Popen(
            client("mosquitto_rr", port, topic, "-V", "mqttv5", "-e", topic + "/answer", "-m", "who"),
            stdout=subprocess.PIPE, text=True)
        (request,) = responder.messages()
        answers, question = request.split(" ")
        run(*client("mosquitto_pub", port, answers, "-q", "1", "-m", question + "? me"))
        assert asking.communicate(timeout=GIVE_UP_S)[0] == "who? me\n"


def check_qos_2_is_refused(stack):
    for process in (stack.broker, stack.agent):
        port, topic = process.port("mqtt"), unique("refused")
        subscriber = Subscriber(port, topic, 1, "-q", "2")
        for version in VERSIONS:
            done = attempt(*client("mosquitto_pub", port, topic, "-q", "2", "-m", "not this", "-V", version))
            assert done.returncode != 0 or done.stderr, f"QoS 2 over {version} is to be an error"
        publish(port, topic, ["this"])
        assert subscriber.messages() == ["this"]


def check_nothing_is_retained(stack):
    """A client of version 5 learns it beforehand and leaves the flag out; for 3.1.1 it is stored as a flag."""
    for process in (stack.broker, stack.agent):
        port = process.port("mqtt")
        for version in VERSIONS:
            topic = unique("retained")
            early = Subscriber(port, topic, 1, "-q", "1")
            run(*client("mosquitto_pub", port, topic, "-q", "1", "-r", "-m", "first", "-V", version))
            assert early.messages() == ["first"]
            late = Subscriber(port, topic, 1, "-q", "1")
            publish(port, topic, ["second"])
            assert late.messages() == ["second"]


def check_a_retain_flag_of_3_1_1_is_a_flag_in_the_log(stack):
    topic = unique("retain")
    run(*client("mosquitto_pub", stack.broker.port("mqtt"), topic, "-V", "mqttv311", "-q", "1", "-m", "kept", "-r"))

    def stored():
        out = run("kcat", "-b", stack.kafka, "-C", "-t", "events", "-e", "-q", "-f", "%k|%s|%h\n")
        return [line for line in out.split(b"\n") if line.startswith(f"{topic}|kept|".encode())]

    (line,) = eventually(stored, "the message in the log")
    assert b"mqtt-flags=\x05" in line, line


def check_dollar_topics_stay_out_of_wildcards(stack):
    """`#` does not stand for `$SYS/…`, which can be subscribed to and is empty here."""
    port, topic = stack.broker.port("mqtt"), unique("dollar")
    everything = Subscriber(port, "#", 1, "-q", "1", "-T", "$SYS/#", "-F", "%t")
    system = Subscriber(port, "$SYS/#", 1, "-q", "1", "-W", "1")
    run(*client("mosquitto_pub", port, topic, "-q", "1", "-m", "x"))
    assert everything.messages() == [topic]
    assert system.messages() == []


def check_replay_from_the_earliest_record(stack):
    port, topic = stack.broker.port("mqtt"), unique("past") + "/t"
    lines = [f"reading {n}" for n in range(200)]
    publish(port, topic, lines)
    more = ("-q", "1", "-V", "mqttv5", "-D", "subscribe", "user-property", "from", "earliest")
    assert Subscriber(port, topic, len(lines), *more).messages() == lines
