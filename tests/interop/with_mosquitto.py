"""mosquitto_pub and mosquitto_sub, to the broker and to the agent, MQTT 3.1.1 and 5."""

import subprocess
import time

from stack import GIVE_UP_S, eventually, run, unique

SUBSCRIBE_GRACE_S = 0.05


def publish(port, topic, lines, *more):
    run("mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-t", topic, "-q", "1", "-l", *more,
        stdin="".join(line + "\n" for line in lines).encode())


class Subscriber:
    """mosquitto_sub that ends after `count` messages."""

    def __init__(self, port, topic, count, *more):
        self.child = subprocess.Popen(
            ["mosquitto_sub", "-h", "127.0.0.1", "-p", port, "-t", topic, "-C", str(count), "-d", *more],
            stdout=subprocess.PIPE, text=True)
        self.lines = []
        while not any("SUBACK" in line for line in self.lines):
            line = self.child.stdout.readline()
            assert line, "mosquitto_sub ended before it had subscribed"
            self.lines.append(line)

    def messages(self):
        out, _ = self.child.communicate(timeout=GIVE_UP_S)
        return [line for line in out.splitlines() if not line.startswith(("Client ", "Subscribed"))]


def check_publish_and_subscribe_on_the_broker(stack):
    for version in ("mqttv311", "mqttv5"):
        topic = unique("plant") + "/line/1"
        port = stack.broker.port("mqtt")
        lines = [f"reading {n} of {version}" for n in range(200)]
        subscriber = Subscriber(port, topic.split("/")[0] + "/+/#", len(lines), "-q", "1", "-V", version)
        publish(port, topic, lines, "-V", version)
        assert subscriber.messages() == lines


def check_publish_and_subscribe_on_the_agent(stack):
    for version in ("mqttv311", "mqttv5"):
        topic = unique("local") + "/press"
        port = stack.agent.port("mqtt")
        lines = [f"reading {n} of {version}" for n in range(200)]
        subscriber = Subscriber(port, topic, len(lines), "-q", "1", "-V", version)
        publish(port, topic, lines, "-V", version)
        assert subscriber.messages() == lines


def check_what_the_agent_takes_reaches_a_subscriber_of_the_broker(stack):
    topic = unique("edge") + "/temperature"
    lines = [f'{{"value":{n}}}' for n in range(500)]
    subscriber = Subscriber(stack.broker.port("mqtt"), topic, len(lines), "-q", "1", "-V", "mqttv5")
    publish(stack.agent.port("mqtt"), topic, lines)
    assert subscriber.messages() == lines


def check_properties_come_back(stack):
    topic = unique("props")
    port = stack.broker.port("mqtt")
    subscriber = Subscriber(port, topic, 1, "-V", "mqttv5", "-q", "1", "-F", "%t|%p|%C|%R|%P")
    run("mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-V", "mqttv5", "-t", topic, "-q", "1", "-m", "hello",
        "-D", "publish", "content-type", "text/plain", "-D", "publish", "response-topic", "answers/here",
        "-D", "publish", "user-property", "site", "north")
    assert subscriber.messages() == [f"{topic}|hello|text/plain|answers/here|site:north"]


def check_a_will_is_published_when_its_owner_dies(stack):
    topic = unique("wills")
    port = stack.broker.port("mqtt")
    subscriber = Subscriber(port, topic, 1, "-q", "1")
    owner = subprocess.Popen(
        ["mosquitto_sub", "-h", "127.0.0.1", "-p", port, "-t", topic + "/none", "-d",
         "--will-topic", topic, "--will-payload", "gone", "--will-qos", "1"], stdout=subprocess.PIPE, text=True)
    while "SUBACK" not in owner.stdout.readline():
        pass
    owner.kill()
    assert subscriber.messages() == ["gone"]


def check_qos_2_and_retain(stack):
    port = stack.broker.port("mqtt")
    topic = unique("qos2")
    refused = subprocess.run(
        ["mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-V", "mqttv311", "-t", topic, "-q", "2", "-m", "x"],
        capture_output=True, timeout=GIVE_UP_S)
    assert refused.returncode != 0 or b"rror" in refused.stderr, "QoS 2 over 3.1.1 is to close the connection"
    topic = unique("retain")
    run("mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-V", "mqttv311", "-t", topic, "-q", "1", "-m", "kept", "-r")

    def stored():
        out = run("kcat", "-b", stack.kafka, "-C", "-t", "events", "-e", "-q", "-f", "%k|%s|%h\n").decode(errors="replace")
        return [line for line in out.splitlines() if line.startswith(topic + "|kept|")]

    eventually(stored, "the retained message in the log")
    time.sleep(SUBSCRIBE_GRACE_S)
