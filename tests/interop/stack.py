"""A broker and an agent as real processes, and small tools that the checks share."""

import json
import pathlib
import socket
import subprocess
import tempfile
import time
import urllib.request
import uuid

GIVE_UP_S = 30


class Process:
    """A program that prints one `ready name=host:port …` line on stderr."""

    def __init__(self, *command):
        self.log = tempfile.TemporaryFile(mode="w+")
        self.child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log)
        try:
            self.listeners = self._wait_until_ready()
        except BaseException:
            self.child.kill()
            raise

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
        """Ends it as a service manager does, and gives its exit code."""
        self.child.terminate()
        try:
            return self.child.wait(GIVE_UP_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise RuntimeError("does not end on SIGTERM:\n" + self.text())


class Certificate:
    """Files of a certificate, and of the authority that it trusts."""

    def __init__(self, folder, name):
        self.ca, self.cert, self.key = (str(folder / file) for file in ("ca.pem", f"{name}.pem", f"{name}.key"))


class Stack:
    """Broker, agent and a folder, all new. The agent's link and half of the doors are TLS with device certificates."""

    def __init__(self, programs):
        self._folder = tempfile.TemporaryDirectory(prefix="headwater-interop-", ignore_cleanup_errors=True)
        self.folder = pathlib.Path(self._folder.name)
        self.programs = pathlib.Path(programs)
        self.visitor = self.certify("certs", "visitor")
        agents = self.certify("certs", "gw-1")
        self.broker = self.start_broker("broker", f'''
[tls]
cert = "{self.folder / "certs" / "server.pem"}"
key = "{self.folder / "certs" / "server.key"}"
client_ca = "{agents.ca}"
require_client_cert = true
''', "mqtt", "mqtts", "kafka", "kafkas", "http", "https")
        try:
            self.agent = self._start_agent(agents)
        except BaseException:
            self.broker.child.kill()
            raise
        self.kafka = self.broker.listeners["kafka"]
        self.kafkas = self.broker.listeners["kafkas"]
        self.http = "http://" + self.broker.listeners["http"]
        self.https = "https://" + self.broker.listeners["https"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.agent, self.broker):
            process.child.kill()
            process.child.wait()
        self._folder.cleanup()

    def certify(self, folder, device):
        """A device's certificate; the authority and the server's are made with the first in a folder."""
        folder = self.folder / folder
        cert = [self.programs / "headwater-broker", "cert"]
        if not folder.exists():
            run(*cert, "ca", "--dir", folder)
            run(*cert, "server", "--dir", folder, "--host", "127.0.0.1")
        run(*cert, "device", device, "--dir", folder)
        return Certificate(folder, device)

    def start_broker(self, name, settings, *listeners, **addresses):
        """One more broker, with a data directory of its own, on free ports or these addresses."""
        file = self.folder / f"{name}.toml"
        file.write_text('limits.disk_min_free = "0%"\n' + settings)  # Whatever disk the tests run on.
        addresses = {**dict.fromkeys(listeners, "127.0.0.1:0"), **addresses}
        flags = [word for listener, address in addresses.items() for word in ("--" + listener, address)]
        return Process(self.programs / "headwater-broker", "run", "--config", file,
                       "--data-dir", self.folder / name, *flags)

    def _start_agent(self, certificate):
        file = self.folder / "agent.toml"
        file.write_text(f'''
data_dir = "{self.folder / "agent"}"
http = "127.0.0.1:0"
[uplink]
url = "mqtts://{self.broker.listeners["mqtts"]}"
ca = "{certificate.ca}"
cert = "{certificate.cert}"
key = "{certificate.key}"
[[source]]
kind = "mqtt"
name = "local"
listen = "127.0.0.1:0"
''')
        return Process(self.programs / "headwater-agent", "run", "--config", file)

    def stream(self, name):
        """What the broker says of a stream."""
        with urllib.request.urlopen(f"{self.http}/api/v1/streams/{name}", timeout=GIVE_UP_S) as answer:
            return json.load(answer)

    def group(self, name):
        """What the broker says of a consumer group; None if it knows none of this name."""
        with urllib.request.urlopen(f"{self.http}/api/v1/groups", timeout=GIVE_UP_S) as answer:
            return next((group for group in json.load(answer)["groups"] if group["group"] == name), None)

    def stop(self):
        codes = self.agent.stop(), self.broker.stop()
        assert codes == (0, 0), f"exit codes {codes}"


def run(*command, stdin=None):
    """Runs a program to its end and gives its stdout."""
    done = attempt(*command, stdin=stdin)
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stderr.decode()}"
    return done.stdout


def attempt(*command, stdin=None):
    """Runs a program to its end, however that comes."""
    return subprocess.run([str(word) for word in command], input=stdin, capture_output=True, timeout=GIVE_UP_S)


def unique(prefix):
    """A name that no other check uses."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


KEPT = []


def free_address():
    """An address for a broker that comes back to it. A socket that never listens keeps it from those who take any."""
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", 0))
    KEPT.append(probe)
    return "127.0.0.1:%d" % probe.getsockname()[1]


def eventually(attempt, what):
    """Calls `attempt` until it gives something true."""
    deadline = time.monotonic() + GIVE_UP_S
    while time.monotonic() < deadline:
        result = attempt()
        if result:
            return result
        time.sleep(0.05)
    raise AssertionError("gave up waiting for " + what)
