"""How unsigned files are treated: what the ledger holds, raised by settings or a command, lowered by a command only.

Rules:

* In force is the higher one of the recorded policy and the setting. A setting above the recorded one is recorded when
  the store is opened for writing; from then on it holds without the setting too.
* A setting below the recorded one keeps the store from opening: it is not passed over, and it does not lower anything.
* Every change stands in the audit log before it is made.
* No policy makes a hard error softer: a file that is not listed, or was changed, is refused under each of them.
"""

from __future__ import annotations

from sessionstore.audit import AuditLog
from sessionstore.config import Config, PolicySetting
from sessionstore.errors import DowngradeRefusedError, InvalidValueError
from sessionstore.ledger import Ledger
from sessionstore.model import POLICIES, Policy, PolicyState


def at_least(policy: Policy, wanted: Policy) -> bool:
    """Whether `policy` holds all that `wanted` holds."""
    return POLICIES.index(policy) >= POLICIES.index(wanted)


def state(ledger: Ledger, config: Config) -> PolicyState:
    """The policy in force, and where it comes from."""
    return combined(ledger.policy.read(), config.policy)


def combined(floor: Policy, setting: PolicySetting) -> PolicyState:
    """What is in force where that is recorded and this is asked for."""
    return PolicyState(floor if setting == "floor" or at_least(floor, setting) else setting, floor, setting)


def settle(ledger: Ledger, config: Config, audit: AuditLog, *, read_only: bool) -> None:
    """Record what the settings ask for, when a store is opened.

    Raises:
        DowngradeRefusedError: They ask for less than what is recorded.
    """
    if config.policy == "floor":
        return
    floor = ledger.policy.read()
    if not at_least(config.policy, floor):
        raise DowngradeRefusedError(asked=config.policy, floor=floor)
    if config.policy != floor and not read_only:
        _raise(ledger, audit, floor, config.policy, by="setting")


def raise_to(ledger: Ledger, audit: AuditLog, to: str) -> None:
    """Raise the recorded policy; nothing happens if it is that already.

    Raises:
        InvalidValueError: There is no such policy.
        DowngradeRefusedError: It is below the recorded one.
    """
    wanted, floor = _known(to), ledger.policy.read()
    if not at_least(wanted, floor):
        hint = f"`sessionstore policy lower {wanted}` lowers it"
        raise DowngradeRefusedError(asked=wanted, floor=floor, hint=hint)
    if wanted != floor:
        _raise(ledger, audit, floor, wanted, by="command")


def lower_to(ledger: Ledger, config: Config, audit: AuditLog, to: str, consent: str) -> None:
    """Lower the recorded policy, because a person said so.

    Raises:
        InvalidValueError: There is no such policy, or it is not below the recorded one.
        DowngradeRefusedError: The settings ask for more, and would raise it again.
    """
    wanted, floor = _known(to), ledger.policy.read()
    refuse_to_lower(wanted, floor, config.policy)
    audit.record("policy_lowered", before=floor, after=wanted, consent=consent)
    ledger.policy.change(wanted, old=floor)


def refuse_to_lower(wanted: Policy, floor: Policy, setting: PolicySetting) -> None:
    """Return if the policy may be lowered from the recorded one. Errors as `lower_to`."""
    if at_least(wanted, floor):
        raise InvalidValueError(what="policy", reason=f"{wanted} is not below {floor}, which is recorded")
    if setting != "floor" and not at_least(wanted, setting):
        hint = f"the setting policy asks for {setting}; change it first"
        raise DowngradeRefusedError(asked=wanted, floor=setting, hint=hint)


def _raise(ledger: Ledger, audit: AuditLog, floor: Policy, to: Policy, *, by: str) -> None:
    audit.record("policy_raised", before=floor, after=to, by=by)
    ledger.policy.change(to, old=floor)


def _known(text: str) -> Policy:
    for policy in POLICIES:
        if policy == text:
            return policy
    raise InvalidValueError(what="policy", reason=f"one of {', '.join(POLICIES)} is needed")
