"""Holds receivers that nobody here wrote against the contract, and writes what was found as Markdown.

    python -m benchmarks.peers.receivers.checked --webhook PROGRAM --node-red PROGRAM --flask PYTHON > FILE

``PROGRAM`` is the path of Debian's ``webhook`` and of ``node-red``; ``PYTHON`` an interpreter with Flask. Each is set
up as its users would: answer every push of ``/Record`` with the documented success. None is a dependency of gatepost;
install them for the occasion (``apt-get install webhook``, ``npm install node-red``, ``pip install flask``).
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
START_S = 60.0


def main() -> None:
    """Run those that were given."""
    wanted = argparse.ArgumentParser()
    for name in ("webhook", "node-red", "flask"):
        wanted.add_argument(f"--{name}")
    given = wanted.parse_args()
    columns: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        if given.webhook:
            hooks = (
                "-hooks",
                str(HERE / "webhook_hooks.json"),
                "-urlprefix",
                "",
                "-ip",
                "127.0.0.1",
                "-port",
            )
            columns["webhook"] = checked((given.webhook, *hooks, "{port}"))
        if given.node_red:
            flow = str(HERE / "node_red_flow.json")
            columns["Node-RED"] = checked((given.node_red, "-u", folder, "-p", "{port}", flow))
        if given.flask:
            columns["Flask"] = checked((given.flask, str(HERE / "flask_app.py"), "{port}"))
        columns["gatepost"] = checked(
            (
                sys.executable,
                "-m",
                "gatepost.cli",
                "serve",
                "--data",
                f"{folder}/gatepost",
                "--listen",
                "127.0.0.1:{port}",
            )
        )
    print(as_markdown(columns))


def checked(command: Sequence[str]) -> list[dict[str, Any]]:
    """Start a receiver, check it, stop it; answer the results."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (
        running([word.replace("{port}", str(port)) for word in command], port),
        tempfile.TemporaryDirectory() as folder,
    ):
        file = Path(folder) / "report.json"
        url = f"http://127.0.0.1:{port}/Record"
        words = [sys.executable, "-m", "gatepost.cli", "check", "receiver", url, "--json", str(file)]
        subprocess.run(words, stdout=subprocess.DEVNULL, check=False)
        results: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["results"]
    return results


@contextmanager
def running(command: Sequence[str], port: int) -> Iterator[None]:
    """Run a program until the end of the block; it begins when the program listens."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            ends = time.monotonic() + START_S
            while time.monotonic() < ends:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.2)
            yield
        finally:
            process.terminate()


def as_markdown(columns: dict[str, list[dict[str, Any]]]) -> str:
    """Write a table of verdicts, and why for each that is no pass."""
    names = list(columns)
    lines = [f"| rule | {' | '.join(names)} |", "| --- |" + " --- |" * len(names)]
    by_rule = [{item["id"]: item for item in columns[name]} for name in names]
    for rule in by_rule[0]:
        lines.append(f"| `{rule}` | " + " | ".join(results[rule]["verdict"] for results in by_rule) + " |")
    for name in names:
        lines.append(f"\n### {name}\n")
        found = [item for item in columns[name] if item["verdict"] != "pass"]
        lines += [f"- `{item['id']}` ({item['verdict']}): {item['why']}" for item in found] or ["All pass."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
