"""Pending transfers with a timeout."""

import time

from tigerbeetle import CreateTransferStatus as S
from tigerbeetle import TransferFlags as F


def test_expiry_releases_the_amount(bank):
    """After its timeout a pending transfer gives back what it reserved and can't be resolved."""
    debit, credit = bank.pair()
    pending = bank.hold(debit, credit, amount=50, timeout=1)
    assert bank.balances(debit) == (50, 0, 0, 0)
    bank.wait_expired(pending)
    assert bank.balances(debit) == (0, 0, 0, 0)
    assert bank.balances(credit) == (0, 0, 0, 0)
    assert bank.create(bank.post(pending), bank.void(pending)) == [S.PENDING_TRANSFER_EXPIRED] * 2


def test_expired_transfer_is_still_there(bank):
    """Expiry makes no new object and leaves the pending transfer as it was."""
    pending = bank.hold(*bank.pair(), timeout=1)
    before = bank.stored(pending.id)
    bank.wait_expired(pending)
    assert bank.stored(pending.id) == before
    assert bank.create(pending) == [S.EXISTS]


def test_due_is_expired_even_before_the_balances_move(bank):
    """A post after the due time fails, whether or not the server has released the amount yet."""
    pending = bank.hold(*bank.pair(), timeout=1)
    due = bank.stored(pending.id).timestamp + 1_000_000_000
    # The server's clock decides; its timestamps tell when it has passed the due time.
    while True:
        debit, credit = bank.pair()
        [probe] = bank.client.create_transfers([bank.transfer(debit, credit)])
        if probe.timestamp >= due:
            break
        time.sleep(0.01)
    assert bank.create(bank.post(pending)) == [S.PENDING_TRANSFER_EXPIRED]


def test_resolved_in_time_does_not_expire(bank):
    """A posted or voided transfer stays posted or voided after its timeout."""
    debit, credit = bank.pair()
    posted = bank.hold(debit, credit, amount=3, timeout=1)
    voided = bank.hold(debit, credit, amount=4, timeout=1)
    witness = bank.hold(*bank.pair(), timeout=1)
    assert bank.create(bank.post(posted), bank.void(voided)) == [S.CREATED] * 2
    bank.wait_expired(witness)
    assert bank.balances(debit) == (0, 3, 0, 0)
    assert bank.create(bank.post(posted), bank.post(voided)) == [
        S.PENDING_TRANSFER_ALREADY_POSTED,
        S.PENDING_TRANSFER_ALREADY_VOIDED,
    ]


def test_many_expire_at_once(bank):
    """A whole batch that is due at the same time is released completely."""
    debit, credit = bank.pair()
    batch = [bank.pending(debit, credit, amount=1, timeout=1) for _ in range(3000)]
    assert bank.create(*batch) == [S.CREATED] * len(batch)
    keeps = bank.hold(debit, credit, amount=1_000_000, timeout=3600)
    deadline = time.monotonic() + 6
    while bank.balances(debit) != (1_000_000, 0, 0, 0):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert bank.balances(credit) == (0, 0, 1_000_000, 0)
    assert bank.create(bank.void(keeps)) == [S.CREATED]


def test_expiry_opens_a_closed_account_again(bank):
    """An account closed by a pending transfer with a timeout is open again after it."""
    debit, credit = bank.pair()
    close = bank.hold(debit, credit, timeout=1, flags=F.CLOSING_DEBIT)
    assert bank.create(bank.transfer(debit, credit)) == [S.DEBIT_ACCOUNT_ALREADY_CLOSED]
    bank.wait_expired(close)
    assert bank.create(bank.transfer(debit, credit)) == [S.CREATED]
