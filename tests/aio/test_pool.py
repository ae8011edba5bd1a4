"""Order is made with events and futures, never with time: nothing here waits for a clock."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from sessionstore.aio.pool import MAX_PIECE_ITEMS, Pieces, Pool
from sessionstore.errors import StoreUnavailableError

WAIT_S = 30  # a broken test ends; a good one never waits


class Gate:
    """A call that says when it has begun, and ends when it is told to."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.ended = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.may_end.wait(WAIT_S)
        self.ended.set()
        return "done"

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, WAIT_S)


def run(test: Callable[[Pool], Coroutine[Any, Any, None]], workers: int = 2) -> None:
    async def main() -> None:
        pool = Pool(workers)
        try:
            await test(pool)
        finally:
            await pool.close(lambda: None)

    asyncio.run(main(), debug=True)


class TestCall:
    def test_a_call_runs_in_a_thread_of_its_own_and_gives_back_what_it_returns(self) -> None:
        async def test(pool: Pool) -> None:
            name = await pool.call(lambda: threading.current_thread().name)
            assert name.startswith("sessionstore")
            assert await pool.call(divmod, 7, 2) == (3, 1)
            assert await pool.call(int, "ff", base=16) == 255

        run(test)

    def test_what_it_raises_is_raised_where_it_is_awaited(self) -> None:
        async def test(pool: Pool) -> None:
            with pytest.raises(ZeroDivisionError):
                await pool.call(divmod, 1, 0)

        run(test)

    def test_context_variables_of_the_caller_are_seen(self) -> None:
        variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

        async def test(pool: Pool) -> None:
            variable.set("of the caller")
            assert await pool.call(variable.get) == "of the caller"

        run(test)

    def test_no_more_calls_run_at_once_than_there_are_threads(self) -> None:
        async def test(pool: Pool) -> None:
            gates = [Gate() for _ in range(5)]
            calls = [asyncio.ensure_future(pool.call(gate)) for gate in gates]
            await gates[0].has_begun()
            await gates[1].has_begun()
            for number, gate in enumerate(gates):
                begun = [each.begun.is_set() for each in gates]
                assert sum(begun) - sum(each.ended.is_set() for each in gates) <= 2
                assert begun == sorted(begun, reverse=True)
                gate.may_end.set()
                assert await calls[number] == "done"

        run(test)

    def test_a_cancelled_call_that_has_begun_goes_on(self) -> None:
        async def test(pool: Pool) -> None:
            gate = Gate()
            call = asyncio.ensure_future(pool.call(gate))
            await gate.has_begun()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert not gate.ended.is_set()
            gate.may_end.set()
            assert await asyncio.to_thread(gate.ended.wait, WAIT_S)

        run(test)

    def test_a_cancelled_call_that_still_waits_for_a_thread_never_begins(self) -> None:
        waiting = Gate()

        async def test(pool: Pool) -> None:
            gate = Gate()
            first = asyncio.ensure_future(pool.call(gate))
            await gate.has_begun()
            second = asyncio.ensure_future(pool.call(waiting))
            await asyncio.sleep(0)  # lets it queue
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            gate.may_end.set()
            assert await first == "done"

        run(test, workers=1)
        assert not waiting.begun.is_set()


class TestClose:
    def test_it_waits_for_calls_that_have_begun_and_then_runs_the_last_one(self) -> None:
        async def main() -> None:
            pool = Pool(1)
            order: list[str] = []
            gate = Gate()
            call = asyncio.ensure_future(pool.call(gate))
            call.add_done_callback(lambda _: order.append("call"))
            await gate.has_begun()
            closing = asyncio.ensure_future(pool.close(lambda: order.append(f"last {gate.ended.is_set()}")))
            await asyncio.sleep(0)
            assert not closing.done()
            gate.may_end.set()
            await closing
            assert await call == "done"
            assert "last True" in order

        asyncio.run(main(), debug=True)

    def test_nothing_begins_once_it_has_begun(self) -> None:
        async def main() -> None:
            pool = Pool(1)
            await pool.call(int)
            closing = asyncio.ensure_future(pool.close(lambda: None))
            await asyncio.sleep(0)
            with pytest.raises(StoreUnavailableError, match="closed") as caught:
                await pool.call(int)
            assert caught.value.outcome == "not_written"
            await closing

        asyncio.run(main(), debug=True)

    def test_no_thread_is_left(self) -> None:
        run(lambda pool: pool.call(lambda: None))
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("sessionstore")]


class Numbers:
    """An endless iterator that counts what was taken from it, and knows when it was closed and where it ran."""

    def __init__(self, fails_at: int | None = None, ends_at: int | None = None) -> None:
        self.taken = 0
        self.closed = threading.Event()
        self.fails_at = fails_at
        self.ends_at = ends_at
        self.threads: set[str] = set()

    def __call__(self) -> Iterator[int]:
        try:
            while self.taken != self.ends_at:
                self.threads.add(threading.current_thread().name.split("_")[0])
                if self.taken == self.fails_at:
                    raise ZeroDivisionError
                self.taken += 1
                yield self.taken - 1
        finally:
            self.closed.set()


class TestStream:
    @pytest.mark.parametrize("count", [0, 1, MAX_PIECE_ITEMS - 1, MAX_PIECE_ITEMS, MAX_PIECE_ITEMS + 1, 1000])
    def test_it_yields_everything_in_order(self, count: int) -> None:
        async def test(pool: Pool) -> None:
            numbers = Numbers(ends_at=count)
            assert [number async for number in pool.stream(numbers)] == list(range(count))
            assert numbers.closed.is_set()
            assert numbers.threads <= {"sessionstore"}

        run(test)

    @pytest.mark.parametrize("at", [0, 1, MAX_PIECE_ITEMS, MAX_PIECE_ITEMS + 5])
    def test_what_came_before_a_failure_is_handed_out_before_it_is_raised(self, at: int) -> None:
        async def test(pool: Pool) -> None:
            found = []
            with pytest.raises(ZeroDivisionError):
                async for number in pool.stream(Numbers(fails_at=at)):
                    found.append(number)
            assert found == list(range(at))

        run(test)

    def test_a_failure_of_making_the_iterator_is_raised_at_the_first_step(self) -> None:
        async def test(pool: Pool) -> None:
            stream = pool.stream(lambda: iter(divmod(1, 0)))
            with pytest.raises(ZeroDivisionError):
                await anext(stream)
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

        run(test)

    def test_an_iterator_that_is_no_generator_can_be_left_early_too(self) -> None:
        async def test(pool: Pool) -> None:
            async with aclosing(pool.stream(lambda: iter(range(1000)))) as stream:
                assert await anext(stream) == 0

        run(test)

    def test_it_reads_at_most_one_piece_ahead(self) -> None:
        async def test(pool: Pool) -> None:
            numbers = Numbers()
            async with aclosing(pool.stream(numbers)) as stream:
                for read in range(1, 5 * MAX_PIECE_ITEMS):
                    await anext(stream)
                    assert numbers.taken <= read - 1 + 2 * MAX_PIECE_ITEMS

        run(test)

    def test_leaving_early_closes_the_iterator_before_going_on(self) -> None:
        async def test(pool: Pool) -> None:
            numbers = Numbers()
            async with aclosing(pool.stream(numbers)) as stream:
                await anext(stream)
            assert numbers.closed.is_set()

        run(test)

    def test_leaving_early_hushes_a_failure_that_was_read_ahead(self, caplog: pytest.LogCaptureFixture) -> None:
        async def test(pool: Pool) -> None:
            numbers = Numbers(fails_at=MAX_PIECE_ITEMS)
            async with aclosing(pool.stream(numbers)) as stream:
                await anext(stream)
                assert await asyncio.to_thread(numbers.closed.wait, WAIT_S)
                await pool.call(int)  # whatever was read ahead has come back by now
                await pool.call(int)

        run(test, workers=1)
        gc.collect()
        assert [record for record in caplog.records if "never retrieved" in record.getMessage()] == []

    def test_cancelling_its_reader_closes_the_iterator(self) -> None:
        async def test(pool: Pool) -> None:
            gate = Gate()
            closed = threading.Event()

            def slow() -> Iterator[str]:
                try:
                    yield gate()
                finally:
                    closed.set()

            async def read() -> None:
                async with aclosing(pool.stream(slow)) as stream:
                    await anext(stream)

            reader = asyncio.ensure_future(read())
            await gate.has_begun()
            reader.cancel()
            await asyncio.sleep(0)
            gate.may_end.set()  # a step that has begun goes on; closing waits for it
            with pytest.raises(asyncio.CancelledError):
                await reader
            assert closed.is_set()

        run(test)

    def test_a_forgotten_stream_is_closed_with_the_event_loop(self) -> None:
        numbers = Numbers()
        pools = []

        async def main() -> None:
            pools.append(Pool(1))
            stream = pools[0].stream(numbers)
            await anext(stream)

        asyncio.run(main())
        assert numbers.closed.is_set()
        asyncio.run(pools[0].close(lambda: None))

    def test_a_stream_that_outlives_the_pool_is_refused_and_closed(self) -> None:
        async def main() -> None:
            pool = Pool(1)
            numbers = Numbers()
            stream = pool.stream(numbers)
            await anext(stream)
            await pool.close(lambda: None)
            with pytest.raises(StoreUnavailableError, match="closed"):
                async for _ in stream:
                    pass
            assert numbers.closed.is_set()

        asyncio.run(main(), debug=True)

    def test_a_stream_that_outlives_the_pool_can_be_left_in_peace(self) -> None:
        async def main() -> None:
            pool = Pool(1)
            numbers = Numbers()
            async with aclosing(pool.stream(numbers)) as stream:
                await anext(stream)
                await pool.close(lambda: None)
            assert numbers.closed.is_set()

        asyncio.run(main(), debug=True)

    def test_several_readers_share_the_threads(self) -> None:
        async def test(pool: Pool) -> None:
            async def total() -> int:
                return sum([number async for number in pool.stream(Numbers(ends_at=500))])

            assert await asyncio.gather(*(total() for _ in range(10))) == [sum(range(500))] * 10

        run(test)


class TestPieces:
    def test_what_was_closed_before_it_began_never_begins(self) -> None:
        """A step that was read ahead can come to its thread after the closing: it must not open anything then."""
        numbers = Numbers()
        made: list[bool] = []
        pieces = Pieces(lambda: (made.append(True), numbers())[1])
        pieces.close()
        assert pieces.take() == []
        assert made == []


class TestFinish:
    def test_it_gives_and_raises_what_the_call_does(self) -> None:
        async def test(pool: Pool) -> None:
            assert await pool.finish(int, "ff", base=16) == 255
            with pytest.raises(ZeroDivisionError):
                await pool.finish(divmod, 1, 0)

        run(test)

    def test_a_cancellation_goes_on_when_the_call_is_over_however_often_it_comes(self) -> None:
        async def test(pool: Pool) -> None:
            gate = Gate()
            call = asyncio.ensure_future(pool.finish(gate))
            await gate.has_begun()
            for _ in range(3):
                call.cancel()
                await asyncio.sleep(0)
            assert not call.done()
            gate.may_end.set()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert gate.ended.is_set()

        run(test)

    def test_a_call_that_waits_for_a_thread_is_done_too(self) -> None:
        async def test(pool: Pool) -> None:
            first, second = Gate(), Gate()
            second.may_end.set()
            calls = [asyncio.ensure_future(pool.finish(gate)) for gate in (first, second)]
            await first.has_begun()
            calls[1].cancel()
            first.may_end.set()
            with pytest.raises(asyncio.CancelledError):
                await calls[1]
            assert second.ended.is_set() and await calls[0] == "done"

        run(test, workers=1)

    def test_a_failure_nobody_hears_of_for_the_cancellation_makes_no_noise(self) -> None:
        async def test(pool: Pool) -> None:
            heard: list[object] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
            gate = Gate()

            def fail() -> None:
                gate()
                raise ZeroDivisionError

            call = asyncio.ensure_future(pool.finish(fail))
            await gate.has_begun()
            call.cancel()
            gate.may_end.set()
            with pytest.raises(asyncio.CancelledError):
                await call
            del call
            gc.collect()
            await asyncio.sleep(0)
            assert heard == []

        run(test)
