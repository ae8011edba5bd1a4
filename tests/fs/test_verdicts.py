"""How a refusal is worded, and which bytes a path argument becomes."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from sessionstore.errors import InvalidValueError, ProjectPathError
from sessionstore.fs.verdicts import path_bytes, refusals, refused


class TestPathBytes:
    @pytest.mark.parametrize("path", ["/a//./b/../c~/%2e", b"/a//./b/../c~/%2e", "é", b"\xff\xfe", "\udcff", " "])
    def test_changes_nothing(self, path: str | bytes) -> None:
        raw = path.encode("utf-8", "surrogateescape") if isinstance(path, str) else path
        assert path_bytes("project", path) == raw

    def test_takes_a_path_object(self) -> None:
        assert path_bytes("project", Path("/a/b")) == b"/a/b"

    @pytest.mark.parametrize("path", ["", b"", "a\0b", b"\0", "\ud800"])
    def test_what_no_directory_can_be_called_is_invalid(self, path: str | bytes) -> None:
        with pytest.raises(ProjectPathError) as caught:
            path_bytes("project", path)
        assert caught.value.verdict == "invalid_path"

    @pytest.mark.parametrize("path", [None, 3, ["/a"], bytearray(b"/a")])
    def test_what_is_no_path_is_a_wrong_argument(self, path: object) -> None:
        with pytest.raises(InvalidValueError, match="project: text, bytes or a path object"):
            path_bytes("project", path)  # type: ignore[arg-type]


class TestRefusals:
    @pytest.mark.parametrize(
        ("number", "verdict", "detail"),
        [
            (errno.ENOENT, "missing", "there is nothing under that name"),
            (errno.ENOTDIR, "not_a_directory", "it, or something on the way to it, is not a directory"),
            (errno.ENAMETOOLONG, "invalid_path", "the name is longer than the system allows"),
            (errno.ELOOP, "inaccessible", "ELOOP"),
            (errno.EMFILE, "inaccessible", "EMFILE, which may pass"),
            (errno.EIO, "inaccessible", "EIO, which may pass"),
            (errno.ESTALE, "inaccessible", "ESTALE, which may pass"),
            (errno.EACCES, "inaccessible", "EACCES, which may pass"),
            (9999, "inaccessible", "error 9999"),
        ],
    )
    def test_every_error_of_the_system_becomes_a_verdict(self, number: int, verdict: str, detail: str) -> None:
        with pytest.raises(ProjectPathError) as caught, refusals(b"/p"):
            raise OSError(number, "text")
        assert (caught.value.verdict, caught.value.detail, caught.value.path) == (verdict, detail, "/p")
        assert isinstance(caught.value.__cause__, OSError)

    def test_an_error_without_a_number_is_refused_too(self) -> None:
        with pytest.raises(ProjectPathError) as caught, refusals(b"/p"):
            raise OSError("no number")
        assert caught.value.verdict == "inaccessible"

    def test_a_passing_cause_has_the_hint_to_try_again(self) -> None:
        with pytest.raises(ProjectPathError) as caught, refusals(b"/p"):
            raise OSError(errno.ENFILE, "text")
        assert "try again" in caught.value.hint

    def test_other_errors_go_through(self) -> None:
        with pytest.raises(ZeroDivisionError), refusals(b"/p"):
            raise ZeroDivisionError


class TestRefused:
    def test_shows_bytes_that_are_no_text_as_escapes(self) -> None:
        assert refused(b"/a\xff\n", "missing", "gone").path == "/a\\xff\n"
