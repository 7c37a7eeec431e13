"""Text that is no UTF-8: which encoding it is read as, and how often that is wrong."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.decoding.json.charset import to_utf8

SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧"
GIVEN = [bytes([row, cell]).decode("gb2312") for row in range(0xB0, 0xD7) for cell in range(0xA1, 0xFF)]


def names(count: int) -> list[str]:
    rand = random.Random(20)
    return [rand.choice(SURNAMES) + "".join(rand.choices(GIVEN, k=rand.choice([1, 2]))) for _ in range(count)]


def body(name: bytes) -> bytes:
    return b'{"type":0,"data":{"user":{"name":"' + name + b'","remark":"x"}}}'


def read(name: bytes, declared: str | None = None) -> str:
    converted = to_utf8(body(name), declared)
    assert converted is not None
    text: str = json.loads(converted.text)["data"]["user"]["name"]
    return text


@given(st.text())
def test_utf8_stays_as_it_is_whatever_is_declared(text: str) -> None:
    encoded = ("{" + text.replace("\0", "")).encode("utf-8", "replace")
    assert to_utf8(encoded) is None
    assert to_utf8(encoded, "gbk") is None


@pytest.mark.parametrize(
    ("declared", "name"),
    [
        ("gbk", "张伟"),
        ("GB2312", "王芳"),
        ("gbk", "朱镕基"),
        ('"gb18030"', "王𠮷"),
        ("big5", "陳偉"),
        ("Shift_JIS", "山田太郎"),
        ("euc-kr", "김민수"),
        ("ISO-8859-1", "José"),
        ("windows-1251", "Иванов"),
        ("koi8-r", "Иванов"),
        ("utf-16", "张伟"),
    ],
)
def test_the_declared_charset_counts(declared: str, name: str) -> None:
    encoded = name.encode(declared.strip('"'))
    if declared == "utf-16":
        converted = to_utf8(body(b"NAME").decode().replace("NAME", name).encode("utf-16"), declared)
        assert converted is not None
        assert converted.text == body(name.encode())
        return
    assert read(encoded, declared) == name


@pytest.mark.parametrize(
    "declared", ["hex", "zlib", "rot13", "unicode_escape", "idna", "no such", "\0", "", "undefined"]
)
def test_what_is_no_charset_of_a_text_is_passed_over(declared: str) -> None:
    assert read("张伟".encode("gbk"), declared) == "张伟"


def test_a_charset_that_was_declared_by_mistake_does_not_spoil_what_is_utf8_but_for_a_cut() -> None:
    assert read("阿卜杜拉·买买提".encode()[:-1], "iso-2022-kr") == "阿卜杜拉·买买\ufffd"
    assert read("阿卜杜拉·买买提".encode()[:-1], "big5") == "阿卜杜拉·买买\ufffd"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_wide_encodings_are_told_by_a_mark_or_by_their_nuls(encoding: str, bom: str) -> None:
    text = body("张伟".encode()).decode()
    converted = to_utf8((bom + text).encode(encoding))
    assert converted is not None
    assert converted.text == text.encode()


@pytest.mark.parametrize("cut", [1, 2])
@pytest.mark.parametrize("name", ["阿卜杜拉·买买提" * 6, "王芳", "Ünal Öztürk Ç", "Nguyễn Văn Đ", "😀😀"])
def test_a_name_that_was_cut_inside_a_character_keeps_all_the_others(name: str, cut: int) -> None:
    encoded = name.encode()
    while len(encoded[:-cut].decode("utf-8", "ignore").encode()) == len(encoded) - cut:
        encoded = encoded[:-1]  # until it is inside one
    assert read(encoded[:-cut]).rstrip("\ufffd") == encoded[:-cut].decode("utf-8", "ignore")
    assert read(encoded[:-cut]).endswith("\ufffd")


def test_cut_names_never_become_other_names() -> None:
    for name in names(3000):
        for cut in (1, 2):
            assert read(name.encode()[:-cut]).rstrip("\ufffd") == name[:-1]


def test_names_in_gbk_are_read_but_for_those_that_are_utf8_by_chance() -> None:
    several = names(3000)
    encoded = [(name, name.encode("gbk")) for name in several]
    broken = [(name, text) for name, text in encoded if to_utf8(body(text)) is not None]
    assert len(broken) > 0.98 * len(several)  # the others are UTF-8, and nobody can tell
    wrong = [name for name, text in broken if read(text) != name]
    assert len(wrong) < 0.03 * len(several)


@pytest.mark.parametrize("name", ["李誠", "王寋", "陈憓", "张丂"])
def test_a_character_whose_second_byte_is_ascii_may_stand_before_a_long_text(name: str) -> None:
    text = b'"%b", "remark": "%b"' % (name.encode("gbk"), b"x" * 100)
    converted = to_utf8(text)
    assert converted is not None
    assert converted.text.decode() == text.decode("gbk")


@pytest.mark.parametrize("name", ["José", "Müller", "Zoë", "Åsa"])
def test_latin_text_is_not_taken_for_chinese(name: str) -> None:
    shown = read(name.encode("latin-1"))
    assert "\ufffd" in shown
    assert shown.replace("\ufffd", "").isascii()


def test_bytes_that_are_nothing_are_replaced() -> None:
    assert read(b"\xff\xff") == "\ufffd\ufffd"


@given(st.binary(max_size=300), st.sampled_from([None, "gbk", "utf-8", "utf-16", "latin-1"]))
def test_whatever_comes_becomes_utf8(text: bytes, declared: str | None) -> None:
    converted = to_utf8(text, declared)
    assert (text if converted is None else converted.text).decode() is not None


def test_an_encoding_is_told_by_the_beginning_of_what_is_very_long() -> None:
    assert read("张伟".encode("gbk") * 40_000 + b"\xff") == "张伟" * 40_000 + "\ufffd"
    assert read("张伟".encode() * 40_000 + b"\xff") == "张伟" * 40_000 + "\ufffd"


def cesu8(text: str) -> bytes:
    """Write what Java's ``writeUTF`` and JNI write."""
    units = text.encode("utf-16-be")
    return b"".join(
        units[at : at + 2].decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")
        for at in range(0, len(units), 2)
    )


@pytest.mark.parametrize("beyond", ["😀", "\U0001f44d", "𠮷", "\U0010ffff", "😀𠮷"])
def test_a_character_in_two_halves_is_that_character(beyond: str) -> None:
    for name in names(300):
        converted = to_utf8(body(cesu8(name + beyond)))
        assert converted is not None
        assert (converted.text, converted.encoding, converted.replaced) == (
            body((name + beyond).encode()),
            "cesu-8",
            False,
        )
        assert read(cesu8(beyond + name), "gbk") == beyond + name


@pytest.mark.parametrize("cut", range(1, 6))
def test_a_name_that_was_cut_inside_such_a_character_keeps_all_the_others(cut: int) -> None:
    for name in names(300):
        assert read(cesu8("😀" + name + "😀")[:-cut]).rstrip("\ufffd") == "😀" + name


def test_one_wrong_bit_makes_few_other_names() -> None:
    rand = random.Random(3)
    several, other = names(2000), 0
    for name in several:
        encoded = bytearray(name.encode())
        encoded[rand.randrange(len(encoded))] ^= 1 << rand.randrange(8)
        converted = to_utf8(body(bytes(encoded)))
        other += converted is not None and converted.encoding != "utf-8"
    assert other < 0.05 * len(several)


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        *[(name, "shift_jis") for name in ("x-sjis", "sjis", "Shift_JIS")],
        *[
            (name, "cp932")
            for name in ("windows-31j", "Windows-31J", "ms932", "x-ms932", "csWindows31J", "cp932")
        ],
        *[
            (name, "gb18030")
            for name in ("x-gbk", "gb_2312-80", "GB_2312", "ms936", "windows-936", "936", "gb-18030")
        ],
        *[(name, "big5") for name in ("x-big5", "cn-big5", "big-5")],
        *[(name, "cp950") for name in ("windows-950", "ms950")],
        *[
            (name, "cp1252")
            for name in ("x-cp1252", "cp-1252", "windows1252", "win-1252", "ibm1252", "ansi", "1252")
        ],
        ("x-euc-jp", "euc_jp"),
        ("windows-949", "cp949"),
        ("win1251", "cp1251"),
    ],
)
def test_a_charset_is_known_by_each_usual_name(declared: str, encoding: str) -> None:
    converted = to_utf8(body(b"\xb0\xa1"), declared)
    assert converted is not None
    assert converted.encoding == encoding
