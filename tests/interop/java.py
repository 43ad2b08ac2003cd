"""Kafka's own client, where there is Java: fetched with Maven once, and a member of a group made of it."""

import pathlib
import shutil
import subprocess

from member import HEARTBEAT_MS, POLL_MS_MAX, SESSION_MS

VERSION = "4.3.0"
SOURCE = pathlib.Path(__file__).parent / "Member.java"
# A member is to be there soon, not to be fast.
QUICK_START = ["-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
POM = f"""<project><modelVersion>4.0.0</modelVersion><groupId>none</groupId><artifactId>member</artifactId>
<version>1</version><dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-clients</artifactId>
<version>{VERSION}</version></dependency></dependencies></project>"""


def member(programs):
    """The words that start a member, but for its own; None, and a line that says why, where that cannot be."""
    missing = [program for program in ("java", "javac", "mvn") if not shutil.which(program)]
    if missing:
        print(f"without a Java member: there is no {missing[0]}", flush=True)
        return None
    folder = programs / f"kafka-clients-{VERSION}"
    classes, jars = folder / "classes", folder / "lib"
    try:
        if not jars.is_dir():
            folder.mkdir(exist_ok=True)
            (folder / "pom.xml").write_text(POM)
            run("mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib",
                "-DincludeScope=runtime", cwd=folder)
        run("javac", "-cp", f"{jars}/*", "-d", classes, SOURCE)
    except subprocess.CalledProcessError as failure:
        shutil.rmtree(folder)
        print(f"without a Java member: {failure}\n{failure.stdout.decode()[-500:]}", flush=True)
        return None
    return ["java", *QUICK_START, "-cp", f"{jars}/*:{classes}", "Member"]


def limits():
    return [str(number) for number in (SESSION_MS, HEARTBEAT_MS, POLL_MS_MAX)]


def run(*command, cwd=None):
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
