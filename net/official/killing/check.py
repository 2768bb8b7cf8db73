"""What must hold after a crash: nothing acknowledged is lost, nothing is done twice or by half."""

import dataclasses
import hashlib

from tigerbeetle import CreateTransferStatus as S
from tigerbeetle import TransferFlags as F

from killing.plan import AMOUNT_MAX

LOOKUP_MAX = 8189


class Violation(Exception):
    """A promise that the server has broken."""


def demand(condition, message):
    if not condition:
        raise Violation(message)


def lookup(call, ids):
    """Looks any number of ids up; {id: object}."""
    found = {}
    for at in range(0, len(ids), LOOKUP_MAX):
        found.update((o.id, o) for o in call(ids[at : at + LOOKUP_MAX]))
    return found


@dataclasses.dataclass
class Counts:
    """What the rounds have seen so far."""

    acked_batches: int = 0
    acked_transfers: int = 0
    whole: int = 0
    absent: int = 0
    unknown: int = 0
    burned: int = 0
    survivors: int = 0

    def add(self, other):
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


class Round:
    """The clients of one round and the accounts that only they have used."""

    def __init__(self, clients, accounts):
        self.clients = clients
        self.accounts = accounts
        self.sent = {t.id: t for c in clients for b in c.batches for t in b.transfers}
        self.present = {}
        self.counts = Counts()

    def check(self, client):
        """All checks of one round; sends the unanswered batches again. Keeps a digest."""
        self.load(client)
        unanswered = []
        for process in self.clients:
            self.check_acknowledged(process)
            unanswered += [
                (process, batch, self.state_of(process, batch))
                for batch in process.batches
                if batch.number not in process.answers
            ]
        self.check_balances(client)
        self.check_burned(client)
        for process, batch, state in unanswered:
            self.send_again(client, process, batch, state)
        self.load(client)
        for process, batch, _state in unanswered:
            demand(
                self.state_of(process, batch) != "absent",
                f"{process.name}, batch {batch.number}: sent again and still absent",
            )
        self.check_balances(client)
        self.digest = self.digest_of(client)

    def load(self, client):
        """Reads all transfers of the round that are there."""
        self.present = lookup(client.lookup_transfers, list(self.sent))

    def check_acknowledged(self, process):
        """Every answer is the expected one, and what it says was created is there, unchanged."""
        last = 0
        for batch in process.batches:
            answer = process.answers.get(batch.number)
            if answer is None:
                continue
            where = f"{process.name}, batch {batch.number}"
            demand(len(answer) == len(batch.transfers), f"{where}: {len(answer)} results")
            for i, (status, timestamp) in enumerate(answer):
                event = f"{where}, event {i}"
                demand(status == batch.outcomes[i], f"{event}: {status}, not {batch.outcomes[i]!r}")
                demand(timestamp > last, f"{event}: time went back from {last} to {timestamp}")
                last = timestamp
                self.check_event(event, batch.transfers[i], status == S.CREATED, timestamp)
            self.counts.acked_batches += 1
            self.counts.acked_transfers += len(batch.created())

    def check_event(self, event, transfer, created, timestamp):
        """One transfer is there exactly as sent, or is not there if it was not created."""
        found = self.present.get(transfer.id)
        if not created:
            demand(found is None, f"{event}: refused, but there: {found}")
            return
        expected = self.stored_form(transfer, timestamp)
        demand(found is not None, f"{event}: LOST, was acknowledged: {expected}")
        demand(found == expected, f"{event}: is {found}, was sent as {expected}")

    def stored_form(self, transfer, timestamp):
        """The transfer as the server keeps it: a post or void takes fields from its pending one."""
        if not transfer.pending_id:
            return dataclasses.replace(transfer, timestamp=timestamp)
        pending = self.sent[transfer.pending_id]
        if transfer.flags & F.VOID_PENDING_TRANSFER or transfer.amount == AMOUNT_MAX:
            amount = pending.amount
        else:
            amount = transfer.amount
        return dataclasses.replace(
            pending,
            id=transfer.id,
            pending_id=pending.id,
            amount=amount,
            flags=transfer.flags,
            timeout=0,
            timestamp=timestamp,
        )

    def state_of(self, process, batch):
        """Whether an unanswered batch was executed: "whole", "absent" or "unknown".

        One request is one entry of the log, so anything in between is a violation.
        """
        created = batch.created()
        if not created:
            return "unknown"
        where = f"{process.name}, batch {batch.number} (never answered)"
        found = [(i, t) for i, t in created if t.id in self.present]
        if not found:
            return "absent"
        demand(len(found) == len(created), f"{where}: {len(found)} of {len(created)} transfers")
        # The events of one request have consecutive timestamps.
        first = self.present[created[0][1].id].timestamp - created[0][0]
        for i, transfer in enumerate(batch.transfers):
            created_here = batch.outcomes[i] == S.CREATED
            self.check_event(f"{where}, event {i}", transfer, created_here, first + i)
        return "whole"

    def send_again(self, client, process, batch, state):
        """An executed batch is now a repeat; one that was not executed takes effect now."""
        results = [r.status for r in client.create_transfers(batch.transfers)]
        allowed = {
            "whole": [batch.again],
            "absent": [batch.outcomes],
            "unknown": [batch.again, batch.outcomes],
        }[state]
        if results not in allowed:
            i = next(i for i, r in enumerate(results) if r != allowed[0][i])
            raise Violation(
                f"{process.name}, batch {batch.number} ({state}) sent again, event {i}: "
                f"{results[i]!r}, not {allowed[0][i]!r}"
            )
        setattr(self.counts, state, getattr(self.counts, state) + 1)

    def check_burned(self, client):
        """Ids that failed for good before the crash fail after it, with accounts that exist."""
        burned = []
        for process in self.clients:
            for batch in process.batches:
                if batch.number in process.answers:
                    pairs = zip(batch.transfers, batch.outcomes, strict=True)
                    burned += [t for t, o in pairs if o == S.CREDIT_ACCOUNT_NOT_FOUND]
        burned = burned[:LOOKUP_MAX]
        debit, credit = self.accounts[:2]
        retry = [
            dataclasses.replace(t, debit_account_id=debit, credit_account_id=credit) for t in burned
        ]
        for result in client.create_transfers(retry):
            demand(result.status == S.ID_ALREADY_FAILED, f"a burned id was answered {result}")
        self.counts.burned += len(burned)

    def check_balances(self, client):
        """Each account has the sums of the transfers that are there; debits equal credits."""
        sums = {account: [0, 0, 0, 0] for account in self.accounts}
        for t in self.present.values():
            debit, credit = sums[t.debit_account_id], sums[t.credit_account_id]
            if t.flags & F.PENDING:
                debit[0] += t.amount
                credit[2] += t.amount
                continue
            if t.pending_id:
                pending = self.present.get(t.pending_id)
                demand(pending is not None, f"{t} is there without its pending transfer")
                debit[0] -= pending.amount
                credit[2] -= pending.amount
            if not t.flags & F.VOID_PENDING_TRANSFER:
                debit[1] += t.amount
                credit[3] += t.amount
        found = balances(client, self.accounts)
        for account, expected in sums.items():
            demand(
                found[account] == expected,
                f"account {account} has {found[account]}, its transfers add up to {expected}",
            )
        totals = [sum(column) for column in zip(*found.values(), strict=True)]
        demand(totals[0] == totals[2], f"pending debits and credits differ: {totals}")
        demand(totals[1] == totals[3], f"posted debits and credits differ: {totals}")

    def summary(self):
        """What is kept of a round for later checks."""
        return Summary(list(self.present), self.accounts, self.digest)

    def digest_of(self, client):
        return digest(self.present, balances(client, self.accounts))


@dataclasses.dataclass
class Summary:
    """A finished round: nothing writes to its accounts any more, so it never changes."""

    ids: list
    accounts: list
    digest: str

    def check(self, client):
        """Everything is still there, exactly as it was."""
        present = lookup(client.lookup_transfers, self.ids)
        demand(len(present) == len(self.ids), f"{len(present)} of {len(self.ids)} transfers left")
        found = digest(present, balances(client, self.accounts))
        demand(found == self.digest, "the contents of an earlier round have changed")


def balances(client, accounts):
    """{id: [debits_pending, debits_posted, credits_pending, credits_posted]}"""
    found = lookup(client.lookup_accounts, accounts)
    demand(len(found) == len(accounts), f"{len(found)} of {len(accounts)} accounts are there")
    return {
        a: [o.debits_pending, o.debits_posted, o.credits_pending, o.credits_posted]
        for a, o in ((a, found[a]) for a in accounts)
    }


def digest(present, account_balances):
    """A hash over transfers and balances, independent of their order."""
    state = hashlib.sha256()
    for key in sorted(present):
        state.update(repr(dataclasses.astuple(present[key])).encode())
    state.update(repr(sorted(account_balances.items())).encode())
    return state.hexdigest()
