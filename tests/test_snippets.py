"""Every snippet of the README and the documentation is tried, page by page, from top to bottom.

Commands run as they are written, in a real shell, with real processes, in an empty folder. A command that goes on
(``RUNNING``) stays up for the rest of the page, and has to end well. Python runs as a program, C is compiled, settings
are loaded. What differs from the page, and nothing else does:

- every ``HOST:PORT`` is this machine and a free port, the same one each time;
- ``/var/lib``, ``/etc`` and ``/opt`` are in that folder;
- words such as ``PASSWORD`` and an alarm's number have the values that there are;
- ``OPTIONS`` are appended to what would take minutes.

What cannot run here is listed in ``NOT_RUN`` with its reason. A command that neither runs nor is listed fails, and so
does a snippet in a language without a method here.
"""

import ast
import configparser
import json
import re
import shlex
import tempfile
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import typer
import yaml
from tests.postgres import Postgres
from tests.reader import PASSWORD, ROOT, Reader, Snippet, commands, snippets
from tests.receiver.kit import JPEG, base64, record

from gatepost import cli
from gatepost.forward.options import destination
from gatepost.receiver.ingest.commit.frames import image_keys
from gatepost.settings import ReceiverSettings, TerminalServiceSettings, load

NOT_RUN = {
    r"\bpip (install|wheel)\b": "fetches the dependencies from an index; that there is such an extra is checked",
    r"^make ": "runs everything, this test among it; that there is such a target is checked",
    r"^(systemctl|journalctl) ": "needs systemd, as root",
    r"^GATEPOST_CHECK_API_TOKEN=": "runs the whole check, which the tests of the check do",
    r"^podman ": "needs podman, and fetches the base image",
    r"^etcdctl ": "needs etcd, with a member that is gone",
    r"^apt-get ": "installs packages of Debian, as root",
    r"^python -m benchmarks\.peers\.receivers\.checked ": "needs the three receivers that it checks",
    r"^gatepost forward test ": "sends to a host that is not here; tests/receiver/commands/test_forward.py does it",
    r"^gatepost forward check ": "recounts what tests of its own do; its options are checked",
    r"^HOOK_SECRET=.* node-red$": "needs Node-RED, with which tests/node_red runs the flow of the page",
    r"^gatepost terminals (direction|approve|move|names|retire|delete)\b": (
        "changes terminals that are not here; tests/client has some, and the options are checked"
    ),
    r"^gatepost terminals (discover|scan|adopt|import|why|audit|backfill|jobs?)\b": (
        "asks terminals that are not here; tests/client has some, and the options are checked"
    ),
    r"^gatepost torture ": "takes minutes, and is run by tests/torture; its options are checked",
}
"""Commands that are not run, and why."""

FLASK = """
class Flask:
    def __init__(self, name): ...
    def post(self, path): return lambda function: function
    def run(self, port): ...
def abort(status): raise SystemExit(status)
request = None
"""
"""A double that serves nothing: tests/forward/test_page.py runs the program in Flask itself."""

RUNNING = {
    r"^gatepost serve ": r"listening on http://",
    r"^gatepost terminal run ": r" is ready: http.*\n",
    r"^gatepost simulate .*--terminal-api ": "at the site",
    r"^gatepost events tail": "刚刚",
    r"receiver\.live\(": "刚刚",
}
"""Commands and programs that go on, and what they have printed when the reader goes on."""

OPTIONS = {
    r"^gatepost simulate .*--terminals 20 ?": "--hours 8.5-8.55 --passages 40 --no-images",
    r"^gatepost simulate .*--engine fast ": "--events 300 --no-images",
    r"^gatepost check receiver ": "--only reply-code",
    r"^gatepost check terminal (?!.*--cause)": "--only heartbeat",
    r"^gatepost check terminal .*--cause ": "--only delivered",
    r"^curl ": "--silent --show-error --fail-with-body",
}
"""Options for what would take minutes, and for curl to fail where the reply is an error."""

PRINTED = {
    r"^gatepost tokens create ": r"gp_[\w-]+",
    r"^curl .*/v1/event/subscribe": r'"code": ?200\b',
    r"^curl .*/api/v1/records": r'"next_cursor"',
    r"^gatepost events list ": "王",
    r"^gatepost alarms list ": "tampered",
    r"^gatepost terminals create ": r"/Record/[\w-]+",
    r"^gatepost terminal emit ": r'^\{"ok":true,"id":\d+\}\n\{"ok":true,"id":\d+\}\n$',
}
"""What a command has to print, besides ending with exit code 0."""

FAR = "gatepost terminal run --sn GP0002 --data ./far --listen 0.0.0.0:{far} --username admin --password-file password"
RECEIVER = "gatepost serve --data ./data"
TOKEN = "gatepost tokens create --data ./data --role admin --name everything"

BEFORE = {
    "README.md": [FAR],
    "receiver.md": [FAR],
    "check.md": [RECEIVER, FAR, "gatepost terminal run --sn GP0001 --data /var/lib/door"],
    "simulate.md": [RECEIVER],
    "deploy.md": ["gatepost serve --data /var/lib/gatepost"],
    "events.md": [RECEIVER, TOKEN],
    "terminal.md": [RECEIVER],
    "forward.md": [RECEIVER, TOKEN],
    "fleet.md": [RECEIVER, TOKEN],
    "people.md": [RECEIVER, TOKEN],
    "cell.md": [RECEIVER],
}
"""What the reader of a page has done already."""


def english(page: Path) -> Path:
    """Return the page that this one is a translation of, or the page itself."""
    return page.with_name(page.name.replace(".zh.md", ".md"))


FILES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])
PAGES = [page for page in FILES if snippets(page)]
ORIGINALS = [page for page in PAGES if english(page) == page]


@pytest.fixture
def reader(request: pytest.FixtureRequest) -> Iterator[Reader]:
    """A reader with an empty folder, whose path is short enough for a Unix socket."""

    def database() -> str:
        server: Postgres = request.getfixturevalue("postgres_server")
        return server.create()

    with tempfile.TemporaryDirectory(prefix="gp-") as folder:
        reader = Reader(Path(folder), running=RUNNING, options=OPTIONS, database=database)
        (reader.folder / "deploy").symlink_to(ROOT / "deploy")
        (reader.folder / "face.jpg").write_bytes(JPEG)
        (reader.folder / "password").write_text(PASSWORD)
        (reader.folder / "flask.py").write_text(FLASK)
        (reader.folder / "event.json").write_text('{"type":0,"data":{"pass":true,"user":{"user_id":"5"}}}\n')
        reader.env["GATEPOST_FORWARD_NETWORKS"] = "127.0.0.0/8"  # where every host of a page is
        reader.env["HOOK_SECRET"] = "whsec_" + base64(bytes(32))
        reader.meanwhile = partial(pass_by, reader, "刚刚")  # type: ignore[method-assign]
        try:
            yield reader
        finally:
            reader.leave()


def pass_by(reader: Reader, name: str, **data: Any) -> None:
    """Push a record to the receiver, if it is there by now."""
    person = {"name": name, "user_id": "23385"}
    push(reader, record(uuid=str(uuid4()), timestamp=1_760_000_000, user=person, **data))


def push(reader: Reader, event: dict[str, Any]) -> None:
    """Push an event to the receiver that stands for port 8080."""
    body = json.dumps(event).encode()
    there = urllib.request.Request(f"http://127.0.0.1:{reader.port()}/Record", body, {"sn": "SN-1"})
    there.add_header("content-type", "application/json")
    try:
        urllib.request.urlopen(there, timeout=60).close()
    except (ConnectionError, TimeoutError):  # it does not listen yet, or nothing behind the port does
        return
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ConnectionError):
            raise


@pytest.mark.parametrize("page", ORIGINALS, ids=lambda page: page.name)
def test_every_snippet_of_a_page_does_what_the_page_says(page: Path, reader: Reader) -> None:
    """The translation's snippets are tried where they differ from those of the original in more than comments."""
    for command in BEFORE.get(page.name, ()):
        tried(reader, command.format(far=reader.port(8000, elsewhere=True)))
    if page.name == "events.md":
        events(reader)
    translated = page.with_name(page.name.replace(".md", ".zh.md"))
    others = snippets(translated) if translated.exists() else []
    for number, snippet in enumerate(snippets(page)):
        METHODS[snippet.language](reader, snippet, page)
        if others and bare(others[number]) != bare(snippet):
            if page.name == "events.md":
                events(reader)  # the original's commands have erased the person and acknowledged the alarm
            METHODS[others[number].language](reader, others[number], translated)


def events(reader: Reader) -> None:
    """Something to list: a refused record and an alarm; the token and the alarm's number stand in the page's."""
    pass_by(reader, "王五", **{"pass": False})
    push(
        reader,
        {
            "type": 1,
            "data": {"trace_id": str(uuid4()), "status": 1, "code": 10001, "event_time": 1_760_000_000},
        },
    )
    reader.stand_ins["gp_…"] = reader.env["TOKEN"]
    command = (
        f"gatepost alarms list --json --url http://127.0.0.1:{reader.port()} --token {reader.env['TOKEN']}"
    )
    reader.run(command)
    reader.stand_ins["4711"] = str(json.loads(reader.said.splitlines()[0])["id"])


def bare(snippet: Snippet) -> str:
    """Return what of a snippet may differ in a translation only if it does something else."""
    if snippet.language == "sh":
        return "\n".join(commands(re.sub("密码", "PASSWORD", re.sub("终端地址", "TERMINAL", snippet.text))))
    if snippet.language == "python":
        return ast.dump(ast.parse(snippet.text))
    return re.sub(r"\s+# .*", "", snippet.text)


# --- what is done with a snippet, by its language --------------------------------------------------------------


def shell(reader: Reader, snippet: Snippet, page: Path) -> None:
    """Run each command, or check what can be checked of one that is listed."""
    for command in commands(snippet.text):
        if any(re.search(pattern, command) for pattern in NOT_RUN):
            understood(command)
        else:
            tried(reader, command)


def tried(reader: Reader, command: str) -> None:
    """Run a command and hold what it printed and wrote against what it is for."""
    reader.run(command)
    for pattern, printed in PRINTED.items():
        if re.search(pattern, command):
            assert re.search(printed, reader.said), f"{command}: {reader.said}"
    for file in re.findall(r"(?<= )[\w-]+\.(?:csv|xlsx|tar|json|xml)\b", command):
        assert (reader.folder / file).stat().st_size > 0, command
    if token := re.search(r"gp_[\w-]+", reader.said):
        reader.env["TOKEN"] = token[0]


def understood(command: str) -> None:
    """Check a command that is not run: its extras, its target, its options."""
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extras in re.findall(r"pip install '\.\[([\w,]+)\]'", command):
        assert set(extras.split(",")) <= metadata["optional-dependencies"].keys(), command
    if command.startswith("make "):
        assert re.search(rf"(?m)^{command.split()[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8")), (
            command
        )
    if command.startswith("gatepost "):
        options_there(shlex.split(command))


def options_there(words: list[str]) -> None:
    """Check that there is such a command with such options. Raises AssertionError."""
    at: Any = typer.main.get_command(cli.app)
    rest = words[1:]
    while hasattr(at, "get_command") and rest and not rest[0].startswith("-"):
        at = at.get_command(None, rest.pop(0))
        assert at is not None, words
    known = {name for parameter in at.params for name in (*parameter.opts, *parameter.secondary_opts)}
    used = {word.partition("=")[0] for word in rest if word.startswith("-") and word != "-"}
    assert used <= known | {"--help"}, (words, used - known)


def program(reader: Reader, snippet: Snippet, page: Path) -> None:
    """Run a program in Python as it is."""
    reader.program(snippet.text)


def c_program(reader: Reader, snippet: Snippet, page: Path) -> None:
    """Compile a program in C with a ``main`` around it, and hand an event in."""
    source = reader.folder / "program.c"
    source.write_text(
        "#include <stdio.h>\n#include <sys/socket.h>\n#include <sys/un.h>\n#include <unistd.h>\n"
        'int main(void) {\nconst char *uuid = "b7a3a0a6-6f0c-4f8e-9d43-2f5a3f9b7c11";\n'
        + reader.here(snippet.text)
        + "\nreturn n > 0 && fwrite(answer, 1, n, stdout) ? 0 : 1;\n}\n"
    )
    reader.run("cc -Wall -Werror -o program program.c && ./program")
    assert json.loads(reader.said)["ok"] is True


def printed(reader: Reader, snippet: Snippet, page: Path) -> None:
    """Compare with what the command before it printed."""
    assert reader.here(snippet.text) in reader.said


def json_lines(reader: Reader, snippet: Snippet, page: Path) -> None:
    """Take events as the file that the next command reads; compare replies with real ones, field by field.

    On the page of destinations each is one that can be.
    """
    if english(page).name == "destinations.md":
        destination.decode(snippet.text.encode())
        return
    text = re.sub(r'"[^"]*…"', json.dumps(base64(JPEG)), snippet.text)
    lines = [json.loads(line) for line in text.splitlines()]
    if all("type" in line for line in lines):
        (reader.folder / "events.jsonl").write_text(text, encoding="utf-8")
        return
    (reader.folder / "wrong.jsonl").write_text('{"type":0,"data":{"pass":true}}\n{"type":7}\n')
    reader.run("gatepost terminal emit --data /var/lib/gatepost-terminal < wrong.jsonl || true")
    real = [json.loads(line) for line in reader.said.splitlines()]
    assert [line.keys() for line in lines] == [line.keys() for line in real]


def settings(reader: Reader, snippet: Snippet, page: Path) -> None:
    """Load it as the settings of the program that the page is about."""
    file = reader.folder / "settings.toml"
    file.write_text(reader.here(snippet.text), encoding="utf-8")
    if page.name.startswith("terminal"):
        load(TerminalServiceSettings, file=file)
        return
    loaded = load(ReceiverSettings, file=file)
    assert bool(loaded.image_key_file) == bool(image_keys(loaded))


def proxy(reader: Reader, snippet: Snippet, page: Path) -> None:
    """Parse a configuration of nginx: blocks, and directives that end; it leads to where a receiver listens."""
    text = re.sub(r"\s*#.*", "", snippet.text)
    rest = re.sub(r"[\w_]+( [^;{}]+)?;", "", text)
    while re.search(block := r"[\w_]+( [^;{}]+)?\s*\{\s*\}", rest):
        rest = re.sub(block, "", rest)
    assert rest.strip() == "", rest
    names = set(re.findall(r"upstream (\w+) *{", text))
    assert set(re.findall(r"proxy_pass http://([^/;]+)", text)) == (names or {ReceiverSettings().listen})
    assert {one.partition(":")[2] for one in re.findall(r"server ([\d.:]+)", text)} <= {"8080"}


def scraping(reader: Reader, snippet: Snippet, page: Path) -> None:
    """Parse a configuration of Prometheus; it asks where a receiver listens."""
    (job,) = yaml.safe_load(snippet.text)["scrape_configs"]
    assert job["static_configs"] == [{"targets": [ReceiverSettings().listen]}]


def unit(reader: Reader, snippet: Snippet, page: Path) -> None:
    """Parse a unit of systemd: it starts a command that there is, and leaves it time to end."""
    parsed = configparser.RawConfigParser()
    parsed.read_string(snippet.text)
    _, *words = shlex.split(parsed["Service"]["ExecStart"])
    options_there(["gatepost", *words])
    assert float(parsed["Service"]["TimeoutStopSec"]) > TerminalServiceSettings().drain_timeout_s + 10
    assert parsed["Install"]["WantedBy"] == "multi-user.target"


def drawing(reader: Reader, snippet: Snippet, page: Path) -> None:
    """Read a chart of Mermaid as far as its lines go: every subgraph ends, and every arrow joins two nodes."""
    text = re.sub(r'[\[(]*"[^"]*"[\])]*', "", snippet.text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    assert lines[0].startswith("flowchart ")
    assert sum(line.startswith("subgraph ") for line in lines) == lines.count("end")
    arrows = [line for line in lines if "->" in line]
    assert arrows
    for line in arrows:
        assert re.fullmatch(r"\w+ (-->|--  -->|-\. \w+ \.->) \w+", line), line


METHODS: dict[str, Callable[[Reader, Snippet, Path], None]] = {
    "sh": shell,
    "python": program,
    "c": c_program,
    "text": printed,
    "json": json_lines,
    "toml": settings,
    "nginx": proxy,
    "yaml": scraping,
    "ini": unit,
    "mermaid": drawing,
}


# --- of all pages together -------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_snippet_says_which_language_it_is_in(page: Path) -> None:
    for snippet in snippets(page):
        assert snippet.language in METHODS, f"{page}:{snippet.line}"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if english(page) != page], ids=lambda page: page.name
)
def test_a_translation_has_the_snippets_of_its_original(page: Path) -> None:
    kinds = [[snippet.language for snippet in snippets(one)] for one in (page, english(page))]
    assert kinds[0] == kinds[1]


def test_every_command_that_is_not_run_has_a_reason_and_is_still_there() -> None:
    everything = [command for page in PAGES for one in snippets(page) for command in commands(one.text)]
    for pattern, why in NOT_RUN.items():
        assert why, pattern
        assert any(re.search(pattern, command) for command in everything), pattern


@pytest.mark.parametrize("page", FILES, ids=lambda page: page.name)
def test_every_command_within_a_sentence_is_there_with_its_options(page: Path) -> None:
    for text in re.findall(r"`(gatepost [a-z][^`\n]*)`", page.read_text(encoding="utf-8")):
        first, *others = text.replace("\\|", "|").split(" | ")
        words = re.sub(r"[\[\]]|\.\.\.|…", "", first).split()
        options_there([word for word in words if word != "<"])
        for other in others:
            options_there([*words[:-1], *other.split()])
