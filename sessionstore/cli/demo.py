"""`sessionstore demo`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from sessionstore.cli import exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.demo_steps import Step, play
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text


@command_of(
    "demo",
    examples=["sessionstore demo"],
    meanings={exits.FAILED: "a step did not end as promised"},
)
@click.option(
    "--keep", metavar="DIR", type=click.Path(), help="Use the new directory DIR and leave it. Default: removed."
)
def command(invocation: Invocation, keep: str | None) -> int | None:
    """Watch changed sessions being refused.

    Imports transcripts, saves turns, verifies, changes files and exchanges a project directory as an attacker would,
    and asks for the sessions. Nothing to prepare, no network. It happens in a temporary directory that is removed at
    the end; your own sessions and settings are neither used nor touched.
    """
    if keep is not None:
        home = Path(keep).absolute()
        try:
            home.mkdir(mode=0o700)
        except OSError as exc:
            raise click.UsageError(f"cannot make {keep}: {(exc.strerror or str(exc)).lower()}") from exc
        steps = _play(invocation, home)
        if not invocation.json:
            output.note(f"the store is in {home}; look at it with `{invocation.prog} --root {home} list`")
    else:
        with tempfile.TemporaryDirectory(prefix="sessionstore-demo-") as directory:
            steps = _play(invocation, Path(directory))
    wrong = sum(not step.ok for step in steps)
    if invocation.json:
        output.value({"ok": wrong == 0, "steps": [step._asdict() for step in steps]})
    else:
        ended = "as promised" if wrong == 0 else f"{wrong:,} NOT as promised"
        output.line(f"{count_text(len(steps), 'step')}, {ended}.")
    return exits.FAILED if wrong else None


def _play(invocation: Invocation, home: Path) -> list[Step]:
    from sessionstore.wiring import open_store

    good, bad = ("✓", "✗") if output.can_show("✓✗") else ("ok", "WRONG")
    steps = []
    if not invocation.json:
        output.line(f"A store of its own in {home}")
        output.line()
    # An empty environment: the settings of whoever runs this have no part in it.
    with open_store(home, environ={}) as store:
        for number, step in enumerate(play(store), start=1):
            steps.append(step)
            if not invocation.json:
                output.line(f"{good if step.ok else bad} {number:>2}. {step.title}")
                for line in step.lines:
                    output.line(f"      {line}")
                output.flush()
    if not invocation.json:
        output.line()
    return steps
