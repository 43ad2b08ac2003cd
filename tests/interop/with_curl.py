"""curl: streams, records, and a live feed that resumes where it was left."""

import json
import subprocess

from stack import attempt, eventually, run, unique
from with_mosquitto import publish


def curl(stack, path, *more):
    return json.loads(run("curl", "-sS", "--fail-with-body", "-g", stack.http + path, *more))


class Live:
    """A live feed whose answer has begun."""

    def __init__(self, stack, query, *more):
        self.child = subprocess.Popen(
            ["curl", "-sSNi", f"{stack.http}/api/v1/streams/events/live?{query}", *more],
            stdout=subprocess.PIPE, text=True)
        status = self.child.stdout.readline()
        assert " 200 " in status, status

    def take(self, count):
        """The next `count` records, and the id of the last."""
        records, last = [], None
        try:
            while len(records) < count:
                line = self.child.stdout.readline()
                assert line, "the feed ended"
                if line.startswith("id:"):
                    last = line[3:].strip()
                if line.startswith("data:"):
                    records.append(json.loads(line[5:]))
        finally:
            self.child.kill()
        return records, last


def check_health_streams_and_metrics(stack):
    assert run("curl", "-sS", stack.http + "/healthz") == b"ok"
    assert curl(stack, "/readyz") == {"ready": True}
    names = [stream["name"] for stream in curl(stack, "/api/v1/streams")["streams"]]
    assert "events" in names and "rejected" in names and not any(name.startswith("__") for name in names), names
    stream = curl(stack, "/api/v1/streams/events")
    assert len(stream["partition"]) == stream["partitions"] == 8
    assert stream["records"] == sum(one["end"] - one["start"] for one in stream["partition"])
    metrics = run("curl", "-sS", stack.http + "/metrics").decode()
    assert 'headwater_records_in_total{door="mqtt"}' in metrics, metrics


def check_records_page_by_page(stack):
    topic = unique("curl")
    sent = [f"m{n} ü" for n in range(50)]
    publish(stack.broker.port("mqtt"), topic, sent, "-i", topic)
    found = []
    for partition in range(8):
        path, at = f"/api/v1/streams/events/records?partition={partition}&limit=1000", "earliest"
        while True:
            answer = curl(stack, f"{path}&offset={at}")
            if not answer["records"]:
                assert answer["next"] == answer["end"], answer
                break
            offsets = [record["offset"] for record in answer["records"]]
            assert offsets == list(range(offsets[0], answer["next"]))
            found += [record for record in answer["records"] if record["key"] == topic]
            at = answer["next"]
    assert [record["value"] for record in found] == sent, found
    assert {record["encoding"] for record in found} == {"utf8"}
    assert {tuple(record["headers"][0]) for record in found} == {("mqtt-client", topic, "utf8")}


def check_records_that_are_not_text(stack):
    topic = unique("curl-bytes")
    run("kcat", "-b", stack.kafka, "-P", "-t", topic, "-p", "0", stdin=b"\xff\x00\xfe")
    (record,) = curl(stack, f"/api/v1/streams/{topic}/records?partition=0&offset=0")["records"]
    assert (record["key"], record["value"], record["encoding"]) == (None, "/wD+", "base64"), record


def check_live_resumes_with_last_event_id(stack):
    topic = unique("curl-live")
    sent = [f"m{n}" for n in range(100)]
    publish(stack.broker.port("mqtt"), topic, sent, "-i", topic)
    query = f"filter={topic}&from=earliest"
    first, last = Live(stack, query).take(60)
    rest, _ = Live(stack, query, "-H", f"Last-Event-ID: {last}").take(40)
    assert [record["value"] for record in first + rest] == sent


def check_live_over_many_partitions_misses_and_repeats_nothing(stack):
    root = unique("curl-many")
    for n in range(12):
        publish(stack.broker.port("mqtt"), f"{root}/{n}", [f"m{k}" for k in range(20)], "-i", f"{root}-{n}")
    query = f"filter={root}/%23&from=earliest"
    records, last = [], None
    while len(records) < 240:
        more = ["-H", f"Last-Event-ID: {last}"] if last else []
        some, last = Live(stack, query, *more).take(min(55, 240 - len(records)))
        records += some
    assert len({record["partition"] for record in records}) > 1
    for n in range(12):
        values = [record["value"] for record in records if record["key"] == f"{root}/{n}"]
        assert values == [f"m{k}" for k in range(20)], values


def check_live_follows_what_comes(stack):
    topic = unique("curl-follow")
    publish(stack.broker.port("mqtt"), topic, ["before"])
    feed = Live(stack, f"filter={topic}")
    publish(stack.agent.port("mqtt"), topic, [f"m{n}" for n in range(50)])
    records, _ = feed.take(50)
    assert [record["value"] for record in records] == [f"m{n}" for n in range(50)]


def check_devices(stack):
    publish(stack.agent.port("mqtt"), unique("curl-device"), ["x"])

    def caught_up():
        (device,) = [one for one in curl(stack, "/api/v1/devices")["devices"] if one["device"] == "gw-1"]
        return device if device["backlog"]["events"] == 0 else None

    device = eventually(caught_up, "an agent without a backlog")
    assert (device["connected"], device["lost_events"], device["alarms"]) == (True, 0, []), device
    (lane,) = device["lanes"]
    assert (lane["stream"], lane["lane"], lane["generation"]) == ("events", "main", 0), device


def check_errors_are_clear(stack):
    records = "/api/v1/streams/events/records"
    cases = [
        ("/api/v1/streams/none", "404", "no-such-stream"),
        ("/api/v1/streams/none/live", "404", "no-such-stream"),
        (records + "?partition=8&offset=0", "404", None),
        (records + "?partition=0&offset=first", "400", None),
        (records + "?partition=0&offset=0&limit=1000000", "400", None),
        ("/api/v1/streams/events/live?filter=a/%23/b", "400", None),
        ("/api/v1/streams/events/live?from=tomorrow", "400", None),
    ]
    for path, status, code in cases:
        done = attempt("curl", "-sS", "-g", "-m", "5", "-w", "%{http_code}", stack.http + path)
        body, got = done.stdout[:-3], done.stdout[-3:].decode()
        assert got == status, (path, done)
        error = json.loads(body)["error"]
        assert error["message"] and error["code"] == (code or error["code"]), (path, error)
