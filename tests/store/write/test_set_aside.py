"""Events that cannot be listed, as files."""

import os
from pathlib import Path

from gatepost.journal.files import Files
from gatepost.store.write.set_aside import DOUBTFUL, SetAside


def test_the_oldest_file_is_the_one_that_was_written_first(tmp_path: Path) -> None:
    files = SetAside(tmp_path, Files())
    assert files.oldest() is None
    for body, at in ((b"a", 300.0), (b"b", 100.0)):
        os.utime(tmp_path / files.keep_body(body), (at, at))
    os.utime(tmp_path / files.keep_body(b"c", DOUBTFUL), (200.0, 200.0))
    assert files.oldest() == 100.0
    assert files.expire(150.0) == 1
    assert files.oldest() == 200.0
