"""No pin, no token and nothing like a picture is left of a body, whatever form it has."""

import json
import random
from urllib.parse import quote, urlencode

import pybase64
import pytest
from tests.receiver.kit import record

from gatepost.receiver.http.redact import MAX_SAMPLE, redacted, serial_in

PICTURE = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + random.Random(7).randbytes(6000) + b"\xff\xd9"
BASE64 = pybase64.b64encode(PICTURE).decode()
PIN = "829164"
USER = {"name": "王五", "pin": PIN, "user_id": "5"}
PUSH = record(deviceSN="SN-1", user=USER, rgb_image=BASE64)
JSON = json.dumps(PUSH, ensure_ascii=False)


def wrapped(text: str, width: int, end: str) -> str:
    return end.join(text[at : at + width] for at in range(0, len(text), width))


BODIES = {
    "cut json": JSON[:-9].encode(),
    "escaped slashes": JSON.replace("/", "\\/").encode()[:-1],
    "escaped letters": JSON.replace("+", "\\u002b").encode()[:-1],
    "pretty json": json.dumps(PUSH, indent=4).encode()[:-1],
    "wrapped at 76": JSON.replace(BASE64, wrapped(BASE64, 76, "\r\n")).encode()[:-1],
    "wrapped by escapes": JSON.replace(BASE64, wrapped(BASE64, 60, "\\n")).encode()[:-1],
    "plus became blank": JSON.replace("+", " ").encode()[:-1],
    "url-safe": JSON.replace("+", "-").replace("/", "_").encode()[:-1],
    "gbk": JSON.encode("gbk")[:-1],
    "utf-16": JSON.encode("utf-16"),
    "utf-16 big endian": JSON.encode("utf-16-be"),
    "utf-32": JSON.encode("utf-32"),
    "python": str(PUSH).encode(),
    "python bytes": str({"pin": PIN, "photo": PICTURE}).encode(),
    "numbers": str({"'pin'": PIN, "photo": list(PICTURE)}).encode(),
    "hexadecimal": f"pin={PIN}&photo={PICTURE.hex()}".encode(),
    "hexadecimal numbers": f"PIN: {PIN}\n".encode() + b", ".join(b"0x%02x" % byte for byte in PICTURE),
    "json in json": json.dumps({"event": json.dumps(PUSH)})[:-1].encode(),
    "form of json": urlencode({"data": JSON}).encode(),
    "form": urlencode({"sn": "SN-1", "userPin": PIN, "photo": BASE64, "name": "王五"}).encode(),
    "form of bytes": b"pin=" + PIN.encode() + b"&photo=" + quote(PICTURE).encode(),
    "xml": f'<event><pin type="text">{PIN}</pin><photo>{BASE64}</photo></event>'.encode(),
    "xml with cdata": f"<Event><PIN><![CDATA[{PIN}]]></PIN><photo>{BASE64}</photo></Event>".encode(),
    "multipart": (
        f'--x\r\nContent-Disposition: form-data; name="pin"\r\nContent-Type: text/plain; charset=x\r\n\r\n{PIN}\r\n'
        f'--x\r\nContent-Disposition: form-data; name="f"; filename="a.jpg"\r\n\r\n'
    ).encode()
    + PICTURE
    + b"\r\n--x--\r\n",
    "picture": PICTURE,
    "yaml": f"sn: SN-1\npin: {PIN}\nphoto: {BASE64}\n".encode(),
    "unquoted": f"{{type:0,data:{{user:{{pin:{PIN},name:x}},rgb_image:{BASE64}}}}}".encode(),
    "garbage before the value": JSON.replace(f'"pin": "{PIN}"', f'"pin": x"{PIN}"')[:-1].encode(),
    "a quote in it": JSON.replace(f'"{PIN}"', f'"\\"{PIN}"')[:-1].encode(),
    "a quote in it, half escaped": f"{{'pin': 'x\\'{PIN}'".encode(),
    "pin that ends nowhere": f'{{"data":{{"pin":"{PIN}'.encode(),
    "spelt otherwise": JSON.replace('"pin"', '"Pin_Code"')[:-1].encode(),
    "pin in a list": f"{{'pin': ['{PIN}']}}".encode(),
    "pin in entities": f"&quot;pin&quot;:&quot;{PIN}&quot;".encode(),
    "pin in entities of entities": f"&amp;quot;pin&amp;quot;:&amp;quot;{PIN}&amp;quot;".encode(),
    "pin in numbered entities": f"&#112;in={PIN}".encode(),
    "pin with one percent escape": f'{{"%70in":"{PIN}"'.encode(),
    "pin with hexadecimal escapes": f'{{"\\x70\\x69n":"{PIN}"'.encode(),
    "pin with an escaped backslash": f'"{{\\\\u0070in:{PIN}'.encode(),
    "number of a pin": f'{{"pinNo":"{PIN}"'.encode(),
    "pins": f'{{"pins":["000","{PIN}"]'.encode(),
    "pair": f'[["pin","{PIN}"]]'.encode(),
    "pair of names": f'{{"key":"pin","value":"{PIN}"}}'.encode(),
    "pair of elements": f"<name>pin</name><value>{PIN}</value>".encode(),
    "value before its name": f'{{"value":"{PIN}","key":"pin"}}'.encode(),
    "csv": f"name,pin\nx,{PIN}\ny,{PIN}\n".encode(),
    "yaml list": f"pin:\n  - 000\n  - {PIN}\n".encode(),
    "sentence": f"the pin is {PIN}".encode(),
    "full-width": f'{{"ｐｉｎ":"{PIN}"'.encode(),
    "chinese": f'{{"密码":"{PIN}"'.encode(),
    "chinese in gbk": f"密码：{PIN}".encode("gbk"),
    "chinese in big5": f"密碼={PIN}".encode("big5"),
    "chinese, escaped": f'{{"\\u5bc6\\u7801":"{PIN}"'.encode(),
    "german": f'{{"Passwort":"{PIN}"'.encode(),
    "quoted pieces of 16": ",".join(f'"{BASE64[at : at + 16]}"' for at in range(0, 2000, 16)).encode(),
    "quoted pieces of 20": '"+"'.join(BASE64[at : at + 20] for at in range(0, 2000, 20)).encode(),
    "blanks between pieces of 16": wrapped(BASE64[:2000], 16, " ").encode(),
    "pin in an object": f"{{'pin': {{'value': '{PIN}'}}}}".encode(),
}


def pieces(text: str, size: int) -> set[str]:
    return {text[at : at + size] for at in range(len(text) - size + 1)}


@pytest.mark.parametrize("name", BODIES)
def test_no_pin_and_no_piece_of_a_picture_is_left(name: str) -> None:
    sample = redacted(BODIES[name])
    assert len(sample) <= MAX_SAMPLE
    assert PIN.encode() not in sample
    text = "".join(sample.decode("latin-1").split())
    for form in (BASE64, BASE64.replace("+", "-").replace("/", "_"), PICTURE.hex()):
        assert not pieces(text, 16) & pieces(form, 16)
    assert PICTURE[:4] not in sample
    assert ", ".join(map(str, PICTURE[:24])) not in sample.decode("latin-1")


SECRETS = [
    "Authorization: Bearer k7Jd",
    '{"token": "k7Jd"',
    "access_token=k7Jd&x=1",
    "{'password': 'k7Jd'",
    "<Password>k7Jd</Password>",
    '{"apiKey":"k7Jd"',
    "Cookie: session=k7Jd",
    '{\\"secret\\":\\"k7Jd\\"',
    "gp_" + "k7Jd" * 10,
    "/Record/" + "k7Jd" * 8,
    "http://admin:k7Jd@host/Record",
    '{"event_dest":"http:\\/\\/admin:k7Jd@host\\/Record"',
    "Basic k7JdOmsxMjM=",
    "bearer k7Jdk7Jd",
    "eyJhbGciOi.eyJzdWIiOiIx.k7Jd",
    '["token","k7Jd"]',
    "<name>password</name><value>k7Jd</value>",
    "&quot;secret&quot;:&quot;k7Jd&quot;",
]


@pytest.mark.parametrize("text", SECRETS)
def test_a_token_or_password_is_left_out(text: str) -> None:
    assert b"k7Jd" not in redacted(text.encode())


def test_what_tells_the_mistake_is_there_to_the_letter() -> None:
    text = '{"type":0,"data":{"deviceSN":"SN-1","user":{"name":"王五","pin":"","user_id":"5"},"mode":3,}} }'
    assert redacted(text.encode()).decode() == text
    assert redacted(b'{"type":0,"data":{"key":"pin","value":"4711","user_id":"\xe7\x8e\x8b",}}').decode() == (
        '{"type":…,"data":{"…":"pin"…"…":"…","user_id":"…",}}'
    )
    assert b'"rgb_image":"\xe2\x80\xa6"' in redacted(BODIES["escaped slashes"]).replace(b" ", b"")
    assert redacted(b"not even\r\n\tJSON: shipping to Shanghai, spinning") == (
        b"not even\r\n\tJSON: shipping to Shanghai, spinning"
    )


def test_of_an_endless_body_only_the_beginning_is_looked_at() -> None:
    for piece in (
        b'{"a":',
        b'"',
        b"pin",
        b"'",
        b"<pin",
        b"a b ",
        b"1,",
        b"\\x41",
        b"%41",
        b'name="',
        b"\\",
        b"[",
    ):
        assert len(redacted(piece * (8_000_000 // len(piece)))) <= MAX_SAMPLE


@pytest.mark.parametrize(
    ("body", "serial"),
    [
        (BODIES["cut json"], "SN-1"),
        (b'{"type":0,"data":{"rgb_image":"' + BASE64.encode() + b'","deviceSN" : "SN-2", oops}}', "SN-2"),
        (b"{'deviceSN': 'SN-3'", "SN-3"),
        (b'{"TrackID":"T-4"', "T-4"),
        (b"no serial", None),
        (b'{"deviceSN":""', None),
    ],
)
def test_the_serial_in_what_could_not_be_decoded_is_found(body: bytes, serial: str | None) -> None:
    assert serial_in(body) == serial
