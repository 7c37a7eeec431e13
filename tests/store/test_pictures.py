import json
from base64 import b64encode

from gatepost.store.pictures import LONG, without_pictures

FACE = b64encode(bytes(range(256)) * 8).decode()


def test_every_long_text_goes_wherever_it_stands_and_the_rest_stays() -> None:
    push = {"type": 7, "data": {"photo": FACE, "more": [{"x": '\\"' + FACE}], "name": "王五", "score": 0.5}}
    left = json.loads(without_pictures(json.dumps(push).encode()))
    assert left == {"type": 7, "data": {"photo": "", "more": [{"x": ""}], "name": "王五", "score": 0.5}}


def test_a_text_that_is_no_picture_for_want_of_length_stays() -> None:
    push = json.dumps({"remark": "x" * (LONG - 1), "y": "y" * LONG}).encode()
    assert json.loads(without_pictures(push)) == {"remark": "x" * (LONG - 1), "y": ""}


def test_a_small_push_is_not_looked_at() -> None:
    push = b'{"broken": "'
    assert without_pictures(push) is push
