import io
import itertools
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gatepost.terminal.local_socket import client as door_client
from gatepost.terminal.local_socket.client import CommandRefused, SocketClosed, TerminalNotRunning

LINE = b'{"type":0,"data":{}}\n'


def serve(folder: Path, behave: Callable[[socket.socket], None]) -> threading.Thread:
    """Answer one visitor of the door in ``folder`` as ``behave`` does."""
    listener = socket.socket(socket.AF_UNIX)
    with door_client.address(folder) as path:
        listener.bind(path)
    listener.listen()

    def run() -> None:
        with listener:
            visitor, _ = listener.accept()
            with visitor:
                behave(visitor)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def answers(*lines: bytes) -> Callable[[socket.socket], None]:
    """Read a line for every one of ``lines``, answer with it, then hang up."""

    def behave(visitor: socket.socket) -> None:
        with visitor.makefile("rwb", buffering=0) as stream:
            for line in lines:
                stream.readline()
                stream.write(line)

    return behave


def test_every_line_gets_the_answer_of_the_terminal(tmp_path: Path) -> None:
    serve(tmp_path, answers(b'{"ok":true,"id":1}\n', b'{"ok":true,"id":2}\n'))
    out = io.BytesIO()
    assert door_client.emit(tmp_path, [LINE, b"\n", LINE], out) is True
    assert out.getvalue() == b'{"ok":true,"id":1}\n{"ok":true,"id":2}\n'


def test_one_refusal_is_not_a_success(tmp_path: Path) -> None:
    serve(tmp_path, answers(b'{"ok":true,"id":1}\n', b'{"ok":false,"error":"decode"}\n'))
    assert door_client.emit(tmp_path, [LINE, LINE], io.BytesIO()) is False


def test_an_answer_is_passed_on_before_the_next_line_comes(tmp_path: Path) -> None:
    serve(tmp_path, answers(b'{"ok":true,"id":1}\n', b'{"ok":true,"id":2}\n'))
    near, far = os.pipe()

    def lines() -> Iterator[bytes]:
        yield LINE
        assert os.read(near, 100) == b'{"ok":true,"id":1}\n'
        yield LINE

    with open(far, "wb") as out:  # noqa: PTH123 (a descriptor, not a path)
        assert door_client.emit(tmp_path, lines(), out) is True
    os.close(near)


def test_lines_without_an_answer_are_named_when_the_terminal_goes_away(tmp_path: Path) -> None:
    serve(tmp_path, answers(b'{"ok":true,"id":1}\n'))
    out = io.BytesIO()
    assert door_client.emit(tmp_path, [LINE, LINE, LINE], out) is False
    first, *rest = [json.loads(line) for line in out.getvalue().splitlines()]
    assert first == {"ok": True, "id": 1}
    assert rest
    assert {(answer["ok"], answer["error"], answer["retry"]) for answer in rest} == {
        (False, "terminal-gone", True)
    }


def test_without_a_terminal_the_error_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(TerminalNotRunning, match="gatepost terminal run"):
        door_client.emit(tmp_path, [LINE], io.BytesIO())
    with pytest.raises(TerminalNotRunning):
        door_client.ask(tmp_path / "nowhere", "status")


def test_a_question_answers_its_data(tmp_path: Path) -> None:
    serve(tmp_path, answers(b'{"ok":true,"data":{"pending":3}}\n'))
    assert door_client.ask(tmp_path, "status") == {"pending": 3}


def test_a_refused_question_is_an_error_with_the_terminals_words(tmp_path: Path) -> None:
    serve(tmp_path, answers(b'{"ok":false,"message":"no such number"}\n'))
    with pytest.raises(CommandRefused, match="no such number"):
        door_client.ask(tmp_path, "retry", ids=[5])


def test_a_terminal_that_does_not_answer_is_named(tmp_path: Path) -> None:
    done = threading.Event()
    thread = serve(tmp_path, lambda visitor: done.wait(10) and None)
    with pytest.raises(SocketClosed, match=str(tmp_path)):
        door_client.ask(tmp_path, "status", timeout_s=0.01)
    done.set()
    thread.join(10)


def test_a_terminal_that_goes_away_over_a_question_is_not_running(tmp_path: Path) -> None:
    serve(tmp_path, lambda visitor: None)
    with pytest.raises(TerminalNotRunning):
        door_client.ask(tmp_path, "status")


def test_output_that_nobody_reads_ends_an_endless_input(tmp_path: Path) -> None:
    def answer_for_ever(visitor: socket.socket) -> None:
        with suppress(OSError), visitor.makefile("rwb", buffering=0) as stream:
            while stream.readline():
                stream.write(b'{"ok":true,"id":1}\n')

    serve(tmp_path, answer_for_ever)
    near, far = os.pipe()
    os.close(near)
    with pytest.raises(BrokenPipeError), open(far, "wb", buffering=0) as out:  # noqa: PTH123 (a descriptor)
        door_client.emit(tmp_path, itertools.repeat(LINE), out)
