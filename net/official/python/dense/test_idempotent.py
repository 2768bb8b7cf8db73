"""Repeats: the same id never moves money twice, and a burned id never moves any."""

import dataclasses

import pytest
import tigerbeetle as tb
from bank import INT_MAX, TRANSIENT
from tigerbeetle import AccountFlags
from tigerbeetle import CreateTransferStatus as S
from tigerbeetle import TransferFlags as F


def test_repeat_answers_the_first_timestamp(bank):
    """A repeat changes nothing and answers when the transfer was created."""
    debit, credit = bank.pair()
    transfer = bank.transfer(debit, credit)
    [created] = bank.client.create_transfers([transfer])
    for repeat in bank.client.create_transfers([transfer] * 3):
        assert repeat.status == S.EXISTS
        assert repeat.timestamp == created.timestamp
    assert bank.balances(debit) == (0, 10, 0, 0)


def test_different_repeat_has_its_own_timestamp(bank):
    """Only an equal repeat answers the old timestamp."""
    debit, credit = bank.pair()
    transfer = bank.transfer(debit, credit)
    [created] = bank.client.create_transfers([transfer])
    [other] = bank.client.create_transfers([dataclasses.replace(transfer, amount=11)])
    assert other.status == S.EXISTS_WITH_DIFFERENT_AMOUNT
    assert other.timestamp > created.timestamp


def test_repeat_of_a_whole_batch(bank):
    """Sending a batch again answers `exists` for every event."""
    debit, credit = bank.pair()
    batch = [bank.transfer(debit, credit, amount=i) for i in range(100)]
    assert bank.create(*batch) == [S.CREATED] * 100
    assert bank.create(*batch) == [S.EXISTS] * 100
    assert bank.balances(debit) == (0, sum(range(100)), 0, 0)


def test_repeat_comes_before_the_state_of_the_accounts(bank):
    """A repeat is a repeat even if the transfer would fail now."""
    limited = bank.open(AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS)
    other = bank.open()
    bank.move(other, limited, amount=10)
    spent = bank.move(limited, other, amount=10)
    bank.close(limited)
    assert bank.create(spent) == [S.EXISTS]


def test_repeat_of_a_pending_transfer_after_its_post(bank):
    """The pending transfer stays the same transfer after it was resolved."""
    pending = bank.hold(*bank.pair())
    assert bank.create(bank.post(pending)) == [S.CREATED]
    assert bank.create(pending) == [S.EXISTS]


def test_repeat_of_a_post(bank):
    """A repeated post is told as `exists`, not as already posted."""
    pending = bank.hold(*bank.pair(), amount=10)
    post = bank.post(pending)
    assert bank.create(post, post, bank.post(pending)) == [
        S.CREATED,
        S.EXISTS,
        S.PENDING_TRANSFER_ALREADY_POSTED,
    ]


# What the repeat of a post or void may differ in. Zero means "as in the pending transfer".
RESOLVE_REPEATS = [
    ("post", {"amount": INT_MAX}, {"amount": 10}, S.EXISTS),
    ("post", {"amount": 10}, {"amount": INT_MAX}, S.EXISTS),
    ("post", {"amount": 4}, {"amount": INT_MAX}, S.EXISTS_WITH_DIFFERENT_AMOUNT),
    ("post", {"amount": 4}, {"amount": 0}, S.EXISTS_WITH_DIFFERENT_AMOUNT),
    ("post", {"amount": 0}, {"amount": 0}, S.EXISTS),
    ("void", {"amount": 0}, {"amount": 10}, S.EXISTS),
    ("void", {"amount": 10}, {"amount": 0}, S.EXISTS),
    ("void", {"amount": 0}, {"amount": 9}, S.EXISTS_WITH_DIFFERENT_AMOUNT),
    ("void", {"amount": 0}, {"amount": INT_MAX}, S.EXISTS_WITH_DIFFERENT_AMOUNT),
    ("post", {}, {"flags": F.VOID_PENDING_TRANSFER}, S.EXISTS_WITH_DIFFERENT_FLAGS),
    ("post", {}, {"pending_id": 1}, S.EXISTS_WITH_DIFFERENT_PENDING_ID),
    ("post", {}, {"timeout": 1}, S.EXISTS_WITH_DIFFERENT_TIMEOUT),
    ("post", {}, {"debit_account_id": 1}, S.EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID),
    ("post", {}, {"credit_account_id": 1}, S.EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID),
    ("post", {}, {"ledger": 1}, S.EXISTS_WITH_DIFFERENT_LEDGER),
    ("post", {}, {"code": 1}, S.EXISTS_WITH_DIFFERENT_CODE),
    ("post", {}, {"user_data_128": 5}, S.EXISTS),
    ("post", {}, {"user_data_128": 6}, S.EXISTS_WITH_DIFFERENT_USER_DATA_128),
    ("post", {"user_data_64": 7}, {"user_data_64": 0}, S.EXISTS_WITH_DIFFERENT_USER_DATA_64),
    ("post", {"user_data_64": 7}, {"user_data_64": 7}, S.EXISTS),
    ("void", {}, {"user_data_32": 1}, S.EXISTS_WITH_DIFFERENT_USER_DATA_32),
]


@pytest.mark.parametrize("kind,first,second,status", RESOLVE_REPEATS)
def test_repeat_of_a_resolving_transfer(bank, kind, first, second, status):
    """How the fields of a repeated post or void are compared."""
    pending = bank.hold(*bank.pair(), user_data_128=5)
    created = getattr(bank, kind)(pending, **first)
    assert bank.create(created) == [S.CREATED]
    assert bank.create(dataclasses.replace(created, **second)) == [status]


def test_repeat_of_a_balancing_transfer(bank):
    """With a balancing flag a repeat may ask for more than was moved, not for less."""
    debit, credit = bank.pair()
    bank.move(credit, debit, amount=10)
    transfer = bank.move(debit, credit, amount=100, flags=F.BALANCING_DEBIT)
    assert bank.stored(transfer.id).amount == 10
    for amount, status in [
        (100, S.EXISTS),
        (INT_MAX, S.EXISTS),
        (10, S.EXISTS),
        (9, S.EXISTS_WITH_DIFFERENT_AMOUNT),
    ]:
        assert bank.create(dataclasses.replace(transfer, amount=amount)) == [status]


def fail_transiently(bank, status):
    """A transfer that fails with `status`, and the function that takes the reason away."""
    debit, credit = bank.pair()
    if status == S.DEBIT_ACCOUNT_NOT_FOUND:
        missing = tb.id()
        return bank.transfer(missing, credit), lambda: bank.open(id=missing)
    if status == S.CREDIT_ACCOUNT_NOT_FOUND:
        missing = tb.id()
        return bank.transfer(debit, missing), lambda: bank.open(id=missing)
    if status == S.PENDING_TRANSFER_NOT_FOUND:
        pending = bank.pending(debit, credit)
        return bank.post(pending), lambda: bank.create(pending)
    if status == S.EXCEEDS_CREDITS:
        limited = bank.open(AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS)
        return bank.transfer(limited, credit), lambda: bank.move(credit, limited, amount=100)
    if status == S.EXCEEDS_DEBITS:
        limited = bank.open(AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS)
        return bank.transfer(debit, limited), lambda: bank.move(limited, debit, amount=100)
    closed = debit if status == S.DEBIT_ACCOUNT_ALREADY_CLOSED else credit
    close = bank.close(closed)
    return bank.transfer(debit, credit), lambda: bank.create(bank.void(close))


@pytest.mark.parametrize("status", sorted(TRANSIENT), ids=lambda s: s.name.lower())
def test_burned_id(bank, status):
    """A transient failure burns the id: the repeat fails though the reason is gone."""
    transfer, mend = fail_transiently(bank, status)
    assert bank.create(transfer, transfer) == [status, S.ID_ALREADY_FAILED]
    mend()
    assert bank.create(transfer) == [S.ID_ALREADY_FAILED]
    assert bank.stored(transfer.id) is None
    assert bank.create(dataclasses.replace(transfer, id=tb.id())) == [S.CREATED]


def test_burned_id_in_the_order_of_checks(bank):
    """A timestamp and reserved flags are told first; the rest of a burned id is not looked at."""
    debit, credit = bank.pair()
    burned = bank.transfer(debit, tb.id())
    assert bank.create(burned) == [S.CREDIT_ACCOUNT_NOT_FOUND]
    assert bank.create(
        dataclasses.replace(burned, flags=1 << 15),
        dataclasses.replace(burned, timestamp=1),
        tb.Transfer(id=burned.id),
        bank.post(burned, id=burned.id),
    ) == [
        S.RESERVED_FLAG,
        S.TIMESTAMP_MUST_BE_ZERO,
        S.ID_ALREADY_FAILED,
        S.ID_ALREADY_FAILED,
    ]


def test_burned_id_can_not_be_posted(bank):
    """A burned id was never a transfer."""
    debit, _credit = bank.pair()
    burned = bank.pending(debit, tb.id())
    assert bank.create(burned) == [S.CREDIT_ACCOUNT_NOT_FOUND]
    assert bank.create(bank.post(burned)) == [S.PENDING_TRANSFER_NOT_FOUND]
