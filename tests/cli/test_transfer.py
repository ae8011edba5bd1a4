"""export and import: documents travel between stores, transcripts come in, secrets stay out of arguments."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from sessionstore.importers.demo import demo_transcript


@pytest.fixture
def passphrase(tmp_path: Path) -> str:
    file = tmp_path / "secret.txt"
    file.write_text("correct horse battery\nanything else\n", encoding="utf-8")
    return str(file)


@pytest.fixture
def elsewhere(tmp_path: Path) -> list[str]:
    """Options for another machine's store."""
    return ["--root", str(tmp_path / "elsewhere")]


class TestExport:
    def test_the_document_goes_to_stdout_byte_for_byte(self, child, session_id: str) -> None:
        ran = child("export", session_id)
        assert (ran.code, ran.err) == (0, "")
        assert ran.value["export"]["entries"][0] == {"role": "user", "content": "hello"}

    def test_a_file_is_new_and_private(self, call, session_id: str, tmp_path: Path) -> None:
        target = tmp_path / "a.session.json"
        assert call("export", session_id, "-o", str(target)) == (0, f"{target}\n", "")
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        before = target.read_bytes()
        ran = call("export", session_id, "-o", str(target))
        assert ran == (2, "", f"sessionstore: error[usage]: {target} exists already and is not replaced\n")
        assert target.read_bytes() == before

    def test_with_json_the_file_is_described(self, call, session_id: str, tmp_path: Path) -> None:
        target = tmp_path / "a.session.json"
        value = call("export", session_id, "-o", str(target), "--json").value
        assert value == {"id": session_id, "file": str(target), "size_bytes": target.stat().st_size}

    def test_a_terminal_is_no_place_for_a_document(self, session_id: str, terminal) -> None:
        screen = terminal("export", session_id)
        assert screen.code == 2
        assert "error[usage]: the document is not for a terminal; give -o FILE" in screen.text
        assert "hello" not in screen.text

    def test_a_directory_that_is_missing_is_named(self, call, session_id: str, tmp_path: Path) -> None:
        ran = call("export", session_id, "-o", str(tmp_path / "no/such/place"))
        assert ran.code == 2
        assert "cannot write" in ran.err

    def test_a_changed_session_is_not_exported(self, call, session_id: str, home: Path, tmp_path: Path) -> None:
        file = home / "data/sessions" / f"{session_id}.jsonl"
        file.write_bytes(file.read_bytes().replace(b"hello", b"hellO"))
        target = tmp_path / "a.session.json"
        assert call("export", session_id, "-o", str(target)).code == 4
        assert not target.exists()


class TestImportDocument:
    def test_it_becomes_a_new_session_of_the_same_store(self, call, session_id: str, tmp_path: Path) -> None:
        target = str(tmp_path / "a.session.json")
        call("export", session_id, "-o", target)
        (taken,) = call("import", target, "--json").value["imported"]
        assert taken["id"] != session_id
        assert (taken["format"], taken["entries"], taken["name"]) == ("sessionstore", 2, "first")
        assert call("show", taken["id"], "--json").value["session"]["origin"] == session_id

    def test_another_machine_needs_the_passphrase(
        self, call, session_id: str, passphrase: str, elsewhere: list[str]
    ) -> None:
        document = call("export", session_id, "--passphrase-file", passphrase).out.encode()
        refused = call(*elsewhere, "import", "-", "--json", data=document)
        assert (refused.code, refused.error["code"]) == (8, "unknown_key")
        wrong = call(*elsewhere, "import", "-", "--json", "--passphrase-file", "/dev/null", data=document)
        assert wrong.code == 2
        taken = call(*elsewhere, "import", "-", "--json", "--passphrase-file", passphrase, data=document)
        assert taken.code == 0

    def test_a_wrong_passphrase_is_refused(
        self, call, session_id: str, passphrase: str, elsewhere: list[str], tmp_path: Path
    ) -> None:
        target = str(tmp_path / "a.session.json")
        call("export", session_id, "--passphrase-file", passphrase, "-o", target)
        ran = call(*elsewhere, "import", target, "--passphrase-file", "-", "--json", data=b"wrong wrong wrong\n")
        assert (ran.code, ran.error["code"]) == (4, "invalid_signature")

    def test_an_unknown_key_can_be_vouched_for(self, call, session_id: str, elsewhere: list[str]) -> None:
        document = call("export", session_id).out.encode()
        assert call(*elsewhere, "import", "-", data=document).code == 8
        assert call(*elsewhere, "import", "-", "--trust-unknown-key", data=document).code == 0

    def test_a_changed_document_is_refused(self, call, session_id: str) -> None:
        document = call("export", session_id).out.encode().replace(b"hello", b"hellO")
        ran = call("import", "-", "--json", data=document)
        assert (ran.code, ran.error["code"]) == (4, "invalid_signature")

    def test_the_id_can_be_kept_once(self, call, session_id: str, elsewhere: list[str], tmp_path: Path) -> None:
        target = str(tmp_path / "a.session.json")
        call("export", session_id, "-o", target)
        assert call("import", target, "--keep-id").code == 7
        kept = call(*elsewhere, "import", target, "--keep-id", "--trust-unknown-key", "--json")
        assert kept.value["imported"][0]["id"] == session_id

    @pytest.mark.parametrize("content", ["", "\nsecret", "\xff"])
    def test_an_empty_passphrase_or_one_that_is_no_text_is_refused(
        self, content: str, call, session_id: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "pass"
        file.write_bytes(content.encode("latin-1"))
        assert call("export", session_id, "--passphrase-file", str(file)).code == 2

    def test_stdin_is_read_once_only(self, call) -> None:
        assert call("import", "-", "-").code == 2
        assert call("import", "-", "--passphrase-file", "-").code == 2


class TestImportTranscript:
    @pytest.fixture
    def files(self, tmp_path: Path) -> dict[str, str]:
        """The packaged transcripts as files, by format."""
        names = {}
        for name in ("claude-code", "codex", "gemini"):
            file = tmp_path / f"{name}.jsonl"
            file.write_bytes(demo_transcript(name))
            names[name] = str(file)
        return names

    @pytest.mark.parametrize("name", ["claude-code", "codex", "gemini"])
    @pytest.mark.parametrize("given", ["auto", "named"])
    def test_each_format_is_read(self, name: str, given: str, call, files: dict[str, str]) -> None:
        (taken,) = call("import", files[name], "--json", "--format", "auto" if given == "auto" else name).value[
            "imported"
        ]
        assert taken["format"] == name
        report = taken["report"]
        assert report["records"] == report["messages"] + sum(report["preserved"].values())
        assert call("show", taken["id"], "--json").value["session"]["provenance"] == "imported"

    def test_a_pipe_is_read_too(self, child, files: dict[str, str]) -> None:
        assert child("import", "-", data=Path(files["codex"]).read_bytes()).code == 0

    def test_people_see_ids_on_stdout_and_what_became_of_the_lines_on_stderr(self, call, files: dict[str, str]) -> None:
        ran = call("import", files["codex"])
        assert ran.code == 0
        assert [line.split()[1] for line in ran.out.splitlines()] == ["FORMAT", "codex"]
        assert "22 records: 8 messages with 2 tool calls" in ran.err
        assert "preserved word for word" in ran.err

    def test_a_torn_last_line_is_reported_and_not_fatal(self, call, files: dict[str, str], tmp_path: Path) -> None:
        torn = tmp_path / "torn.jsonl"
        torn.write_bytes(demo_transcript("codex").rstrip(b"\n")[:-10])
        ran = call("import", str(torn))
        assert ran.code == 0
        assert "  torn last line: " in ran.err
        assert call("import", str(torn), "--json").value["imported"][0]["report"]["torn_last_line"] is True

    def test_several_files_become_several_sessions_and_a_bad_one_does_not_stop_the_others(
        self, call, files: dict[str, str], tmp_path: Path
    ) -> None:
        bad = tmp_path / "bad.txt"
        bad.write_text("no transcript", encoding="utf-8")
        ran = call("import", files["codex"], str(bad), "missing", files["gemini"], "--json")
        assert [one["format"] for one in ran.value["imported"]] == ["codex", "gemini"]
        assert {name: failure["code"] for name, failure in ran.value["failed"].items()} == {
            str(bad): "import_failed",
            "missing": "usage",
        }
        assert ran.code == 1
        seen = call("import", str(bad), "missing", files["codex"])
        assert f"{bad}: error[import_failed]: " in seen.err
        assert "missing: error[usage]: cannot read missing: no such file or directory\n" in seen.err

    def test_a_single_bad_file_is_an_error(self, call, files: dict[str, str], tmp_path: Path) -> None:
        ran = call("import", files["codex"], "--format", "gemini", "--json")
        assert (ran.code, ran.error["code"]) == (1, "import_failed")
        assert call("list", "--json").value["sessions"] == []

    def test_a_file_over_the_cap_is_not_read(self, call, tmp_path: Path) -> None:
        large = tmp_path / "large.jsonl"
        with large.open("wb") as stream:
            stream.truncate(1 << 30)
        ran = call("import", str(large), "--json")
        assert (ran.code, ran.error["code"]) == (9, "too_large")

    def test_a_progress_bar_is_drawn_on_a_terminal_only(self, terminal, child, files: dict[str, str]) -> None:
        assert "importing" in terminal("import", *files.values()).text
        assert "importing" not in child("import", *files.values()).err


class TestImportLegacy:
    @pytest.fixture
    def signed(self, tmp_path: Path) -> list[str]:
        """The arguments for a file that another tool signed."""
        vectors = Path(__file__).resolve().parents[1] / "vectors" / "signed-legacy.json"
        vector = json.loads(vectors.read_text())
        (tmp_path / "old.json").write_text(vector["files"][0]["text"])
        (tmp_path / "secret").write_text(vector["secret"])
        with_key = ["--salt", vector["salt"], "--secret-file", str(tmp_path / "secret"), "--host", vector["host"]]
        return ["import", "--format", "legacy", str(tmp_path / "old.json"), *with_key]

    def test_a_signed_file_is_taken_with_salt_secret_and_host(self, call, signed: list[str]) -> None:
        (taken,) = call(*signed, "--json").value["imported"]
        assert (taken["format"], taken["name"], taken["entries"]) == ("legacy", "Golden vector", 0)
        session = call("show", taken["id"], "--json").value["session"]
        assert (session["provenance"], session["origin"]) == ("imported", "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d")

    def test_another_host_is_refused(self, call, signed: list[str]) -> None:
        ran = call(*signed[:-1], "other", "--json")
        assert (ran.code, ran.error["code"]) == (4, "invalid_signature")

    def test_the_secret_is_never_an_argument_and_all_three_are_needed(self, call, signed: list[str]) -> None:
        assert "needed together" in call(*signed[:-2]).err
        assert "belong to --format legacy" in call("import", signed[3], "--host", "devbox").err
        assert "stdin can be read once" in call(*signed[:3], "-", *signed[4:6], "--secret-file", "-").err
        secret = Path(signed[7]).read_bytes()
        assert call(*signed[:7], "-", *signed[8:], data=secret).code == 0

    def test_an_unsigned_file_needs_somebody_who_vouches(self, call, tmp_path: Path, unsigned) -> None:
        file = tmp_path / "any name.json"
        file.write_bytes(unsigned("0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"))
        ran = call("import", "--format", "legacy", str(file), "--json")
        assert (ran.code, ran.error["code"]) == (4, "unsigned_unknown")
        assert "--trust-unsigned" in ran.error["hint"]
        assert "appeared" not in ran.error["message"] and "--trust-unsigned" in ran.error["hint"]
        assert call("import", "--format", "legacy", str(file), "--trust-unsigned").code == 0

    @pytest.mark.parametrize("indent", [None, 2])
    def test_what_a_file_of_that_format_is_is_said_where_nothing_was(
        self, call, signed: list[str], indent: int | None
    ) -> None:
        file = Path(signed[3])
        file.write_text(json.dumps(json.loads(file.read_text()), indent=indent))
        ran = call("import", str(file), "--json")
        assert (ran.code, ran.error["code"]) == (1, "import_failed")
        assert "format version 1" in ran.error["message"] and ran.error["hint"] == "import it with --format legacy"

    @pytest.mark.parametrize("text", ['{"version": 1}', '{"version": 2, "conversation": []}', "[1]", "{"])
    def test_nothing_else_is_taken_for_one(self, call, tmp_path: Path, text: str) -> None:
        (tmp_path / "other.json").write_text(text)
        ran = call("import", str(tmp_path / "other.json"), "--json")
        assert ran.error["code"] == "import_failed" and "legacy" not in ran.error["hint"]
