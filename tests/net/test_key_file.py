"""The key file: which secrets sign and are accepted, and what is said about a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbctl.net.key_file import KeyFileError, read_keys

OLD, NEW = "0123456789abcdef", "fedcba9876543210"


def test_the_first_signs_and_ids_do_not_depend_on_the_order(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f"# the old one\n{OLD}\n\n  {NEW}  \n")
    (old, new) = read_keys(path)
    assert (old[1], new[1]) == (OLD.encode(), NEW.encode())
    path.write_text(f"{NEW}\n{OLD}")
    assert read_keys(path) == (new, old)
    assert old[0] != new[0]
    assert all(0 <= key_id < 2**32 for key_id, _ in (old, new))


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), ("", "no key in it"), ("# only this\n", "no key"), (f"{OLD}\nshort\n", "line 2: shorter")],
)
def test_a_bad_file_is_named(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)
    with pytest.raises(KeyFileError, match=words) as refused:
        read_keys(path)
    assert str(path) in str(refused.value)
    assert "short" not in str(refused.value).replace("shorter", ""), "secrets are not repeated"
