"""A small bank on one client: fresh accounts, transfers with sensible defaults, statuses, balances.

Every id is new and time-based and every bank has a ledger number of its own, so that a test never
depends on what the server already holds.
"""

import random
import time

import tigerbeetle as tb
from tigerbeetle import AccountFlags, CreateAccountStatus, CreateTransferStatus, TransferFlags

INT_MAX = 2**128 - 1
NS_PER_S = 1_000_000_000
# The largest batch that fits one message of 1 MiB.
BATCH_MAX = 8189
CODE = 7

# These failures burn the transfer's id: it can never be used again.
TRANSIENT = {
    CreateTransferStatus.DEBIT_ACCOUNT_NOT_FOUND,
    CreateTransferStatus.CREDIT_ACCOUNT_NOT_FOUND,
    CreateTransferStatus.PENDING_TRANSFER_NOT_FOUND,
    CreateTransferStatus.EXCEEDS_CREDITS,
    CreateTransferStatus.EXCEEDS_DEBITS,
    CreateTransferStatus.DEBIT_ACCOUNT_ALREADY_CLOSED,
    CreateTransferStatus.CREDIT_ACCOUNT_ALREADY_CLOSED,
}


class Bank:
    """One client, one ledger number, and the accounts that were opened through it."""

    def __init__(self, client, ledger=None):
        self.client = client
        self.ledger = ledger or random.randrange(1, 2**32)
        self.opened = []

    # Accounts.

    def account(self, **fields):
        """A valid account that differs from the default in `fields`; not sent yet."""
        defaults = {"id": tb.id(), "ledger": self.ledger, "code": CODE}
        return tb.Account(**(defaults | fields))

    def create_accounts(self, *accounts):
        """Sends one batch; the statuses in order."""
        results = self.client.create_accounts(list(accounts))
        assert len(results) == len(accounts)
        for account, result in zip(accounts, results):
            if result.status == CreateAccountStatus.CREATED:
                self.opened.append(account.id)
        return [result.status for result in results]

    def open(self, flags=AccountFlags.NONE, **fields):
        """Opens one account; its id."""
        account = self.account(flags=flags, **fields)
        assert self.create_accounts(account) == [CreateAccountStatus.CREATED]
        return account.id

    def pair(self):
        """Opens two plain accounts; their ids."""
        return self.open(), self.open()

    def lookup(self, account_id):
        """The one account with this id as the server has it."""
        [account] = self.client.lookup_accounts([account_id])
        return account

    def balances(self, account_id):
        """(debits_pending, debits_posted, credits_pending, credits_posted)"""
        a = self.lookup(account_id)
        return a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted

    def snapshot(self):
        """All accounts of this bank as the server has them."""
        return self.client.lookup_accounts(self.opened)

    # Transfers.

    def transfer(self, debit=0, credit=0, **fields):
        """A valid transfer that differs from the default in `fields`; not sent yet."""
        defaults = {
            "id": tb.id(),
            "debit_account_id": debit,
            "credit_account_id": credit,
            "amount": 10,
            "ledger": self.ledger,
            "code": CODE,
        }
        return tb.Transfer(**(defaults | fields))

    def pending(self, debit, credit, **fields):
        """A pending transfer; further flags are added to `pending`."""
        flags = fields.pop("flags", TransferFlags.NONE) | TransferFlags.PENDING
        return self.transfer(debit, credit, flags=flags, **fields)

    @staticmethod
    def post(pending, amount=INT_MAX, **fields):
        """Posts `pending`; the default amount means all of it."""
        flags = fields.pop("flags", TransferFlags.NONE) | TransferFlags.POST_PENDING_TRANSFER
        defaults = {"id": tb.id(), "pending_id": pending.id, "amount": amount, "flags": flags}
        return tb.Transfer(**(defaults | fields))

    @staticmethod
    def void(pending, amount=0, **fields):
        """Voids `pending`; the default amount means all of it."""
        flags = fields.pop("flags", TransferFlags.NONE) | TransferFlags.VOID_PENDING_TRANSFER
        defaults = {"id": tb.id(), "pending_id": pending.id, "amount": amount, "flags": flags}
        return tb.Transfer(**(defaults | fields))

    def create(self, *transfers):
        """Sends one batch; the statuses in order."""
        results = self.client.create_transfers(list(transfers))
        assert len(results) == len(transfers)
        return [result.status for result in results]

    def move(self, debit, credit, **fields):
        """Creates one transfer that must succeed; the transfer as sent."""
        transfer = self.transfer(debit, credit, **fields)
        assert self.create(transfer) == [CreateTransferStatus.CREATED]
        return transfer

    def hold(self, debit, credit, **fields):
        """Creates one pending transfer that must succeed; the transfer as sent."""
        transfer = self.pending(debit, credit, **fields)
        assert self.create(transfer) == [CreateTransferStatus.CREATED]
        return transfer

    def close(self, account_id):
        """Closes an account by a pending transfer; the transfer."""
        return self.hold(account_id, self.open(), amount=0, flags=TransferFlags.CLOSING_DEBIT)

    def stored(self, transfer_id):
        """The transfer with this id as the server has it, or None."""
        found = self.client.lookup_transfers([transfer_id])
        assert len(found) <= 1
        return found[0] if found else None

    def wait_expired(self, transfer, seconds_max=5.0):
        """Waits until the pending amount of `transfer` is released from its debit account."""
        deadline = time.monotonic() + transfer.timeout + seconds_max
        while self.lookup(transfer.debit_account_id).debits_pending != 0:
            assert time.monotonic() < deadline, "the pending transfer did not expire"
            time.sleep(0.05)

    # Time.

    def import_time(self):
        """A timestamp later than every object so far and earlier than the next message.

        Objects get the server's wall clock, which moves on by at least some microseconds in one
        round trip. So one nanosecond after the last transfer is free.
        """
        debit, credit = self.pair()
        [result] = self.client.create_transfers([self.transfer(debit, credit)])
        assert result.status == CreateTransferStatus.CREATED
        time.sleep(0.001)
        return result.timestamp + 1000
