"""Balancing transfers: as much as the balance allows, at most the amount."""

import pytest
from bank import INT_MAX
from tigerbeetle import AccountFlags
from tigerbeetle import CreateTransferStatus as S
from tigerbeetle import TransferFlags as F


def funded(bank, amount):
    """A debit account that was credited with `amount`, and a fresh credit account."""
    debit, credit = bank.pair()
    bank.move(bank.open(), debit, amount=amount)
    return debit, credit


@pytest.mark.parametrize("asked,moved", [(INT_MAX, 10), (11, 10), (10, 10), (9, 9), (0, 0)])
def test_balancing_debit(bank, asked, moved):
    """The debit account is not debited beyond its credits."""
    debit, credit = funded(bank, 10)
    transfer = bank.move(debit, credit, amount=asked, flags=F.BALANCING_DEBIT)
    assert bank.stored(transfer.id).amount == moved
    assert bank.balances(debit) == (0, moved, 0, 10)


@pytest.mark.parametrize("asked,moved", [(INT_MAX, 10), (11, 10), (10, 10), (9, 9), (0, 0)])
def test_balancing_credit(bank, asked, moved):
    """The credit account is not credited beyond its debits."""
    debit, credit = bank.pair()
    bank.move(credit, bank.open(), amount=10)
    transfer = bank.move(debit, credit, amount=asked, flags=F.BALANCING_CREDIT)
    assert bank.stored(transfer.id).amount == moved
    assert bank.balances(credit) == (0, 10, 0, moved)


@pytest.mark.parametrize("debit_room,credit_room", [(5, 8), (8, 5), (0, 5), (5, 0)])
def test_balancing_both(bank, debit_room, credit_room):
    """With both flags the smaller room counts, and none at all still succeeds."""
    debit, credit = funded(bank, debit_room)
    bank.move(credit, bank.open(), amount=credit_room)
    flags = F.BALANCING_DEBIT | F.BALANCING_CREDIT
    transfer = bank.move(debit, credit, amount=INT_MAX, flags=flags)
    assert bank.stored(transfer.id).amount == min(debit_room, credit_room)


def test_pending_amounts_take_room(bank):
    """What is reserved on the own side is not available."""
    debit, credit = funded(bank, 10)
    bank.hold(debit, credit, amount=4)
    transfer = bank.move(debit, credit, amount=INT_MAX, flags=F.BALANCING_DEBIT)
    assert bank.stored(transfer.id).amount == 6


def test_pending_credits_give_no_room(bank):
    """What is reserved for the account is not there yet."""
    debit, credit = funded(bank, 10)
    bank.hold(bank.open(), debit, amount=5)
    transfer = bank.move(debit, credit, amount=INT_MAX, flags=F.BALANCING_DEBIT)
    assert bank.stored(transfer.id).amount == 10


def test_overdrawn_account_has_no_room(bank):
    """A balance on the wrong side counts as zero, not as a negative amount."""
    debit, credit = bank.pair()
    bank.move(debit, credit, amount=5)
    transfer = bank.move(debit, credit, amount=INT_MAX, flags=F.BALANCING_DEBIT)
    assert bank.stored(transfer.id).amount == 0


def test_balancing_pending(bank):
    """A pending transfer may balance too; its post then moves the amount it got."""
    debit, credit = funded(bank, 10)
    pending = bank.hold(debit, credit, amount=INT_MAX, flags=F.BALANCING_DEBIT)
    assert bank.balances(debit) == (10, 0, 0, 10)
    assert bank.create(bank.post(pending)) == [S.CREATED]
    assert bank.balances(debit) == (0, 10, 0, 10)


def test_balancing_keeps_the_limit(bank):
    """On a limited account the smaller amount is the one that is checked."""
    debit = bank.open(AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS)
    credit = bank.open(AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS)
    bank.move(bank.open(), debit, amount=10)
    bank.move(credit, bank.open(), amount=7)
    assert bank.create(
        bank.transfer(debit, credit, amount=100, flags=F.BALANCING_DEBIT),
        bank.transfer(debit, credit, amount=100, flags=F.BALANCING_CREDIT),
    ) == [S.EXCEEDS_DEBITS, S.CREATED]
    assert bank.balances(debit) == (0, 7, 0, 10)


def test_balancing_in_one_batch(bank):
    """Each event of a batch balances against what the earlier ones left."""
    debit, credit = funded(bank, 10)
    batch = [bank.transfer(debit, credit, amount=6, flags=F.BALANCING_DEBIT) for _ in range(3)]
    assert bank.create(*batch) == [S.CREATED] * 3
    assert [t.amount for t in bank.client.lookup_transfers([t.id for t in batch])] == [6, 4, 0]
