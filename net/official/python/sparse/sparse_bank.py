"""The bank for releases before 0.17, whose results list only the events that failed.

The API of these releases differs in small ways (names of result types, how optional fields are
spelled), so this file uses only what the oldest and the newest of them share.
"""

import random

import tigerbeetle as tb
from tigerbeetle import CreateAccountResult as A
from tigerbeetle import CreateTransferResult as S
from tigerbeetle import TransferFlags as F

INT_MAX = 2**128 - 1
CODE = 7


class SparseBank:
    """One client, one ledger number."""

    def __init__(self, client):
        self.client = client
        self.ledger = random.randrange(1, 2**32)

    def account(self, **fields):
        """A valid account that differs from the default in `fields`; not sent yet."""
        return tb.Account(**({"id": tb.id(), "ledger": self.ledger, "code": CODE} | fields))

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

    def resolve(self, pending, flags, amount):
        """A post or void of `pending`; not sent yet."""
        return tb.Transfer(id=tb.id(), pending_id=pending.id, amount=amount, flags=flags)

    def create_accounts(self, *accounts):
        """Sends one batch; the failures as {index: code}."""
        return failures(self.client.create_accounts(list(accounts)))

    def create(self, *transfers):
        """Sends one batch; the failures as {index: code}."""
        return failures(self.client.create_transfers(list(transfers)))

    def pair(self):
        """Opens two plain accounts; their ids."""
        accounts = [self.account(), self.account()]
        assert self.create_accounts(*accounts) == {}
        return [account.id for account in accounts]

    def balances(self, account_id):
        """(debits_pending, debits_posted, credits_pending, credits_posted)"""
        [a] = self.client.lookup_accounts([account_id])
        return a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted


def failures(results):
    """{index: code}, after a check that the indexes rise."""
    indexes = [result.index for result in results]
    assert indexes == sorted(set(indexes))
    return {result.index: result.result for result in results}


__all__ = ["A", "CODE", "F", "INT_MAX", "S", "SparseBank", "failures", "tb"]
