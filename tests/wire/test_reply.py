import json
from email.utils import formatdate

import pytest

from gatepost.wire import SUCCESS, Delivered, Refused, Reply, Unreachable, classify, encode_reply


def test_the_reply_is_the_one_that_the_page_shows() -> None:
    assert SUCCESS == b'{"code":200,"message":"success","data":{}}'
    assert json.loads(encode_reply(400, "why", {"field": "x"})) == {
        "code": 400,
        "message": "why",
        "data": {"field": "x"},
    }
    assert Reply(200, "success").data == {}


PLAIN = '{"code": %d, "message": "%s", "data": {}}'

WRAPPINGS = {
    "plain": lambda text: text.encode(),
    "a byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "two byte order marks": lambda text: b"\xef\xbb\xbf" * 2 + text.encode(),
    "UTF-16 with a mark": lambda text: text.encode("utf-16"),
    "UTF-16 BE with a mark": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16 LE": lambda text: text.encode("utf-16-le"),
    "UTF-16 BE": lambda text: text.encode("utf-16-be"),
    "UTF-16 and the NUL of a string": lambda text: text.encode("utf-16-le") + b"\0",
    "UTF-32": lambda text: text.encode("utf-32"),
    "UTF-32 BE": lambda text: text.encode("utf-32-be"),
    "a NUL behind it": lambda text: text.encode() + b"\0",
    "blanks and NULs behind it": lambda text: text.encode() + b"\r\n\0\0 ",
    "blanks before it": lambda text: b"\r\n \t" + text.encode(),
    "a mark and a NUL": lambda text: b"\xef\xbb\xbf\r\n" + text.encode() + b"\0",
    "no-break spaces": lambda text: "\xa0".encode() + text.encode() + "\u3000".encode(),
}


@pytest.mark.parametrize("body", [SUCCESS, b'{"code":200}', b' {"data":null,"code":200,"message":""}\n'])
@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 226, 299])
def test_delivered_is_any_2xx_with_the_integer_code_200(status: int, body: bytes) -> None:
    assert classify(status, body) == Delivered()


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_the_code_is_read_however_the_json_is_wrapped(wrapping: str) -> None:
    wrap = WRAPPINGS[wrapping]
    assert classify(200, wrap(PLAIN % (200, "成功 ok"))) == Delivered()
    assert classify(200, wrap(PLAIN % (7, "没有 no"))) == Refused("code 7: 没有 no")


@pytest.mark.parametrize(
    ("charset", "message"),
    [
        ("gbk", "成功，記錄已誠收"),
        ("gb18030", "成功𠮷"),
        ("big5", "許功蓋"),
        ("shift_jis", "表示ソ成功"),
        ("euc-kr", "성공"),
        ("latin-1", "succès é"),
        ("windows-1251", "успех"),
    ],
)
@pytest.mark.parametrize("declared", ["application/json; charset={}", "text/html"])
def test_the_code_is_read_though_the_message_is_in_another_charset(
    charset: str, message: str, declared: str
) -> None:
    headers = {"content-type": declared.format(charset)}
    assert classify(200, (PLAIN % (200, message)).encode(charset), headers=headers) == Delivered()
    refused = classify(400, (PLAIN % (9, message)).encode(charset), headers=headers)
    assert isinstance(refused, Refused)
    if "{}" in declared or charset.startswith("gb"):
        assert refused == Refused(f"HTTP 400, code 9: {message}")


@pytest.mark.parametrize("letter", ["\t", "\n", "\r", "\0", "\x01", "\x1b", "\x7f"])
def test_the_code_is_read_though_a_control_character_stands_in_the_message(letter: str) -> None:
    assert classify(200, (PLAIN % (200, f"o{letter}k")).encode()) == Delivered()
    assert classify(200, (PLAIN % (7, f"o{letter}k")).encode()) == Refused("code 7: o k")


@pytest.mark.parametrize("name", ["unicode_escape", "utf-7", "zip", "idna", "no-such-thing", "", '"'])
def test_a_charset_that_is_none_is_passed_over(name: str) -> None:
    headers = {"content-type": f"application/json; charset={name}"}
    assert classify(200, SUCCESS + b"\0", headers=headers) == Delivered()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, None),
        (201, None),
        (200, b"<html>OK</html>"),
        (200, b'{"code":"200"}'),
        (200, b'{"code":200.0}'),
        (200, b'{"code":2e2}'),
        (200, b'{"code":true}'),
        (200, b'{"code":null}'),
        (200, b'{"data":{"code":200}}'),
        (200, b"[200]"),
        (200, b'[{"code":200}]'),
        (200, b"200"),
        (200, b'"{\\"code\\":200}"'),
        (200, b'{"code":200'),
        (200, b'{"code":200}{}'),
        (200, b'{"code":200}<html>'),
        (200, b'x{"code":200}'),
        (200, b"\xff"),
        (200, b"\0" * 60_000),
        (200, b"[" * 10_000),
        (200, b"\0" + b"[" * 60_000),
        (200, b'{"code":' + b"9" * 60_000 + b"}\0"),
        (201, b""),
        (204, b""),
        (204, b"<html>"),
        (100, SUCCESS),
        (301, SUCCESS),
        (302, b""),
        (304, SUCCESS),
        (307, b'{"code":500,"message":"no"}'),
        (408, b""),
        (408, b'{"code":408,"message":"slow","data":{}}'),
        (429, b'{"code":429,"message":"slow down","data":{}}'),
        (500, SUCCESS),
        (500, b'{"code":500,"message":"no","data":{}}'),
        (503, b'{"code":503,"message":"full","data":{}}'),
        (599, b""),
        (600, SUCCESS),
    ],
)
def test_what_says_nothing_about_the_event_is_unreachable(status: int, body: bytes | None) -> None:
    assert isinstance(classify(status, body), Unreachable)


@pytest.mark.parametrize(
    "status", [400, 401, 402, 403, 404, 405, 410, 411, 413, 414, 415, 421, 422, 431, 451, 499]
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        None,
        b"default backend - 404",
        b"<html><head><title>403 Forbidden</title></head></html>",
        b'{"message":"no Route matched with those values"}',
        b'{"code":"ResourceNotFound","message":"x"}',
        b'{"error":{"code":404}}',
        b'{"timestamp":"2024-01-01","status":404,"error":"Not Found","path":"/Record"}',
        SUCCESS,
    ],
)
def test_a_4xx_without_the_pages_json_comes_from_a_proxy(status: int, body: bytes | None) -> None:
    outcome = classify(status, body)
    assert isinstance(outcome, Unreachable)
    assert outcome.reason.startswith(f"HTTP {status}")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b'{"code":500,"message":"bad","data":{}}'),
        (200, b'{"code":0,"message":"","data":{}}'),
        (200, b'{"code":-1}'),
        (201, b'{"code":400,"message":"bad","data":{}}'),
        (202, b'{"code":201}'),
        *(
            (status, b'{"code":400,"message":"bad","data":{}}')
            for status in (400, 401, 403, 404, 405, 409, 413)
        ),
        (415, b'\xef\xbb\xbf{"code":415,"message":"bad"}\0'),
    ],
)
def test_what_the_receiver_says_of_the_event_is_a_refusal(status: int, body: bytes) -> None:
    assert isinstance(classify(status, body), Refused)


def test_of_a_refusal_the_kind_says_nothing_about_a_person() -> None:
    for status, kind in ((200, "code 7"), (400, "HTTP 400, code 7")):
        refused = classify(status, b'{"code":7,"message":"unknown: Zhang Wei"}')
        assert isinstance(refused, Refused)
        assert refused.kind == kind


def test_a_refusals_words_are_fit_to_be_stored_and_shown() -> None:
    refused = classify(200, b'{"code":7,"message":"\\ud83d \\u001b[2J x"}\0')
    assert refused == Refused("code 7:    [2J x")


def test_a_proxys_page_may_say_when_to_come_again() -> None:
    outcome = classify(403, b"<html>", headers={"retry-after": "30"})
    assert isinstance(outcome, Unreachable)
    assert outcome.retry_after_s == 30.0


def test_a_refusal_carries_the_receivers_words_cut_short() -> None:
    assert classify(200, b'{"code":7,"message":"no such door"}') == Refused("code 7: no such door")
    refusal = classify(200, json.dumps({"code": 7, "message": "x" * 5000}).encode())
    assert isinstance(refusal, Refused)
    assert len(refusal.reason) < 300


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (formatdate(1_700_000_030, usegmt=True), 30.0),
        (formatdate(1_600_000_000, usegmt=True), 0.0),
        ("soon", None),
        ("", None),
        ("-5", None),
        ("9" * 400, 999_999_999.0),
    ],
)
def test_retry_after_is_read_in_seconds_and_as_a_date(text: str, seconds: float | None) -> None:
    outcome = classify(503, b"", headers={"retry-after": text}, now=1_700_000_000.0)
    assert outcome == Unreachable("HTTP 503", seconds)


@pytest.mark.parametrize("message", [r"C:\docs", r"it\'s", r"\x41", r"\u12", r"a\tb\q"])
@pytest.mark.parametrize("end", ["}", ",}", " , }", ',"data":{"list":[1,],},}'])
@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "utf-16"])
def test_the_code_is_read_though_the_json_is_only_nearly_json(message: str, end: str, encoding: str) -> None:
    for code, outcome in ((200, Delivered), (7, Refused)):
        text = f'{{"code":{code},"message":"{message}成功"{end}'
        assert isinstance(classify(200, text.encode(encoding)), outcome)


@pytest.mark.parametrize("blank", ["\u200b", "\x85", "\u2028", "\u2029"])
def test_blanks_of_unicode_around_it_do_not_matter(blank: str) -> None:
    assert classify(200, (blank + SUCCESS.decode() + blank * 2).encode()) == Delivered()


@pytest.mark.parametrize("code", ["200L", "+200", "200.", "0200", "200f", "NaN", "'200'", "2OO", '"200"'])
@pytest.mark.parametrize("end", ["}", ",}"])
def test_a_code_that_is_only_nearly_200_is_none(code: str, end: str) -> None:
    assert isinstance(classify(200, f'{{"code":{code}{end}'.encode()), Unreachable)
