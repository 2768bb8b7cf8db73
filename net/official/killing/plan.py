"""What a client sends: random batches whose outcome is known beforehand."""

import random
from dataclasses import dataclass, field

import tigerbeetle as tb
from tigerbeetle import CreateTransferStatus as S
from tigerbeetle import TransferFlags as F

AMOUNT_MAX = 2**128 - 1
LEDGER = 1
CODE = 1
ACCOUNTS_SHARED = 4
ACCOUNTS_OWN = 4


@dataclass
class Batch:
    """One request of one client.

    `outcomes` are the statuses when the batch is executed for the first time; `again` those when it
    is sent a second time after it was executed.
    """

    number: int
    transfers: list = field(default_factory=list)
    outcomes: list = field(default_factory=list)
    again: list = field(default_factory=list)

    def add(self, transfer, outcome, again):
        self.transfers.append(transfer)
        self.outcomes.append(outcome)
        self.again.append(again)

    def created(self):
        """The transfers that the batch creates, with their index."""
        pairs = enumerate(zip(self.transfers, self.outcomes, strict=True))
        return [(i, t) for i, (t, outcome) in pairs if outcome == S.CREATED]


def account(**fields):
    """A plain account."""
    return tb.Account(id=tb.id(), ledger=LEDGER, code=CODE, **fields)


class Plan:
    """Makes the batches of one client.

    The accounts have no limits and the pending transfers no short timeouts, and only this client
    resolves its own pending transfers, so every outcome is certain whatever other clients do.
    """

    def __init__(self, seed, accounts):
        self.random = random.Random(seed)
        self.accounts = accounts
        self.pending = []
        self.number = 0

    def next(self):
        """The next batch."""
        batch = Batch(self.number)
        self.number += 1
        size = self._size()
        while len(batch.transfers) < size:
            self._add(batch, size - len(batch.transfers))
        return batch

    def _size(self):
        low, high = self.random.choices([(1, 1), (2, 64), (65, 1000), (2000, 8189)], [8, 8, 4, 1])[
            0
        ]
        return self.random.randint(low, high)

    def _transfer(self, **fields):
        debit, credit = self.random.sample(self.accounts, 2)
        amount = self.random.choice([1, self.random.randrange(10**6), self.random.randrange(2**70)])
        defaults = {
            "id": tb.id(),
            "debit_account_id": debit,
            "credit_account_id": credit,
            "amount": amount,
            "user_data_128": self.random.getrandbits(128),
            "user_data_64": self.random.getrandbits(64),
            "user_data_32": self.random.getrandbits(32),
            "ledger": LEDGER,
            "code": CODE,
        }
        return tb.Transfer(**(defaults | fields))

    def _add(self, batch, room):
        roll = self.random.random()
        if roll < 0.15:
            hold = self._transfer(flags=F.PENDING, timeout=self.random.choice([0, 3600]))
            self.pending.append(hold)
            batch.add(hold, S.CREATED, S.EXISTS)
        elif roll < 0.27 and self.pending:
            batch.add(self._resolve(), S.CREATED, S.EXISTS)
        elif roll < 0.37 and room >= 5:
            self._add_chain(batch, broken=False)
        elif roll < 0.42 and room >= 5:
            self._add_chain(batch, broken=True)
        elif roll < 0.44:
            burned = self._transfer(credit_account_id=tb.id())
            batch.add(burned, S.CREDIT_ACCOUNT_NOT_FOUND, S.ID_ALREADY_FAILED)
        else:
            batch.add(self._transfer(), S.CREATED, S.EXISTS)

    def _resolve(self):
        hold = self.pending.pop(self.random.randrange(len(self.pending)))
        if self.random.random() < 0.5:
            return tb.Transfer(id=tb.id(), pending_id=hold.id, flags=F.VOID_PENDING_TRANSFER)
        amount = self.random.choice([AMOUNT_MAX, hold.amount, hold.amount // 2])
        return tb.Transfer(
            id=tb.id(), pending_id=hold.id, amount=amount, flags=F.POST_PENDING_TRANSFER
        )

    def _add_chain(self, batch, broken):
        length = self.random.randint(2, 5)
        for i in range(length):
            is_last = i == length - 1
            transfer = self._transfer(
                flags=F.NONE if is_last else F.LINKED, code=0 if broken and is_last else CODE
            )
            if broken:
                outcome = S.CODE_MUST_NOT_BE_ZERO if is_last else S.LINKED_EVENT_FAILED
                batch.add(transfer, outcome, outcome)
            else:
                # A repeated chain breaks at its first member, which exists.
                batch.add(transfer, S.CREATED, S.EXISTS if i == 0 else S.LINKED_EVENT_FAILED)
