"""Stock clients against a broker and an agent: each check compares the data that came out.

Usage: run.py FOLDER-WITH-THE-PROGRAMS [PART-OF-A-CHECK'S-NAME]
"""

import re
import signal
import sys
import time
import traceback
from importlib import metadata

import with_admin
import with_compacted
import with_confluent_kafka
import with_curl
import with_groups
import with_kafka_python
import with_kcat
import with_killed_members
import with_mosquitto
import with_paho
import with_paho_replay
import with_paho_rules
import with_tls
from stack import GIVE_UP_S, Stack, attempt

MODULES = [with_compacted, with_mosquitto, with_paho, with_paho_replay, with_paho_rules, with_kcat, with_confluent_kafka, with_kafka_python,
           with_admin, with_groups, with_killed_members, with_curl, with_tls]
CHECK_GIVE_UP_S = 2 * GIVE_UP_S


def checks(wanted):
    for module in MODULES:
        for name, check in list(vars(module).items()):
            title = f"{module.__name__[5:]}: {name[6:].replace('_', ' ')}"
            if name.startswith("check_") and wanted in title:
                yield title, check


def versions():
    """The clients, as they call themselves."""
    packages = [f"{name} {metadata.version(name)}" for name in ("confluent-kafka", "kafka-python", "paho-mqtt")]
    said = [attempt(*program).stdout for program in (("mosquitto_sub", "--help"), ("kcat", "-V"), ("curl", "-V"))]
    numbers = [re.search(rb"\d+\.\d+\.\d+", text)[0].decode() for text in said]
    return ", ".join(packages + [" ".join(pair) for pair in zip(("mosquitto", "kcat", "curl"), numbers)])


def give_up(*_):
    raise TimeoutError("the check does not end")


def perform(title, check, stack):
    begun = time.monotonic()
    signal.alarm(getattr(check, "give_up_s", CHECK_GIVE_UP_S))
    try:
        check(stack)
        result = "ok    "
    except Exception:
        result = "FAILED"
        traceback.print_exc(file=sys.stdout)
    finally:
        signal.alarm(0)
    print(f"{result} {time.monotonic() - begun:5.1f} s  {title}", flush=True)
    return result == "ok    "


def main(programs, wanted=""):
    signal.signal(signal.SIGALRM, give_up)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    print(versions(), flush=True)
    with Stack(programs) as stack:
        results = [perform(title, check, stack) for title, check in checks(wanted)]
        results.append(perform("both programs end with exit code 0", Stack.stop, stack))
        if not all(results):
            print(f"--- broker\n{stack.broker.text()[-4000:]}--- agent\n{stack.agent.text()[-4000:]}")
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return 0 if all(results) and len(results) > 1 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
