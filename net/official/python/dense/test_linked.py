"""Linked chains: all or nothing."""

import tigerbeetle as tb
from tigerbeetle import AccountFlags
from tigerbeetle import CreateAccountStatus as A
from tigerbeetle import CreateTransferStatus as S
from tigerbeetle import TransferFlags as F


def linked(bank, debit, credit, **fields):
    """A transfer that is linked to the next one."""
    return bank.transfer(debit, credit, flags=fields.pop("flags", F.NONE) | F.LINKED, **fields)


def test_chain_succeeds(bank):
    """A whole chain takes effect, and the flag is stored."""
    debit, credit = bank.pair()
    chain = [linked(bank, debit, credit), linked(bank, debit, credit), bank.transfer(debit, credit)]
    assert bank.create(*chain) == [S.CREATED] * 3
    assert bank.balances(debit) == (0, 30, 0, 0)
    assert bank.stored(chain[0].id).flags == F.LINKED


def test_broken_chain_leaves_no_trace(bank):
    """The member that fails has its own code, the others 1; nothing of the chain stays."""
    debit, credit = bank.pair()
    chain = [
        linked(bank, debit, credit),
        linked(bank, debit, credit, code=0),
        bank.transfer(debit, credit),
    ]
    assert bank.create(*chain) == [
        S.LINKED_EVENT_FAILED,
        S.CODE_MUST_NOT_BE_ZERO,
        S.LINKED_EVENT_FAILED,
    ]
    assert bank.balances(debit) == (0, 0, 0, 0)
    assert bank.client.lookup_transfers([t.id for t in chain]) == []


def test_events_around_a_broken_chain(bank):
    """Only the chain fails; the events before and behind it take effect."""
    debit, credit = bank.pair()
    batch = [
        bank.transfer(debit, credit, amount=1),
        linked(bank, debit, credit, amount=2),
        bank.transfer(debit, credit, amount=4, ledger=0),
        bank.transfer(debit, credit, amount=8),
        linked(bank, debit, credit, amount=16),
        bank.transfer(debit, credit, amount=32),
    ]
    assert bank.create(*batch) == [
        S.CREATED,
        S.LINKED_EVENT_FAILED,
        S.LEDGER_MUST_NOT_BE_ZERO,
        S.CREATED,
        S.CREATED,
        S.CREATED,
    ]
    assert bank.balances(debit) == (0, 1 + 8 + 16 + 32, 0, 0)


def test_open_chain(bank):
    """A batch must not end inside a chain: the last event has 2, the others 1."""
    debit, credit = bank.pair()
    assert bank.create(linked(bank, debit, credit), linked(bank, debit, credit)) == [
        S.LINKED_EVENT_FAILED,
        S.LINKED_EVENT_CHAIN_OPEN,
    ]


def test_open_chain_is_told_before_anything_else(bank):
    """Not even a zero id comes first."""
    assert bank.create(tb.Transfer(flags=F.LINKED)) == [S.LINKED_EVENT_CHAIN_OPEN]


def test_open_chain_that_was_broken_before(bank):
    """A broken member keeps its code and burns its id; the last one still has 2."""
    debit, credit = bank.pair()
    first = linked(bank, debit, credit)
    broken = linked(bank, tb.id(), credit)
    last = linked(bank, debit, credit)
    assert bank.create(first, broken, last) == [
        S.LINKED_EVENT_FAILED,
        S.DEBIT_ACCOUNT_NOT_FOUND,
        S.LINKED_EVENT_CHAIN_OPEN,
    ]
    again = [bank.transfer(debit, credit, id=t.id) for t in (first, broken, last)]
    assert bank.create(*again) == [S.CREATED, S.ID_ALREADY_FAILED, S.CREATED]


def test_exists_breaks_a_chain(bank):
    """A repeat is not a success inside a chain."""
    debit, credit = bank.pair()
    existing = bank.move(debit, credit, flags=F.NONE)
    repeat = existing
    tail = bank.transfer(debit, credit)
    assert bank.create(linked(bank, debit, credit), repeat, tail) == [
        S.LINKED_EVENT_FAILED,
        S.EXISTS,
        S.CREATED,
    ]


def test_exists_in_the_middle_of_a_chain(bank):
    """A linked repeat of a linked transfer breaks the chain in both directions."""
    debit, credit = bank.pair()
    existing = linked(bank, debit, credit)
    assert bank.create(existing, bank.transfer(debit, credit)) == [S.CREATED] * 2
    assert bank.create(linked(bank, debit, credit), existing, bank.transfer(debit, credit)) == [
        S.LINKED_EVENT_FAILED,
        S.EXISTS,
        S.LINKED_EVENT_FAILED,
    ]


def test_members_see_earlier_members(bank):
    """A chain can hand money on: the second needs what the first brings."""
    source = bank.open()
    middle = bank.open(AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS)
    target = bank.open()
    assert (
        bank.create(linked(bank, source, middle, amount=5), bank.transfer(middle, target, amount=5))
        == [S.CREATED] * 2
    )
    assert bank.create(
        linked(bank, source, middle, amount=5), bank.transfer(middle, target, amount=6)
    ) == [S.LINKED_EVENT_FAILED, S.EXCEEDS_CREDITS]
    assert bank.balances(middle) == (0, 5, 0, 5)


def test_broken_chain_gives_back_a_post(bank):
    """A post inside a broken chain is undone: the pending transfer is pending again."""
    debit, credit = bank.pair()
    pending = bank.hold(debit, credit, amount=9)
    assert bank.create(
        bank.post(pending, flags=F.LINKED), bank.transfer(debit, credit, code=0)
    ) == [
        S.LINKED_EVENT_FAILED,
        S.CODE_MUST_NOT_BE_ZERO,
    ]
    assert bank.balances(debit) == (9, 0, 0, 0)
    assert bank.create(bank.void(pending)) == [S.CREATED]


def test_broken_chain_gives_back_a_closing(bank):
    """An account closed inside a broken chain is open again."""
    debit, credit = bank.pair()
    close = bank.pending(debit, credit, amount=0, flags=F.CLOSING_DEBIT | F.LINKED)
    assert bank.create(close, bank.transfer(debit, credit)) == [
        S.LINKED_EVENT_FAILED,
        S.DEBIT_ACCOUNT_ALREADY_CLOSED,
    ]
    assert bank.lookup(debit).flags == AccountFlags.NONE
    assert bank.create(bank.transfer(debit, credit)) == [S.CREATED]


def test_same_id_twice_in_one_chain(bank):
    """The second of two equal ids breaks the chain, and afterwards the id is free."""
    debit, credit = bank.pair()
    first = linked(bank, debit, credit)
    second = bank.transfer(debit, credit, id=first.id)
    assert bank.create(first, second) == [S.LINKED_EVENT_FAILED, S.EXISTS_WITH_DIFFERENT_FLAGS]
    assert bank.create(second) == [S.CREATED]


def test_timestamps_of_a_broken_chain(bank):
    """Members keep the timestamps they would have had: one nanosecond apart."""
    debit, credit = bank.pair()
    results = bank.client.create_transfers(
        [linked(bank, debit, credit), bank.transfer(debit, credit, code=0)]
    )
    assert results[1].timestamp == results[0].timestamp + 1


def test_chain_of_the_largest_batch(bank):
    """A chain may be as long as the batch."""
    debit, credit = bank.pair()
    chain = [linked(bank, debit, credit, amount=1) for _ in range(8188)]
    chain.append(bank.transfer(debit, credit, amount=1, code=0))
    statuses = bank.create(*chain)
    assert statuses == [S.LINKED_EVENT_FAILED] * 8188 + [S.CODE_MUST_NOT_BE_ZERO]
    assert bank.balances(debit) == (0, 0, 0, 0)
    chain[-1].code = 1
    assert bank.create(*chain) == [S.CREATED] * 8189
    assert bank.balances(debit) == (0, 8189, 0, 0)


def test_chain_of_accounts(bank):
    """Accounts are linked by the same rules."""
    first = bank.account(flags=AccountFlags.LINKED)
    last = bank.account()
    assert bank.create_accounts(first, last) == [A.CREATED] * 2
    third = bank.account(flags=AccountFlags.LINKED)
    assert bank.create_accounts(third, last) == [A.LINKED_EVENT_FAILED, A.EXISTS]
    assert bank.client.lookup_accounts([third.id]) == []
