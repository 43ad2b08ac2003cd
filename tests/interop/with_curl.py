"""curl: streams, records, and a live feed that resumes where it was left."""

import json
import subprocess

from stack import GIVE_UP_S, run, unique
from with_mosquitto import publish


def curl(stack, path, *more):
    return json.loads(run("curl", "-sS", "--fail-with-body", stack.http + path, *more))


def live(stack, topic, count, *more):
    """The first `count` events of a live feed, and the last id."""
    child = subprocess.Popen(
        ["curl", "-sSN", f"{stack.http}/api/v1/streams/events/live?filter={topic}&from=earliest", *more],
        stdout=subprocess.PIPE, text=True)
    records, last = [], None
    try:
        while len(records) < count:
            line = child.stdout.readline()
            assert line, "the feed ended"
            if line.startswith("id:"):
                last = line[3:].strip()
            if line.startswith("data:"):
                records.append(json.loads(line[5:]))
    finally:
        child.kill()
    return records, last


def check_health_streams_and_metrics(stack):
    assert run("curl", "-sS", stack.http + "/healthz") == b"ok"
    assert curl(stack, "/readyz") == {"ready": True}
    names = [stream["name"] for stream in curl(stack, "/api/v1/streams")["streams"]]
    assert "events" in names and "rejected" in names and not any(name.startswith("__") for name in names), names
    stream = curl(stack, "/api/v1/streams/events")
    assert len(stream["partition"]) == stream["partitions"] == 8
    metrics = run("curl", "-sS", stack.http + "/metrics").decode()
    assert 'headwater_records_in_total{door="mqtt"}' in metrics, metrics


def check_records(stack):
    topic = unique("curl")
    publish(stack.broker.port("mqtt"), topic, [f"m{n}" for n in range(50)], "-i", topic)
    found = []
    for partition in range(8):
        answer = curl(stack, f"/api/v1/streams/events/records?partition={partition}&offset=earliest&limit=10000")
        found += [r["value"] for r in answer["records"] if r["key"] == topic]
    assert found == [f"m{n}" for n in range(50)], found


def check_live_resumes_with_last_event_id(stack):
    topic = unique("curl-live")
    publish(stack.broker.port("mqtt"), topic, [f"m{n}" for n in range(100)], "-i", topic)
    first, last = live(stack, topic, 60)
    rest, _ = live(stack, topic, 40, "-H", f"Last-Event-ID: {last}")
    assert [r["value"] for r in first + rest] == [f"m{n}" for n in range(100)]


def check_a_missing_stream_is_a_clear_error(stack):
    done = subprocess.run(["curl", "-sS", "-w", "%{http_code}", stack.http + "/api/v1/streams/none"],
                          capture_output=True, text=True, timeout=GIVE_UP_S)
    assert done.stdout.endswith("404"), done.stdout
    assert json.loads(done.stdout[:-3])["error"]["code"] == "no-such-stream"
