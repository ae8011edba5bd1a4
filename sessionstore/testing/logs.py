"""What one log of a backend must do: be written, read, appended to, cut, replaced, deleted and kept aside."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sessionstore.errors import AlreadyExistsError, StoreUnavailableError
from sessionstore.storage.protocol import Backend
from sessionstore.testing.expect import NAME, OTHER, content, expect, opened, refused


def missing_names_are_none_and_no_error(backend: Backend) -> None:
    expect(backend.open(NAME) is None, "opening a missing name must give None")
    expect(backend.open(NAME, writable=True) is None, "opening a missing name to write must not make it")
    expect(backend.stamp(NAME) is None, "a missing name has no stamp")
    backend.delete(NAME)
    expect(list(backend.scan()) == [], "an empty backend holds no names")


def written_bytes_come_back(backend: Backend) -> None:
    everything = bytes(range(256)) * 5
    stamp = backend.write(NAME, iter([everything[:1], b"", everything[1:]]), replace=False)
    expect(content(backend, NAME) == everything, "the bytes that were written must come back")
    expect(stamp.size == len(everything), "the stamp must tell the size")
    expect(backend.stamp(NAME) == stamp, "write must return the stamp that the name has afterwards")
    expect(dict(backend.scan()) == {NAME: stamp}, "scan must show the name with the same stamp")
    log = opened(backend, NAME)
    expect(log.stamp() == stamp, "the opened log must have the same stamp")
    expect(log.notices == (), "there is nothing odd about a log that the backend made itself")
    log.close()


def an_empty_log_is_a_log(backend: Backend) -> None:
    backend.write(NAME, [], replace=False)
    expect(content(backend, NAME) == b"", "a log may be empty")
    expect([name for name, _ in backend.scan()] == [NAME], "an empty log has a name")


def reading_is_by_position(backend: Backend) -> None:
    backend.write(NAME, [b"0123456789"], replace=False)
    log = opened(backend, NAME)
    expect(log.read(3, 4) == b"3456", "read must start where it is told")
    expect(log.read(8, 4) == b"89", "read gives less at the end")
    expect(log.read(10, 4) == b"", "read gives nothing behind the end")
    expect(log.read(0, 0) == b"", "reading nothing gives nothing")
    log.close()
    log.close()
    refused(StoreUnavailableError, "a closed log must not be read", lambda: log.read(0, 1))


def a_taken_name_is_not_replaced_unasked(backend: Backend) -> None:
    backend.write(NAME, [b"old"], replace=False)
    sentence = "writing over a name without `replace` must be refused"
    refused(AlreadyExistsError, sentence, lambda: backend.write(NAME, [b"new"], replace=False))
    expect(content(backend, NAME) == b"old", "a refused write must leave the old bytes")
    expect([name for name, _ in backend.scan()] == [NAME], "a refused write must leave nothing else behind")


def replacing_makes_another_log_of_the_name(backend: Backend) -> None:
    first = backend.write(NAME, [b"old"], replace=True)
    held = opened(backend, NAME, writable=True)
    expect(held.current_stamp() == first, "a log just opened is what its name leads to")
    second = backend.write(NAME, [b"new"], replace=True)
    expect(first != second, "a replaced log must have another stamp, be it of the same size")
    expect(content(backend, NAME) == b"new", "replacing must give the new bytes")
    expect(held.read(0, 9) == b"old", "an opened log must stay the log it was")
    expect(held.current_stamp() is None, "a replaced log is no longer what its name leads to")
    held.close()


def a_deleted_log_is_gone_and_knows_it(backend: Backend) -> None:
    backend.write(NAME, [b"old"], replace=False)
    held = opened(backend, NAME)
    backend.delete(NAME)
    expect(backend.open(NAME) is None, "a deleted name must be missing")
    expect(list(backend.scan()) == [], "a deleted name must not be listed")
    expect(held.current_stamp() is None, "a deleted log is not what its name leads to")
    backend.write(NAME, [b"old"], replace=False)
    expect(held.current_stamp() is None, "the same name with the same bytes is still another log")
    held.close()


def appending_adds_at_the_end_and_nowhere_else(backend: Backend) -> None:
    backend.write(NAME, [b"one"], replace=False)
    log = opened(backend, NAME, writable=True)
    before = log.stamp()
    after = log.append(3, [b"two", b"", b"three"])
    expect(after.size == 11 and after != before, "append must return the stamp after it")
    expect(log.stamp() == after and backend.stamp(NAME) == after, "nothing may change a stamp but a change")
    expect(log.append(11, iter([b"!"])).size == 12, "append must take an iterator too")
    for offset in (0, 11, 13, -1):
        error = refused(
            StoreUnavailableError,
            "append anywhere but at the end must be refused",
            lambda offset=offset: log.append(offset, [b"x"]),  # type: ignore[misc]
        )
        expect(error.outcome == "not_written", "a refused append must say that nothing was written")
    log.close()
    expect(content(backend, NAME) == b"onetwothree!", "appended bytes must stand behind the old ones")


def a_failing_source_leaves_the_old_bytes(backend: Backend) -> None:
    class SourceError(Exception):
        pass

    def source() -> Iterator[bytes]:
        yield b"x" * 300_000
        raise SourceError

    def passes(call: Callable[[], object]) -> bool:
        try:
            call()
        except SourceError:
            return True
        return False

    backend.write(NAME, [b"old"], replace=False)
    log = opened(backend, NAME, writable=True)
    expect(passes(lambda: log.append(3, source())), "what the source of an append raises must pass through")
    expect(log.stamp().size == 3, "an append whose source failed must leave the log as it was")
    log.append(3, [b"+"])
    log.close()
    expect(passes(lambda: backend.write(NAME, source(), replace=True)), "what the source of a write raises must pass")
    expect(passes(lambda: backend.write(OTHER, source(), replace=False)), "also where the name is new")
    expect(content(backend, NAME) == b"old+", "a write whose source failed must leave the old bytes")
    expect([name for name, _ in backend.scan()] == [NAME], "a write whose source failed must leave nothing else")


def cutting_drops_the_end_and_never_grows(backend: Backend) -> None:
    backend.write(NAME, [b"0123456789"], replace=False)
    log = opened(backend, NAME, writable=True)
    log.cut(10)
    log.cut(4)
    for offset in (5, -1):
        refused(
            StoreUnavailableError,
            "cutting behind the end must be refused",
            lambda offset=offset: log.cut(offset),  # type: ignore[misc]
        )
    expect(log.append(4, [b"x"]).size == 5, "append must go on at the cut")
    log.close()
    expect(content(backend, NAME) == b"0123x", "a cut must drop the bytes from there on, and no others")


def a_log_opened_to_read_is_not_changed(backend: Backend) -> None:
    backend.write(NAME, [b"old"], replace=False)
    log = opened(backend, NAME)
    for call in (lambda: log.append(3, [b"x"]), lambda: log.cut(0)):
        error = refused(StoreUnavailableError, "a log opened to read must refuse a change", call)
        expect(error.outcome == "not_written", "and say that nothing was written")
    log.close()
    expect(content(backend, NAME) == b"old", "and nothing may have been")


def a_name_that_comes_or_goes_is_told_by_the_token(backend: Backend) -> None:
    def same(before: object | None) -> bool:
        return before is not None and before == backend.names_token()

    before = backend.names_token()
    backend.write(NAME, [b"x"], replace=False)
    expect(not same(before), "a new name must change the token, or leave none")
    before = backend.names_token()
    backend.delete(NAME)
    expect(not same(before), "a removed name must change the token, or leave none")


def kept_bytes_are_out_of_the_way(backend: Backend) -> None:
    places = {backend.keep(NAME, [b"torn ", b"tail"]) for _ in range(3)}
    expect(len(places) == 3, "bytes that are kept must never replace others")
    expect(list(backend.scan()) == [], "kept bytes are no session")


def a_purge_takes_what_lies_beside_a_log_and_nothing_else(backend: Backend) -> None:
    mine, other = (f"{number}f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d" for number in (0, 1))
    for session_id in (mine, other):
        backend.write(f"{session_id}.jsonl", [b"log"], replace=False)
        backend.write(f"{session_id}.json", [b"side"], replace=False)
        backend.keep(f"{session_id}.tail", [b"kept"])
    said = backend.purge(mine, dry_run=True)
    expect(len(said.removed) == 2 and not said.left, "a dry run names what would go")
    expect(backend.stamp(f"{mine}.json") is not None, "a dry run removes nothing")
    expect(backend.purge(mine) == said, "a purge removes what a dry run names")
    expect(backend.stamp(f"{mine}.json") is None, "what lies beside a log must be gone")
    expect(backend.stamp(f"{mine}.jsonl") is not None, "the log itself stays")
    expect(not backend.purge(mine).removed, "what was removed is not found again")
    expect(len(backend.purge(other, dry_run=True).removed) == 2, "what belongs to others stays")


def kept_bytes_are_found_by_what_they_hold(backend: Backend) -> None:
    expect(backend.search_kept(b"torn") == 0, "in nothing kept nothing is found")
    backend.keep(NAME, [b"x" * (1024 * 1024 - 2) + b"to", b"rn tail"])
    backend.keep(NAME, [b"another tail"])
    found = [backend.search_kept(text) for text in (b"torn", b"tail", b"head")]
    expect(found == [1, 2, 0], "files that hold a text must be counted, also where it crosses a step of reading")


def a_retired_log_is_out_of_the_way(backend: Backend) -> None:
    expect(backend.retire(NAME) is None, "retiring a missing name must give None")
    for number in range(2):
        backend.write(NAME, [b"%d" % number], replace=False)
        held = opened(backend, NAME)
        expect(bool(backend.retire(NAME)), "retiring must tell where the log is now")
        expect(held.read(0, 9) == b"%d" % number, "an opened log must stay the log it was")
        expect(held.current_stamp() is None, "a retired log is not what its name leads to")
        held.close()
        expect(backend.open(NAME) is None, "a retired name must be missing")
    expect(list(backend.scan()) == [], "a retired log is no session")
    backend.drop_retired(NAME)
    backend.drop_retired(OTHER)
    backend.write(NAME, [b"again"], replace=False)
    expect(content(backend, NAME) == b"again", "dropping what was retired must leave the name free")
