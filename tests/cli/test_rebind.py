"""`rebind`: what would change is shown first, nothing is bound without consent, and nothing else than was shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessionstore.cli.rebind import moved


@pytest.fixture
def old(tmp_path: Path) -> Path:
    old = tmp_path / "old"
    (old / "a" / "deep").mkdir(parents=True)
    (tmp_path / "older").mkdir()
    return old


@pytest.fixture
def sessions(call, old: Path) -> dict[str, str]:
    """Sessions by the name of their directory: below `old`, and one in `older`, whose name begins the same."""
    places = {"old": old, "a": old / "a", "deep": old / "a" / "deep", "older": old.with_name("older")}
    return {name: call("new", "--name", name, "--project", str(place)).out.strip() for name, place in places.items()}


class TestOne:
    def test_a_moved_project_is_bound_where_it_is_now(self, call, child, old: Path, sessions: dict[str, str]) -> None:
        (old / "a").rename(old / "b")
        assert call("resume", sessions["a"]).code == 5
        ran = call("rebind", sessions["a"], str(old / "b"), "--confirm")
        assert ran == (
            0,
            f"bound {sessions['a']}  {old}/b\n",
            f"{sessions['a']}\n  before   {old}/a\n  after    {old}/b\n  changed  the path\n",
        )
        assert call("resume", sessions["a"]).code == 0

    def test_a_dry_run_says_what_and_changes_nothing(
        self, call, old: Path, sessions: dict[str, str], home: Path
    ) -> None:
        (old / "a").rename(old / "b")
        before = (home / "data/sessions" / f"{sessions['a']}.jsonl").read_bytes()
        value = call("rebind", "a", str(old / "b"), "--dry-run", "--json").value
        planned = {"id": sessions["a"], "before": f"{old}/a", "after": f"{old}/b", "changed": ["the path"]}
        assert value == {"would_rebind": [planned], "failed": {}}
        assert (home / "data/sessions" / f"{sessions['a']}.jsonl").read_bytes() == before

    def test_another_directory_under_the_old_name_is_called_one(
        self, call, old: Path, sessions: dict[str, str]
    ) -> None:
        (old / "a").rename(old / "b")
        (old / "a").mkdir(mode=0o700)
        ran = call("rebind", "a", "--confirm")
        assert ran.code == 0
        assert "  changed  it is another directory than the saved one\n" in ran.err
        assert "  changed  the permissions: 0755 before, 0700 now\n" in ran.err
        assert call("resume", "a").code == 0

    def test_the_same_directory_needs_no_consent(self, call, sessions: dict[str, str], old: Path) -> None:
        assert call("rebind", "a") == (0, f"unchanged {sessions['a']}  {old}/a\n", "")

    def test_a_session_without_a_project_gets_one(self, call, session_id: str, old: Path) -> None:
        assert call("rebind", session_id).code == 2
        ran = call("rebind", session_id, str(old), "--confirm")
        assert ran.code == 0
        assert "  before   none\n" in ran.err
        assert call("resume", session_id, "--json").value["project"]["path"] == str(old)

    def test_what_is_refused_is_the_error(self, call, sessions: dict[str, str], old: Path) -> None:
        ran = call("--json", "rebind", "a", str(old / "nowhere"), "--confirm")
        assert ran.code == 5
        assert ran.error["verdict"] == "missing"

    def test_a_directory_that_all_may_write_to_has_to_be_vouched_for(
        self, call, sessions: dict[str, str], old: Path
    ) -> None:
        old.chmod(0o777)
        assert call("rebind", "old", "--confirm").code == 5
        ran = call("rebind", "old", "--confirm", "--trust", "world_writable")
        assert ran.code == 0
        assert "  changed  what is vouched for: nothing before, world_writable now\n" in ran.err


class TestConsent:
    def test_without_a_terminal_it_must_be_given(self, call, sessions: dict[str, str], old: Path) -> None:
        ran = call("rebind", "a", str(old))
        assert ran.code == 2
        assert "binding sessions anew needs --confirm" in ran.err
        assert call("resume", "a", "--json").value["project"]["path"] == f"{old}/a"

    @pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 1)])
    def test_a_terminal_is_asked_once(
        self, call, terminal, sessions: dict[str, str], old: Path, answer: bytes, code: int
    ) -> None:
        screen = terminal("rebind", "a", str(old), answer=answer)
        assert f"after    {old}\n" in screen.text
        assert screen.code == code
        bound_to = call("show", "a", "--json").value["session"]["project"]
        assert bound_to == str(old if code == 0 else old / "a")

    def test_it_stands_in_the_audit_log(self, call, sessions: dict[str, str], old: Path) -> None:
        call("rebind", "a", str(old), "--confirm")
        (record,) = call("audit", "show", "--event", "rebind", "--json").value["events"]
        assert record["fields"]["consent"] == "rebind --confirm"

    def test_a_directory_exchanged_before_the_answer_is_no_success(
        self, terminal, sessions: dict[str, str], old: Path
    ) -> None:
        (old / "b").mkdir()

        def exchange() -> None:
            (old / "b").rename(old / "c")
            (old / "b").mkdir()

        screen = terminal("rebind", "a", str(old / "b"), answer=b"y\n", meanwhile=exchange)
        assert screen.code == 5
        assert "it is not what was agreed to" in " ".join(screen.text.split())


class TestMany:
    def test_all_below_are_bound_and_none_beside(self, call, old: Path, sessions: dict[str, str]) -> None:
        new = old.rename(old.with_name("new"))
        ran = call("rebind", "--from", f"{old}/", "--to", str(new), "--confirm", "--json")
        assert ran.code == 0
        bound = {one["id"]: one["after"] for one in ran.value["rebound"]}
        assert bound == {
            sessions["old"]: str(new),
            sessions["a"]: f"{new}/a",
            sessions["deep"]: f"{new}/a/deep",
        }
        assert {call("resume", name).code for name in sessions} == {0}

    def test_there_is_one_question(self, terminal, call, old: Path, sessions: dict[str, str]) -> None:
        new = old.rename(old.with_name("new"))
        screen = terminal("rebind", "--from", str(old), "--to", str(new), answer=b"y\n")
        assert "Bind 3 sessions as shown? [y/N]" in screen.text
        assert screen.code == 0
        assert call("resume", "deep").code == 0

    def test_what_cannot_be_bound_is_named_and_the_others_are(self, call, old: Path, sessions: dict[str, str]) -> None:
        new = old.rename(old.with_name("new"))
        (new / "a" / "deep").rmdir()
        ran = call("rebind", "--from", str(old), "--to", str(new), "--confirm")
        assert ran.code == 5
        assert f"not bound: {sessions['deep']}: error[project_path_security_violation]" in ran.err
        assert call("resume", "a").code == 0

    def test_a_damaged_session_is_left_out(self, call, old: Path, sessions: dict[str, str], home: Path) -> None:
        file = home / "data/sessions" / f"{sessions['a']}.jsonl"
        file.write_bytes(file.read_bytes().replace(b'"name":"a"', b'"name":"b"'))
        ran = call("rebind", "--from", str(old), "--to", str(old), "--dry-run", "--json")
        assert {one["id"] for one in ran.value["would_rebind"]} == {sessions["old"], sessions["deep"]}

    def test_a_running_one_keeps_its_directory(self, call, home: Path, old: Path, sessions: dict[str, str]) -> None:
        from sessionstore import open_store

        with open_store(home) as store, store.resume(sessions["a"]):
            ran = call("--json", "rebind", "--from", str(old), "--to", str(old), "--dry-run")
        assert ran.code == 7
        assert ran.value["failed"][sessions["a"]]["code"] == "already_running"

    def test_nothing_there_is_said(self, call, sessions: dict[str, str]) -> None:
        ran = call("rebind", "--from", "/nowhere", "--to", "/elsewhere")
        assert (ran.code, ran.err) == (0, "no session has a directory there\n")


class TestUsage:
    @pytest.mark.parametrize(
        "text", ["", "--from /a", "--to /a", "a --to /b", "a --from /a --to /b", "--from a --to b", "--from /a --to b"]
    )
    def test_it_is_one_session_or_all_below(self, call, text: str) -> None:
        assert call("rebind", *text.split()).code == 2


class TestMoved:
    @pytest.mark.parametrize(
        ("path", "old", "new", "result"),
        [
            (b"/a", b"/a", b"/b", b"/b"),
            (b"/a/x/y", b"/a", b"/b", b"/b/x/y"),
            (b"/a/x", b"/a/", b"/b/", b"/b/x"),
            (b"/a/x", b"/", b"/mnt", b"/mnt/a/x"),
            (b"/a/x", b"/a", b"/", b"/x"),
            (b"/a/\xff", b"/a", b"/\xfe", b"/\xfe/\xff"),
        ],
    )
    def test_the_beginning_is_exchanged(self, path: bytes, old: bytes, new: bytes, result: bytes) -> None:
        assert moved(path, old, new) == result
