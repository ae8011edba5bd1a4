"""What an attacker works on: a store of its own, one sealed session whose file they may write as they like, and the
directory of a project that they may exchange for another one."""

from __future__ import annotations

import base64
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sessionstore import Session, SessionStore, open_store
from sessionstore.errors import VerificationError
from sessionstore.fs.project import capture
from sessionstore.model import LoadWarning

Child = Callable[..., list[Any]]

# What stands in the project's place, before and after: a link to the attacker's directory or that directory itself,
# under the name of the project or of a directory above it.
SHAPES = ("link", "directory", "link_above", "directory_above")

# Whoever attacks thousands of times is not to be stopped by the count.
UNLIMITED = {"SESSIONSTORE_RESUME_LIMIT": "0", "SESSIONSTORE_RESUME_GLOBAL_LIMIT": "0"}


class Victim:
    """A session in an open store, its file, and the bytes that were acknowledged.

    Attributes:
        root: The home of the store.
        store: Opened on it.
        id: The session.
        path: Its file.
        good: The bytes of that file after the last acknowledged save.
        session: What they stand for.
    """

    def __init__(self, root: Path, store: SessionStore, session_id: str) -> None:
        self.root = root
        self.store = store
        self.id = session_id
        self.path = self.file(session_id)
        self.acknowledge()

    def file(self, session_id: str) -> Path:
        return self.root / "data" / "sessions" / f"{session_id}.jsonl"

    def acknowledge(self) -> None:
        """Take what stands there now as what was saved."""
        self.good = self.path.read_bytes()
        self.session = self.store.load(self.id)

    def put(self, content: bytes) -> None:
        """Write the file as an attacker does: in place, past every lock."""
        self.path.write_bytes(content)

    def refusal(self) -> VerificationError:
        """The error of a load, the same for every way of reading; nothing may be given back."""
        with pytest.raises(VerificationError) as loaded:
            self.store.load(self.id)
        with pytest.raises(VerificationError):
            list(self.store.entries(self.id))
        (result,) = self.store.verify(self.id)
        assert not result.ok and result.code == loaded.value.code
        return loaded.value

    def is_refused(self) -> None:
        """The quick form of `refusal`, for loops over thousands of damages."""
        try:
            session = self.store.load(self.id)
        except VerificationError:
            return
        raise AssertionError(f"a changed file was given back: {session.rev}, {session.entries}")

    def tail(self) -> str:
        """Check that everything acknowledged comes back; the text of the one warning."""
        session = self.store.load(self.id)
        assert (session.rev, session.entries) == (self.session.rev, self.session.entries)
        assert list(self.store.entries(self.id)) == list(self.session.entries)
        (warning,) = session.warnings
        assert isinstance(warning, LoadWarning) and warning.code == "uncommitted_tail"
        (result,) = self.store.verify(self.id)
        assert result.ok and result.warnings == (warning,)
        return warning.text

    def quarantined(self) -> list[bytes]:
        """What is kept of this session, oldest first."""
        kept = (self.root / "data" / "quarantine").glob(f"{self.id}.tail.*")
        return [path.read_bytes() for path in sorted(kept)]

    def listed(self) -> dict[str, str]:
        """Every unreadable line of the list: name to code."""
        return {line.name: line.code for line in self.store.list().unreadable}


def fill(store: SessionStore, session: Session, turns: int = 3) -> None:
    for number in range(turns):
        store.append(session.id, [{"role": "user", "content": f"turn {number}"}])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> Iterator[SessionStore]:
    with open_store(root, environ={}) as opened:
        yield opened


@pytest.fixture
def victim(root: Path, store: SessionStore) -> Victim:
    """A session of four saves."""
    session = store.create(name="atlas", tags=["t"])
    fill(store, session)
    return Victim(root, store, session.id)


@pytest.fixture
def another(root: Path, store: SessionStore) -> Victim:
    """A second session of the same store and the same length."""
    session = store.create(name="other", tags=["t"])
    fill(store, session)
    return Victim(root, store, session.id)


@pytest.fixture
def child(root: Path) -> Child:
    """Runs code in a process of its own, with `root` and `tell`; gives every value that it told."""

    def run(code: str, *args: object, environment: dict[str, str] | None = None) -> list[Any]:
        begin = (
            "import json, os, sys\n"
            "from sessionstore import errors, open_store\n"
            "def tell(*values): print(json.dumps(values), flush=True)\n"
            "root = sys.argv[1]\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", begin + code, str(root), *map(str, args)],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, **(environment or {})},
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [value for line in done.stdout.splitlines() for value in json.loads(line)]

    return run


@pytest.fixture
def shared_root() -> Iterator[Path]:
    """A home that another user can reach, as pytest's own directories cannot."""
    with tempfile.TemporaryDirectory(prefix="attacks-") as made:
        Path(made).chmod(0o755)
        yield Path(made) / "store"


class Place:
    """A project, and beside it what an attacker puts in its place. Both hold the same names, with other content.

    Attributes:
        root: The directory of all of it.
        project: What is saved; the file `marker` in it says "genuine".
        other: The attacker's; `marker` says "attacker".
        here, there: The two names that are exchanged.
        refusals: The verdicts that fit. The last: a link was met by a walk and is gone at the second look.
    """

    refusals = frozenset({"symlink", "replaced", "not_a_directory"})

    def __init__(self, root: Path, shape: str) -> None:
        self.root = root
        self.project, self.other = root / "up" / "project", root / "other" / "project"
        for directory, content in ((self.project, "genuine"), (self.other, "attacker")):
            directory.mkdir(parents=True)
            (directory / "marker").write_text(content)
        above = shape.endswith("_above")
        self.here = self.project.parent if above else self.project
        self.there = self.other.parent if above else self.other
        if shape.startswith("link"):
            target, self.there = self.there, root / "link"
            self.there.symlink_to(target)

    def exchange(self) -> None:
        """Do once what the attackers do."""
        call = getattr(ctypes.CDLL(None), "renameat2", None)
        if call is None or call(-100, os.fsencode(self.here), -100, os.fsencode(self.there), 2):
            pytest.skip("two names cannot be exchanged in one step here")

    def opened_by(self, seen: list[str]) -> list[int]:
        """Which calls of a resume meet the exchanged name on the way to the project: openat2, or one step of a walk."""
        walked = [number for number, call in enumerate(seen, 1) if call == f"openat {self.here.name}"]
        # A system that refuses openat2 is still asked once: that call meets no name.
        return walked or [number for number, call in enumerate(seen, 1) if call == f"openat2 {str(self.project)[1:]}"]

    def is_met(self, told: dict[str, Any]) -> None:
        """Check that a resume was refused if the names were exchanged when it met them, and only then."""
        opened = self.opened_by(told["seen"])
        assert len(opened) == 2 and told["won"] == []
        for away, back, end in told["ended"]:
            met = any(0 < away <= number and not 0 < back <= number for number in opened)
            assert end in self.refusals if met else end == "ok", (away, back, end)


@pytest.fixture(params=SHAPES)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """A project and the attacker's, once in every shape. Not in pytest's own directories, which lie deep."""
    with tempfile.TemporaryDirectory(prefix="exchanged-") as made:
        found = Place(Path(made).resolve(), request.param)
        found.exchange()
        found.exchange()
        yield found


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled `exchange.c`."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and Linux to come between two calls")
    built = tmp_path_factory.mktemp("shim") / "exchange.so"
    source = Path(__file__).with_name("exchange.c")
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", built, source, "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"the C compiler refused: {done.stderr[:200]}")
    return built


@pytest.fixture
def victim_of(root: Path, store: SessionStore) -> Callable[[Path], Victim]:
    """Makes a session of a project."""

    def make(project: Path) -> Victim:
        session = store.create(name="atlas", project=project)
        fill(store, session)
        return Victim(root, store, session.id)

    return make


@pytest.fixture
def resumable(victim_of: Callable[[Path], Victim], place: Place) -> Victim:
    """A session of the project that is attacked."""
    return victim_of(place.project)


@pytest.fixture
def attack(shim: Path, place: Place, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Attacks a way of resuming before every pair of its calls; what came of it, as `exchanged.py` tells."""

    def run(
        way: str, *, glimpses: bool = False, pairs: bool = True, no_openat2: int = 0, victim: Victim | None = None
    ) -> dict[str, Any]:
        state = tmp_path / "state"
        state.write_bytes(bytes(1 << 17))
        job = {
            "way": way,
            "record": base64.b64encode(msgspec.json.encode(capture(place.project))).decode(),
            "here": str(place.here),
            "there": str(place.there),
            "place": str(place.root),
            "glimpses": glimpses,
            "pairs": pairs,
            "no_openat2": no_openat2,
        }
        # Measuring coverage would add calls of its own, and files for each of the many children.
        environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        environ |= {"LD_PRELOAD": str(shim), "EXCHANGE_STATE": str(state)}
        if victim is not None:
            job |= {"session": victim.id, "file": str(victim.path)}
            environ |= {"SESSIONSTORE_HOME": str(victim.root), **UNLIMITED}
        done = subprocess.run(
            [sys.executable, "-P", Path(__file__).with_name("exchanged.py"), json.dumps(job)],
            capture_output=True,
            text=True,
            timeout=300,
            cwd="/",
            env=environ,
        )
        assert (done.returncode, done.stderr) == (0, "")
        told: dict[str, Any] = json.loads(done.stdout)
        assert told["odd"] == []
        assert told["seen"] and (glimpses or told["aways"] >= len(told["seen"]))
        assert told["ended"][0] == [0, 0, "ok"] and (place.project / "marker").read_text() == "genuine"
        return told

    return run
