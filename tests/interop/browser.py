"""Opens the broker's page in headless Chromium and watches it live.

Passes when the event counter rises to what was published, the chart shows a line of at least two
points, the tables show the same data, and no request went to another host. Speaks the DevTools
protocol over Chromium's own pipe, so that nothing else is needed.

Usage: browser.py FOLDER-WITH-THE-PROGRAMS [SCREENSHOT.png]
"""

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

from stack import GIVE_UP_S, Stack, eventually, run

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--remote-debugging-pipe", "--window-size=1280,900"]


class Browser:
    """One page of a Chromium of its own."""

    def __init__(self):
        to_browser, self.commands = os.pipe()
        self.answers, from_browser = os.pipe()
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)

        def place_pipes():
            # Duplicated out of the way first: either end may itself be 3 or 4.
            reading, writing = os.dup(to_browser), os.dup(from_browser)
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        self.child = subprocess.Popen(
            ["chromium", *FLAGS, f"--user-data-dir={self.profile.name}"],
            preexec_fn=place_pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.replies, self.requests, self.complaints, self.next_id, self.session = {}, [], [], 0, None
        threading.Thread(target=self._read, daemon=True).start()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Page", "Runtime", "Log"):
            self.call(domain + ".enable")

    def _read(self):
        with os.fdopen(self.answers, "rb") as pipe:
            buffer = b""
            while chunk := os.read(pipe.fileno(), 65536):
                *messages, buffer = (buffer + chunk).split(b"\0")
                for message in map(json.loads, messages):
                    if "id" in message:
                        self.replies[message["id"]] = message
                    elif message.get("method") == "Network.requestWillBeSent":
                        self.requests.append(message["params"]["request"]["url"])
                    elif message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                        self.complaints.append(message["params"])

    def call(self, method, **parameters):
        self.next_id += 1
        number = self.next_id
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + GIVE_UP_S
        while number not in self.replies:
            assert time.monotonic() < deadline, f"{method}: Chromium does not answer"
            time.sleep(0.005)
        reply = self.replies.pop(number)
        assert "error" not in reply, reply
        return reply["result"]

    def value(self, expression):
        return self.call("Runtime.evaluate", expression=expression)["result"].get("value")

    def close(self):
        self.child.kill()
        self.child.wait()


class Feeder(threading.Thread):
    """Publishes readings to the agent until it is told to stop, and counts them."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.port, self.sent, self.last = stack.agent.port("mqtt"), 0, None
        self._stop_asked = threading.Event()

    def run(self):
        while not self._stop_asked.is_set():
            values = [20 + number % 7 for number in range(self.sent, self.sent + 5)]
            lines = [f'{{"value":{value},"unit":"C"}}' for value in values]
            run("mosquitto_pub", "-h", "127.0.0.1", "-p", self.port, "-t", "plant/oven", "-q", "1", "-l",
                stdin="".join(line + "\n" for line in lines).encode())
            self.sent, self.last = self.sent + len(lines), lines[-1]
            self._stop_asked.wait(0.2)

    def stop(self):
        self._stop_asked.set()
        self.join()


COUNTER = "Number(document.getElementById('events').textContent.replace(/[^0-9]/g, ''))"
POINTS = "Number(document.getElementById('chart').dataset.points)"
NEWEST = "document.querySelector('#latest tbody tr td:nth-child(3)').textContent"
TOPIC = "document.querySelector('#latest tbody tr td:nth-child(2)').textContent"
DEVICE = "document.querySelector('#devices tbody tr td').textContent"
RECORDS = "Number(document.getElementById('records').textContent.replace(/[^0-9]/g, ''))"
# Pixels of the chart in the first series' colour.
LINE = """(() => {
  const canvas = document.querySelector('#chart canvas');
  const bytes = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let found = 0;
  for (let at = 0; at < bytes.length; at += 4) {
    if (bytes[at] === 0x0a && bytes[at + 1] === 0x84 && bytes[at + 2] === 0xc1) found += 1;
  }
  return found;
})()"""


def watch(stack, feeder, browser, screenshot):
    browser.call("Page.navigate", url=stack.http + "/")
    first = eventually(lambda: browser.value(COUNTER), "the event counter")
    eventually(lambda: (browser.value(COUNTER) or 0) > first, "the event counter to rise")
    eventually(lambda: (browser.value(POINTS) or 0) >= 2, "two points in the chart")
    eventually(lambda: (browser.value(LINE) or 0) > 100, "a line in the chart")
    feeder.stop()
    eventually(lambda: browser.value(COUNTER) == feeder.sent, f"all {feeder.sent} events on the page")
    eventually(lambda: browser.value(NEWEST) == feeder.last, "the newest event in the table")
    assert browser.value(TOPIC) == "plant/oven"
    eventually(lambda: browser.value(RECORDS) == feeder.sent, "the number of records in the stream")
    assert browser.value(DEVICE) == "gw-1"
    if screenshot:
        with open(screenshot, "wb") as file:
            file.write(base64.b64decode(browser.call("Page.captureScreenshot")["data"]))
    hosts = {urllib.parse.urlsplit(url).netloc for url in browser.requests if not url.startswith("data:")}
    hosts.discard("")
    assert hosts == {stack.http.removeprefix("http://")}, hosts
    assert not browser.complaints, browser.complaints
    print(f"counter rose from {first} to {feeder.sent}, {len(browser.requests)} requests, all to the broker")


def main(programs, screenshot=None):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    with Stack(programs) as stack:
        feeder = Feeder(stack)
        feeder.start()
        browser = Browser()
        try:
            watch(stack, feeder, browser, screenshot)
        finally:
            browser.close()
            feeder.stop()
        stack.stop()
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main(*sys.argv[1:])
