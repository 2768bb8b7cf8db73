"""Pending transfers: post, partial post, void, and what stays of them."""

import dataclasses

import pytest
from bank import INT_MAX
from tigerbeetle import AccountFlags
from tigerbeetle import CreateTransferStatus as S
from tigerbeetle import TransferFlags as F


def test_pending_reserves(bank):
    """A pending transfer moves only the pending balances."""
    debit, credit = bank.pair()
    bank.hold(debit, credit, amount=100)
    assert bank.balances(debit) == (100, 0, 0, 0)
    assert bank.balances(credit) == (0, 0, 100, 0)


@pytest.mark.parametrize("amount,posted", [(INT_MAX, 100), (100, 100), (30, 30), (0, 0)])
def test_post(bank, amount, posted):
    """A post moves the given amount (the largest number means all) and releases the rest."""
    debit, credit = bank.pair()
    pending = bank.hold(debit, credit, amount=100)
    post = bank.post(pending, amount=amount)
    assert bank.create(post) == [S.CREATED]
    assert bank.balances(debit) == (0, posted, 0, 0)
    assert bank.balances(credit) == (0, 0, 0, posted)
    stored = bank.stored(post.id)
    assert (stored.amount, stored.pending_id) == (posted, pending.id)


@pytest.mark.parametrize("amount", [0, 100])
def test_void(bank, amount):
    """A void releases everything; its amount is zero or all."""
    debit, credit = bank.pair()
    pending = bank.hold(debit, credit, amount=100)
    void = bank.void(pending, amount=amount)
    assert bank.create(void) == [S.CREATED]
    assert bank.balances(debit) == (0, 0, 0, 0)
    assert bank.balances(credit) == (0, 0, 0, 0)
    assert bank.stored(void.id).amount == 100


def test_void_takes_the_largest_number_literally(bank):
    """Only a post reads the largest number as "all"."""
    pending = bank.hold(*bank.pair(), amount=100)
    assert bank.create(bank.void(pending, amount=INT_MAX)) == [S.EXCEEDS_PENDING_TRANSFER_AMOUNT]


def test_post_inherits_fields(bank):
    """What a post leaves zero it takes from the pending transfer; user data may differ."""
    debit, credit = bank.pair()
    pending = bank.hold(
        debit, credit, timeout=3600, user_data_128=1, user_data_64=2, user_data_32=3
    )
    post = bank.post(pending, user_data_64=20)
    [result] = bank.client.create_transfers([post])
    assert bank.stored(post.id) == dataclasses.replace(
        pending,
        id=post.id,
        pending_id=pending.id,
        user_data_64=20,
        timeout=0,
        flags=F.POST_PENDING_TRANSFER,
        timestamp=result.timestamp,
    )


def test_post_may_name_equal_fields(bank):
    """Fields that are given must equal those of the pending transfer."""
    pending = bank.hold(*bank.pair())
    post = bank.post(
        pending,
        debit_account_id=pending.debit_account_id,
        credit_account_id=pending.credit_account_id,
        ledger=pending.ledger,
        code=pending.code,
    )
    assert bank.create(post) == [S.CREATED]


def test_pending_transfer_is_not_changed(bank):
    """The pending transfer itself stays as it was created."""
    pending = bank.hold(*bank.pair())
    before = bank.stored(pending.id)
    assert bank.create(bank.post(pending, amount=1)) == [S.CREATED]
    assert bank.stored(pending.id) == before


@pytest.mark.parametrize(
    "first,then_post,then_void",
    [
        ("post", S.PENDING_TRANSFER_ALREADY_POSTED, S.PENDING_TRANSFER_ALREADY_POSTED),
        ("void", S.PENDING_TRANSFER_ALREADY_VOIDED, S.PENDING_TRANSFER_ALREADY_VOIDED),
    ],
)
def test_resolved_only_once(bank, first, then_post, then_void):
    """A pending transfer is resolved once, and it does not matter by what."""
    pending = bank.hold(*bank.pair())
    assert bank.create(getattr(bank, first)(pending)) == [S.CREATED]
    assert bank.create(bank.post(pending), bank.void(pending)) == [then_post, then_void]


def test_pending_and_post_in_one_batch(bank):
    """The events of a batch see each other's effects in order."""
    debit, credit = bank.pair()
    pending = bank.pending(debit, credit, amount=7)
    assert bank.create(pending, bank.post(pending), bank.void(pending)) == [
        S.CREATED,
        S.CREATED,
        S.PENDING_TRANSFER_ALREADY_POSTED,
    ]
    assert bank.balances(debit) == (0, 7, 0, 0)


def test_reserved_money_counts_against_the_limit(bank):
    """A limited account cannot spend what is reserved, and can again after a void."""
    debit = bank.open(AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS)
    credit = bank.open()
    bank.move(credit, debit, amount=100)
    pending = bank.hold(debit, credit, amount=60)
    assert bank.create(bank.transfer(debit, credit, amount=41)) == [S.EXCEEDS_CREDITS]
    assert bank.create(bank.void(pending)) == [S.CREATED]
    assert bank.create(bank.transfer(debit, credit, amount=100)) == [S.CREATED]


def test_pending_credits_cannot_be_spent(bank):
    """Money that is only reserved for an account does not count as its credit."""
    debit = bank.open(AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS)
    other = bank.open()
    bank.hold(other, debit, amount=100)
    assert bank.create(bank.transfer(debit, other, amount=1)) == [S.EXCEEDS_CREDITS]


def test_pending_of_amount_zero(bank):
    """A pending transfer may reserve nothing, and is resolved like any other."""
    pending = bank.hold(*bank.pair(), amount=0)
    assert bank.create(bank.post(pending)) == [S.CREATED]
    assert bank.create(bank.post(pending)) == [S.PENDING_TRANSFER_ALREADY_POSTED]
