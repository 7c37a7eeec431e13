"""What a reply means is read by the page alone."""

import json

import pytest

from gatepost.conformance.acknowledgement import acknowledged, all_taken, reply_of, unconnected, why_not
from gatepost.conformance.raw_http import Answer, NoResponse, Response
from gatepost.conformance.rule import Verdict, Words

SUCCESS = b'{"code":200,"message":"success","data":{}}'


def response(status: int = 200, body: bytes = SUCCESS) -> Response:
    return Response(status, "HTTP/1.1", (), body, 0.0)


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        (response(), True),
        (response(body=b'{"code":200}'), True),
        (response(201), False),
        (response(204, b""), False),
        (response(body=b'{"code":"200"}'), False),
        (response(body=b'{"code":200.0}'), False),
        (response(body=b'{"code":true}'), False),
        (response(body=b'[{"code":200}]'), False),
        (response(body=b"success"), False),
        (NoResponse("reset"), False),
    ],
)
def test_only_http_200_with_the_integer_200_is_an_acknowledgement(answer: Answer, taken: bool) -> None:
    assert acknowledged(answer) is taken


def test_why_it_is_none_is_said_in_both_languages() -> None:
    assert why_not(NoResponse("reset")) == Words("reset", "无应答（reset）")
    assert "terminals cannot log in" in why_not(response(401, b"")).en
    assert "no JSON object" in why_not(response(200, b"<html>")).en
    assert why_not(response(200, b'{"code":500,"message":"busy"}')).en == "HTTP 200, code 500 busy"


def test_of_many_cases_the_broken_ones_are_named_and_counted() -> None:
    cases = [(f"case {number}", response(500, b"")) for number in range(5)] + [("good", response())]
    finding = all_taken(cases, what=Words("things", "事项"))
    assert finding.verdict is Verdict.FAIL
    assert finding.why.en.startswith("5 of 6 things not acknowledged: case 0: HTTP 500")
    assert finding.why.en.endswith("and 2 more")


def test_what_is_no_json_object_is_no_reply() -> None:
    assert reply_of(response()) == json.loads(SUCCESS)
    assert reply_of(response(body=b"[" * 100_000)) is None
    assert unconnected(TimeoutError()).why == "no connection: timed out"
