"""Several clients at once, and several requests of one client at once."""

import asyncio
import random
import threading

import pytest
import tigerbeetle as tb
from bank import Bank
from tigerbeetle import AccountFlags
from tigerbeetle import CreateTransferStatus as S
from tigerbeetle import TransferFlags as F

CLIENTS = 10


def run_threads(count, work):
    """Runs `work(index)` in threads and raises the first error of any of them."""
    errors = []

    def guarded(index):
        try:
            work(index)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_ten_clients_on_shared_accounts(bank, address):
    """Ten clients move money between the same accounts; nothing is lost, nothing doubled."""
    accounts = [bank.open() for _ in range(8)]
    sent = [[] for _ in range(CLIENTS)]

    def work(index):
        source = random.Random(index)
        with tb.ClientSync(cluster_id=0, replica_addresses=address) as client:
            for _ in range(30):
                batch = []
                for _ in range(source.choice([1, 5, 60, 300])):
                    debit, credit = source.sample(accounts, 2)
                    batch.append(bank.transfer(debit, credit, amount=source.randrange(1000)))
                results = client.create_transfers(batch)
                assert [r.status for r in results] == [S.CREATED] * len(batch)
                sent[index].extend((r.timestamp, t) for r, t in zip(results, batch))

    run_threads(CLIENTS, work)

    transfers = [transfer for own in sent for _, transfer in own]
    for account in bank.client.lookup_accounts(accounts):
        debits = sum(t.amount for t in transfers if t.debit_account_id == account.id)
        credits = sum(t.amount for t in transfers if t.credit_account_id == account.id)
        assert (account.debits_posted, account.credits_posted) == (debits, credits)
        assert (account.debits_pending, account.credits_pending) == (0, 0)
    times = [[timestamp for timestamp, _ in own] for own in sent]
    assert all(own == sorted(own) for own in times)
    flat = [timestamp for own in times for timestamp in own]
    assert len(set(flat)) == len(flat)


def test_ten_clients_send_the_same_transfers(bank, address):
    """Of ten clients that send the same ids, one creates each and nine are told it exists."""
    debit, credit = bank.pair()
    batch = [bank.transfer(debit, credit, amount=1) for _ in range(200)]
    statuses = [None] * CLIENTS
    barrier = threading.Barrier(CLIENTS)

    def work(index):
        with tb.ClientSync(cluster_id=0, replica_addresses=address) as client:
            client.lookup_accounts([debit])
            barrier.wait()
            statuses[index] = [r.status for r in client.create_transfers(batch)]

    run_threads(CLIENTS, work)
    for seen in zip(*statuses):
        assert sorted(seen) == [S.EXISTS] * (CLIENTS - 1) + [S.CREATED]
    assert bank.balances(debit) == (0, 200, 0, 0)


def test_ten_clients_compete_for_a_limited_account(bank, address):
    """An account with a limit is never overdrawn, however many spend at once."""
    funds = 500
    limited = bank.open(AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS)
    other = bank.open()
    bank.move(other, limited, amount=funds)
    spent = [0] * CLIENTS

    def work(index):
        with tb.ClientSync(cluster_id=0, replica_addresses=address) as client:
            for _ in range(20):
                batch = [bank.transfer(limited, other, amount=1) for _ in range(10)]
                results = client.create_transfers(batch)
                assert {r.status for r in results} <= {S.CREATED, S.EXCEEDS_CREDITS}
                spent[index] += sum(r.status == S.CREATED for r in results)

    run_threads(CLIENTS, work)
    assert sum(spent) == funds
    assert bank.balances(limited) == (0, funds, 0, funds)


def test_one_client_in_many_threads(bank):
    """Calls of many threads on one client share messages and stay separate batches."""
    debit, credit = bank.pair()

    def work(_index):
        for _ in range(20):
            bank.move(debit, credit, amount=1)

    run_threads(16, work)
    assert bank.balances(debit) == (0, 320, 0, 0)


def test_async_client_keeps_batches_apart(bank, address):
    """Many calls at once travel as several batches of one message; chains end at the batch."""

    async def work():
        async with tb.ClientAsync(cluster_id=0, replica_addresses=address) as client:
            debit, credit = bank.pair()
            chain_open = bank.transfer(debit, credit, flags=F.LINKED)
            calls = []
            for size in range(40):
                batch = [bank.transfer(debit, credit, amount=1) for _ in range(size)]
                calls.append((batch, [S.CREATED] * size))
                calls.append(([chain_open], [S.LINKED_EVENT_CHAIN_OPEN]))
            answers = await asyncio.gather(*[client.create_transfers(b) for b, _ in calls])
            for (_, expected), results in zip(calls, answers):
                assert [r.status for r in results] == expected
            lookups = await asyncio.gather(
                *[client.lookup_transfers([t.id for t in batch]) for batch, _ in calls]
            )
            for (batch, expected), found in zip(calls, lookups):
                created = [t.id for t, s in zip(batch, expected) if s == S.CREATED]
                assert [t.id for t in found] == created
            assert bank.balances(debit) == (0, sum(range(40)), 0, 0)

    asyncio.run(work())


def test_clients_come_and_go(bank, address):
    """Sessions are cheap: a client that leaves without a word does not disturb the next."""
    debit, credit = bank.pair()
    for _ in range(5):
        with tb.ClientSync(cluster_id=0, replica_addresses=address) as client:
            Bank(client, bank.ledger).move(debit, credit)
    assert bank.balances(debit) == (0, 50, 0, 0)


def test_closed_client(address):
    """A closed client answers with an error, not by waiting."""
    client = tb.ClientSync(cluster_id=0, replica_addresses=address)
    assert client.lookup_accounts([tb.id()]) == []
    client.close()
    with pytest.raises(tb.ClientClosedError):
        client.lookup_accounts([tb.id()])
