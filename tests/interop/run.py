"""Stock clients against a broker and an agent: each check compares the data that came out.

Usage: run.py FOLDER-WITH-THE-PROGRAMS
"""

import sys
import traceback

import with_curl
import with_confluent_kafka
import with_kafka_python
import with_kcat
import with_mosquitto
import with_paho
from stack import Stack

MODULES = [with_mosquitto, with_paho, with_kcat, with_confluent_kafka, with_kafka_python, with_curl]


def main(programs):
    stack = Stack(programs)
    passed = failed = 0
    for module in MODULES:
        for name, check in sorted(vars(module).items()):
            if not name.startswith("check_"):
                continue
            try:
                check(stack)
                passed += 1
                print(f"ok      {module.__name__} {name[6:].replace('_', ' ')}", flush=True)
            except Exception:
                failed += 1
                print(f"FAILED  {module.__name__} {name[6:].replace('_', ' ')}", flush=True)
                traceback.print_exc()
    if failed:
        print("--- broker\n" + stack.broker.text()[-4000:] + "--- agent\n" + stack.agent.text()[-4000:])
    stack.stop()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
