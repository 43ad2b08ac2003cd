"""A broker and an agent as real processes, and small tools that the checks share."""

import pathlib
import subprocess
import tempfile
import time
import uuid

GIVE_UP_S = 30


class Process:
    """A program that prints one `ready name=host:port …` line on stderr."""

    def __init__(self, *command):
        self.log = tempfile.TemporaryFile(mode="w+")
        self.child = subprocess.Popen(command, stderr=self.log, stdin=subprocess.DEVNULL)
        self.listeners = self._wait_until_ready()

    def _wait_until_ready(self):
        deadline = time.monotonic() + GIVE_UP_S
        while time.monotonic() < deadline:
            for line in self.text().splitlines():
                if line.startswith("ready "):
                    return dict(word.split("=") for word in line.split()[1:])
            if self.child.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError("not ready:\n" + self.text())

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def port(self, name):
        return self.listeners[name].rsplit(":", 1)[1]

    def stop(self):
        self.child.terminate()
        try:
            return self.child.wait(GIVE_UP_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise RuntimeError("does not end on SIGTERM:\n" + self.text())


class Stack:
    """Broker, agent and a folder, all new."""

    def __init__(self, programs):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="headwater-interop-"))
        programs = pathlib.Path(programs)
        self.broker = Process(
            programs / "headwater-broker", "run", "--data-dir", self.folder / "broker",
            "--mqtt", "127.0.0.1:0", "--kafka", "127.0.0.1:0", "--http", "127.0.0.1:0")
        settings = self.folder / "agent.toml"
        settings.write_text(f'''
device = "gw-1"
data_dir = "{self.folder / "agent"}"
http = "127.0.0.1:0"
[uplink]
url = "mqtt://127.0.0.1:{self.broker.port("mqtt")}"
[[source]]
kind = "mqtt"
name = "local"
listen = "127.0.0.1:0"
''')
        self.agent = Process(programs / "headwater-agent", "run", "--config", settings)
        self.kafka = self.broker.listeners["kafka"]
        self.http = "http://" + self.broker.listeners["http"]

    def stop(self):
        codes = self.agent.stop(), self.broker.stop()
        assert codes == (0, 0), f"exit codes {codes}"


def run(*command, stdin=None, timeout=GIVE_UP_S):
    """Runs a program to its end and gives its stdout."""
    done = subprocess.run([str(word) for word in command], input=stdin, capture_output=True, timeout=timeout)
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stderr.decode()}"
    return done.stdout


def unique(prefix):
    """A name that no other check uses."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def eventually(attempt, what):
    """Calls `attempt` until it gives something true."""
    deadline = time.monotonic() + GIVE_UP_S
    while time.monotonic() < deadline:
        result = attempt()
        if result:
            return result
        time.sleep(0.05)
    raise AssertionError("gave up waiting for " + what)
