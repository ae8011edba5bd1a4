"""Which records are the conversation, on trees drawn with letters."""

from __future__ import annotations

import pytest

from sessionstore.importers.claude_chain import Conversation, Node, find_conversation


def conversation(*nodes: Node) -> Conversation:
    for place, node in enumerate(nodes):
        node.place = place
    return find_conversation(nodes)


def said(
    uuid: str | None,
    parent: str | None = None,
    *,
    sidechain: bool = False,
    meta: bool = False,
    message_id: str | None = None,
    answers: tuple[str, ...] = (),
) -> Node:
    return Node(0, uuid, parent, sidechain, meta, True, message_id, 0, answers)


def noted(uuid: str, parent: str | None = None, *, sidechain: bool = False, meta: bool = False) -> Node:
    return Node(0, uuid, parent, sidechain, meta, False)


class TestTheDirectWay:
    def test_a_line_of_parents_is_the_conversation(self) -> None:
        assert conversation(said("a"), said("b", "a"), said("c", "b")).places == [0, 1, 2]

    def test_the_branch_that_was_written_last_wins(self) -> None:
        assert conversation(said("a"), said("b", "a"), said("c", "b"), said("d", "a")).places == [0, 3]

    def test_the_branch_is_told_by_its_leaf_and_not_by_its_start(self) -> None:
        assert conversation(said("a"), said("b", "a"), said("c", "a"), said("d", "b")).places == [0, 1, 3]

    def test_records_that_are_no_messages_link_messages(self) -> None:
        assert conversation(said("a"), noted("b", "a"), said("c", "b"), noted("d", "c")).places == [0, 2]

    def test_a_lone_record_at_the_end_does_not_hide_the_conversation(self) -> None:
        assert conversation(said("a"), said("b", "a"), noted("c"), noted("d", "c")).places == [0, 1]

    def test_messages_stand_in_the_order_of_the_chain_where_the_file_has_another(self) -> None:
        assert conversation(said("c", "b"), said("a"), said("b", "a")).places == [1, 2, 0]

    def test_nothing_is_found_in_nothing(self) -> None:
        assert conversation().places == []
        assert conversation(noted("a"), noted("b", "a")).places == []

    def test_a_long_conversation_is_found_without_recursion(self) -> None:
        nodes = [said(f"u{i}", f"u{i - 1}" if i else None) for i in range(20_000)]
        assert conversation(*nodes).places == list(range(20_000))


class TestSideChainsAndMeta:
    def test_a_side_chain_at_the_end_is_not_the_conversation(self) -> None:
        found = conversation(said("a"), said("b", "a"), said("s", None, sidechain=True), said("t", "s", sidechain=True))
        assert found.places == [0, 1]
        assert not found.subagent

    def test_a_side_chain_below_a_message_does_not_keep_it_from_being_the_leaf(self) -> None:
        assert conversation(said("a"), said("b", "a"), said("s", "b", sidechain=True)).places == [0, 1]

    def test_a_side_chain_on_the_way_is_walked_through_and_left_out(self) -> None:
        assert conversation(said("a"), said("s", "a", sidechain=True), said("b", "s")).places == [0, 2]

    def test_a_meta_message_is_walked_through_and_left_out(self) -> None:
        assert conversation(said("a"), said("m", "a", meta=True), said("b", "m")).places == [0, 2]

    def test_a_meta_message_at_the_end_is_not_the_leaf(self) -> None:
        assert conversation(said("a"), said("b", "a"), said("m", "b", meta=True)).places == [0, 1]

    def test_a_file_of_side_chains_only_is_a_subagents_transcript(self) -> None:
        found = conversation(said("s", sidechain=True), said("t", "s", sidechain=True))
        assert found.places == [0, 1]
        assert found.subagent

    def test_a_file_of_meta_messages_only_has_no_conversation(self) -> None:
        assert conversation(said("a", meta=True), said("b", "a", meta=True)).places == []


class TestDamagedTrees:
    def test_a_missing_parent_ends_the_way_and_is_told(self) -> None:
        found = conversation(said("b", "lost"), said("c", "b"))
        assert found.places == [0, 1]
        assert found.missing_parent == 0

    def test_a_root_is_no_missing_parent(self) -> None:
        assert conversation(said("a"), said("b", "a")).missing_parent is None

    @pytest.mark.parametrize("last", ["a", "b", "c"])
    def test_a_cycle_ends_the_way(self, last: str) -> None:
        ring = {"a": said("a", "c"), "b": said("b", "a"), "c": said("c", "b")}
        nodes = [node for name, node in ring.items() if name != last] + [ring[last]]
        found = conversation(*nodes)
        before = {"a": ["b", "c"], "b": ["c", "a"], "c": ["a", "b"]}[last]
        assert [nodes[place].uuid for place in found.places] == [*before, last]
        assert found.missing_parent is None
        assert not found.unlinked

    def test_a_record_that_names_itself_is_a_root(self) -> None:
        assert conversation(said("a", "a"), said("b", "a")).places == [0, 1]
        assert conversation(said("x"), said("a", "a")).places == [1]

    def test_of_equal_uuids_the_nearest_one_above_is_the_parent(self) -> None:
        found = conversation(said("a"), said("b", "a"), said("a"), said("b", "a"), said("c", "b"))
        assert found.places == [2, 3, 4]

    def test_equal_uuids_that_name_each_other_are_a_line(self) -> None:
        assert conversation(said("x"), said("x", "x"), said("x", "x")).places == [0, 1, 2]

    def test_messages_without_uuid_stand_in_the_order_of_the_file(self) -> None:
        found = conversation(said(None), said(None, meta=True), said(None))
        assert found.places == [0, 2]
        assert found.unlinked

    def test_messages_without_uuid_beside_a_tree_are_no_part_of_it(self) -> None:
        found = conversation(said("a"), said(None), said("b", "a"))
        assert found.places == [0, 2]
        assert not found.unlinked


class TestParallelToolCalls:
    def test_every_call_and_its_result_come_back_in_the_order_of_the_file(self) -> None:
        found = conversation(
            said("u"),
            said("a1", "u", message_id="m"),
            said("a2", "a1", message_id="m"),
            said("a3", "a2", message_id="m"),
            said("r1", "a1", answers=("1",)),
            said("r2", "a2", answers=("2",)),
            said("r3", "a3", answers=("3",)),
            said("end", "r3"),
        )
        assert found.places == [0, 1, 2, 3, 4, 5, 6, 7]
        assert found.recovered == 2

    def test_calls_that_hang_side_by_side_come_back(self) -> None:
        found = conversation(
            said("u"),
            said("a1", "u", message_id="m"),
            said("a2", "u", message_id="m"),
            said("r1", "a1", answers=("1",)),
            said("r2", "a2", answers=("2",)),
            said("end", "r2"),
        )
        assert found.places == [0, 1, 2, 3, 4, 5]

    def test_a_second_answer_to_the_same_call_stays_off(self) -> None:
        found = conversation(
            said("a", message_id="m"),
            said("r", "a", answers=("1",)),
            said("again", "a", answers=("1",)),
            said("end", "r"),
        )
        assert found.places == [0, 1, 3]

    def test_another_prompt_below_a_call_stays_off(self) -> None:
        found = conversation(said("a", message_id="m"), said("edited", "a"), said("b", "a"))
        assert found.places == [0, 2]

    def test_a_repeated_record_does_not_come_back_as_a_parallel_call(self) -> None:
        found = conversation(said("a", message_id="m"), said("a", message_id="m"), said("b", "a"))
        assert found.places == [1, 2]

    def test_what_comes_back_follows_its_call_where_the_file_is_out_of_order(self) -> None:
        found = conversation(
            said("a2", "a1", message_id="m"),
            said("u"),
            said("a1", "u", message_id="m"),
            said("r1", "a1", answers=("1",)),
            said("r2", "a2", answers=("2",)),
            said("end", "r2"),
        )
        assert found.places == [1, 2, 3, 0, 4, 5]

    def test_a_turn_that_was_cut_after_its_results_keeps_them_all(self) -> None:
        found = conversation(
            said("a1", message_id="m"),
            said("a2", "a1", message_id="m"),
            said("r2", "a2", answers=("2",)),
            said("r1", "a1", answers=("1",)),
        )
        assert found.places == [0, 1, 2, 3]
