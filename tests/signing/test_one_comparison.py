"""Tags are compared in one place, in constant time: what the source of the whole package says.

Comparing a tag with `==` tells an attacker, by the time it takes, how much of a guess is right. So a tag that was
computed here never meets an operator. Something else is the *text* of a signature in a file or in the ledger: it is
public, and once it was verified, `sealed.signature == head.tag` asks whether two verified seals are the same one. That
is allowed, but only above the rooms that verify.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import sessionstore

PACKAGE = Path(sessionstore.__file__).parent
MODULES = {str(path.relative_to(PACKAGE)): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
THE_PLACE = "signing/mac.py"
ROOMS_THAT_VERIFY = ("signing/", "format/")
TAG_NAMES = {"tag", "mac", "signature", "expected_tag"}


def nodes(kind: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    for name, module in MODULES.items():
        yield from ((name, node) for node in ast.walk(module) if isinstance(node, kind))


def operands(compare: ast.Compare) -> Iterator[ast.expr]:
    """What `==`, `!=`, `in` and `not in` are applied to; `len(…)` is a number and no tag."""
    sides = [compare.left, *compare.comparators]
    for index, operator in enumerate(compare.ops):
        if isinstance(operator, ast.Eq | ast.NotEq | ast.In | ast.NotIn):
            for side in sides[index : index + 2]:
                if not (isinstance(side, ast.Call) and ast.unparse(side.func) == "len"):
                    yield side


def compares_a_computed_tag(compare: ast.Compare) -> bool:
    return any(
        isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Attribute) and node.func.attr == "tag")
            or ast.unparse(node.func).startswith("hmac.")
        )
        for side in operands(compare)
        for node in ast.walk(side)
    )


def compares_a_name_of_a_tag(compare: ast.Compare, *, attributes: bool) -> bool:
    return any(
        (isinstance(node, ast.Name) and node.id in TAG_NAMES)
        or (attributes and isinstance(node, ast.Attribute) and node.attr in TAG_NAMES)
        for side in operands(compare)
        for node in ast.walk(side)
    )


def test_compare_digest_is_called_exactly_once_in_the_whole_package() -> None:
    named = [
        name for name, node in nodes(ast.Attribute) if isinstance(node, ast.Attribute) and node.attr == "compare_digest"
    ]
    named += [name for name, node in nodes(ast.Name) if isinstance(node, ast.Name) and node.id == "compare_digest"]
    assert named == [THE_PLACE]


def test_only_that_place_knows_the_hmac_library() -> None:
    users = set()
    for name, node in nodes(ast.Import):
        assert isinstance(node, ast.Import)
        users |= {name for alias in node.names if alias.name in ("hmac", "_hashlib")}
    for name, node in nodes(ast.ImportFrom):
        assert isinstance(node, ast.ImportFrom)
        users |= {name for alias in node.names if f"{node.module}.{alias.name}".startswith(("hmac", "_hashlib"))}
        users |= {name for alias in node.names if str(node.module).endswith("primitives") and alias.name == "hmac"}
    assert users == {THE_PLACE}


def test_a_computed_tag_never_meets_an_operator() -> None:
    assert not [
        f"{name}:{node.lineno}"
        for name, node in nodes(ast.Compare)
        if isinstance(node, ast.Compare) and compares_a_computed_tag(node)
    ]


def test_the_rooms_that_verify_apply_no_operator_to_a_tag_by_any_name() -> None:
    assert not [
        f"{name}:{node.lineno}"
        for name, node in nodes(ast.Compare)
        if isinstance(node, ast.Compare)
        and name.startswith(ROOMS_THAT_VERIFY)
        and compares_a_name_of_a_tag(node, attributes=True)
    ]


@pytest.mark.parametrize(
    ("code", "caught"),
    [
        ("key.tag(a, b) == tag", True),
        ("key.tag(a).hex() != signature", True),
        ("hmac.digest(k, d, 'sha256') == claimed", True),
        ("mac != other", True),
        ("sealed.signature == head.tag", True),
        ("tag in seen", True),
        ("len(tag) != 32", False),
        ("tag is None", False),
        ("seal.chain != chain", False),
    ],
)
def test_these_tests_see_what_they_are_meant_to_see(code: str, caught: bool) -> None:
    compare = ast.parse(code, mode="eval").body
    assert isinstance(compare, ast.Compare)
    assert (compares_a_computed_tag(compare) or compares_a_name_of_a_tag(compare, attributes=True)) is caught
