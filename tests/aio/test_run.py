"""A run through the awaited store: the same run, its calls off the event loop, and nothing left behind by a cancel."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from sessionstore import open_async_store, open_store
from sessionstore.errors import AlreadyRunningError, ProjectPathError, RunStateError
from sessionstore.resume import Run

ENTRY = {"role": "user", "content": "more"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    return made


def test_a_run_from_its_beginning_to_its_end(home: Path, project: Path) -> None:
    async def main() -> None:
        async with open_async_store(home) as store:
            made = await store.create(project=project)
            async with store.resume(made.id) as run:
                assert (run.session, run.state) == (made, "uncommitted")
                assert run.project is not None
                assert run.project.display_path == str(project)
                assert run.warnings == run.session.warnings + run.project.warnings
                with pytest.raises(AlreadyRunningError):
                    async with store.resume(made.id):
                        pass
                with pytest.raises(RunStateError):
                    await run.append([ENTRY])
                await run.commit()
                assert await run.append([ENTRY], expected_rev=made.rev) == made.rev + 1
                assert repr(run) == f"AsyncRun({made.id}, committed)"
            assert run.state == "over"
            assert (await store.load(made.id)).entries == (ENTRY,)

    asyncio.run(main(), debug=True)


def test_a_refused_commit_rolls_back_off_the_loop(home: Path, project: Path) -> None:
    async def main() -> None:
        ran_in: list[threading.Thread] = []
        async with open_async_store(home) as store:
            made = await store.create(project=project)
            with pytest.raises(ProjectPathError):
                async with store.resume(made.id) as run:
                    run.on_rollback(lambda: ran_in.append(threading.current_thread()))
                    project.rmdir()
                    await run.commit()
            assert len(ran_in) == 1
            assert ran_in[0] is not threading.main_thread()
            assert await store.load(made.id) == made

    asyncio.run(main(), debug=True)


def test_an_exception_rolls_back_and_comes_out(home: Path) -> None:
    async def main() -> None:
        async with open_async_store(home) as store:
            made = await store.create()
            with pytest.raises(ValueError, match="of the tool"):
                async with store.resume(made.id):
                    raise ValueError("of the tool")
            async with store.resume(made.id) as run:
                await run.commit()

    asyncio.run(main(), debug=True)


@pytest.mark.parametrize("begun", [False, True])
def test_cancelled_while_it_enters_it_gives_the_session_back(
    home: Path, begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entering thread is held where it stands, the task cancelled, and the thread let go."""
    inside, go = threading.Event(), threading.Event()
    init = Run.__init__

    def held(*args: Any) -> None:
        init(*args)
        inside.set()
        assert go.wait(30)

    async def main() -> None:
        async with open_async_store(home) as store:
            made = await store.create()
            monkeypatch.setattr(Run, "__init__", held)

            async def run() -> None:
                async with store.resume(made.id):
                    pytest.fail("it was cancelled before")

            task = asyncio.create_task(run())
            if begun:
                await asyncio.to_thread(inside.wait, 30)
            else:
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(0)
            go.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            monkeypatch.undo()
            async with store.resume(made.id) as again:
                await again.commit()

    asyncio.run(main())


def test_cancelled_twice_while_it_enters_it_gives_the_session_back(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go = threading.Event(), threading.Event()
    init = Run.__init__

    def held(*args: Any) -> None:
        init(*args)
        inside.set()
        assert go.wait(30)

    async def main() -> None:
        async with open_async_store(home) as store:
            made = await store.create()
            monkeypatch.setattr(Run, "__init__", held)
            kept: list[BaseException] = []

            async def run() -> None:
                try:
                    async with store.resume(made.id):
                        pytest.fail("it was cancelled before")
                except asyncio.CancelledError as exc:
                    kept.append(exc)
                    raise

            task = asyncio.create_task(run())
            await asyncio.to_thread(inside.wait, 30)
            for _ in range(2):
                task.cancel()
                await asyncio.sleep(0)
            go.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            monkeypatch.undo()
            async with store.resume(made.id) as again:
                await again.commit()
            assert len(kept) == 1

    asyncio.run(main())


def test_a_cancelled_commit_ends_before_the_block_does(
    home: Path, ledger_locked: Callable[[], AbstractContextManager[None]]
) -> None:
    """What is on record is what happened: the commit that nobody waited for counts, or the rollback, not both."""

    async def main() -> None:
        async with open_async_store(home) as store:
            made = await store.create()

            entered, begin = asyncio.Event(), asyncio.Event()
            runs: list[Any] = []

            async def run() -> None:
                async with store.resume(made.id) as running:
                    runs.append(running)
                    entered.set()
                    await begin.wait()
                    await running.commit()

            task = asyncio.create_task(run())
            await entered.wait()
            with ledger_locked():
                begin.set()
                turn = runs[0]._run._turn
                while turn.acquire(blocking=False):
                    turn.release()
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await task
            assert runs[0].state == "over"
            lines = [line.event async for line in store.audit()]
            assert lines[-2:] == ["resume_committed", "resume_ended"]

    asyncio.run(main())


def test_it_takes_an_exit_status_and_no_other_attribute(home: Path) -> None:
    async def main() -> None:
        async with open_async_store(home) as store:
            made = await store.create()
            async with store.resume(made.id) as run:
                await run.commit()
                run.exit_status = 3
                assert run.exit_status == 3
                with pytest.raises(AttributeError):
                    run.exitstatus = 3  # type: ignore[attr-defined]
            (ended,) = [line async for line in store.audit(events=["resume_ended"])]
            assert ended.fields == {"status": 3}

    asyncio.run(main(), debug=True)


def test_cancelled_while_it_runs_it_rolls_back(home: Path) -> None:
    async def main() -> None:
        calls: list[str] = []
        async with open_async_store(home) as store:
            made = await store.create()
            entered = asyncio.Event()

            async def run() -> None:
                async with store.resume(made.id) as running:
                    running.on_rollback(lambda: calls.append("rolled back"))
                    entered.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(run())
            await entered.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert calls == ["rolled back"]
            async with store.resume(made.id) as again:
                await again.commit()

    asyncio.run(main(), debug=True)


def test_a_store_that_is_closed_inside_the_block_frees_the_session_all_the_same(home: Path) -> None:
    async def main() -> str:
        store = open_async_store(home)
        async with store:
            made = await store.create()
            async with store.resume(made.id) as run:
                await run.commit()
                await store.close()
        return made.id

    session_id = asyncio.run(main())
    with open_store(home) as store, store.resume(session_id) as run:
        run.commit()


def test_the_other_ways_to_a_project_are_awaited(home: Path, project: Path, tmp_path: Path) -> None:
    async def main() -> None:
        async with open_async_store(home) as store:
            made = await store.create(project=project)
            await store.refuse_resume("not_found")
            assert [summary.id async for summary, _ in store.bound_below(tmp_path)] == [made.id]
            assert (await store.rebind(made.id, tmp_path, consent="the tester")).after.display_path == str(tmp_path)

    asyncio.run(main(), debug=True)


def test_cancelled_while_it_leaves_it_leaves_all_the_same(home: Path) -> None:
    async def main() -> None:
        inside, go = threading.Event(), threading.Event()

        def hook() -> None:
            inside.set()
            assert go.wait(30)

        async with open_async_store(home) as store:
            made = await store.create()

            async def run() -> None:
                async with store.resume(made.id) as running:
                    running.on_rollback(hook)

            task = asyncio.create_task(run())
            await asyncio.to_thread(inside.wait, 30)
            task.cancel()
            await asyncio.sleep(0)
            go.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with store.resume(made.id) as again:
                await again.commit()

    asyncio.run(main(), debug=True)
