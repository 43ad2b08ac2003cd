"""Opens the broker's page in headless Chromium and watches it live.

Passes when the event counter rises, the chart holds at least two points, and no request went
to another host. Speaks the DevTools protocol over Chromium's own pipe, so nothing else is needed.

Usage: browser.py FOLDER-WITH-THE-PROGRAMS [SCREENSHOT.png]
"""

import base64
import json
import os
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
        self.replies, self.requests, self.next_id, self.session = {}, [], 0, None
        threading.Thread(target=self._read, daemon=True).start()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Page", "Runtime"):
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


def publish(stack, stop):
    number = 0
    while not stop.is_set():
        lines = "".join(f'{{"value":{20 + (number + n) % 7},"unit":"C"}}\n' for n in range(5))
        number += 5
        run("mosquitto_pub", "-h", "127.0.0.1", "-p", stack.agent.port("mqtt"), "-t", "plant/oven", "-q", "1", "-l",
            stdin=lines.encode())
        stop.wait(0.2)


def main(programs, screenshot=None):
    stack, stop = Stack(programs), threading.Event()
    feeder = threading.Thread(target=publish, args=(stack, stop))
    feeder.start()
    browser = Browser()
    try:
        browser.call("Page.navigate", url=stack.http + "/")
        counter = "Number((document.getElementById('events')||{}).textContent.replace(/[^0-9]/g,''))"
        first = eventually(lambda: browser.value(counter), "the event counter")
        eventually(lambda: (browser.value(counter) or 0) > first, "the event counter to rise")
        eventually(lambda: (browser.value("Number(document.getElementById('chart').dataset.points)") or 0) >= 2,
                   "two points in the chart")
        if screenshot:
            with open(screenshot, "wb") as file:
                file.write(base64.b64decode(browser.call("Page.captureScreenshot")["data"]))
        hosts = {urllib.parse.urlsplit(url).netloc for url in browser.requests if not url.startswith("data:")}
        hosts.discard("")
        assert hosts == {stack.http.removeprefix("http://")}, hosts
        print(f"counter rose from {first}, {len(browser.requests)} requests, all to the broker")
    finally:
        stop.set()
        browser.close()
        feeder.join()
    stack.stop()
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main(*sys.argv[1:])
