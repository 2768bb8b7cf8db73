"""What loads a ledger in a round: accounts of its own, and clients that pay between them."""

from killing import plan
from killing.client import ClientProcess


def start(client, addresses, seed, number, count):
    """Opens the accounts of a round with `client`; starts so many processes that pay.

    The ids of the accounts, and the processes.
    """
    accounts = [plan.account() for _ in range(plan.ACCOUNTS_SHARED + plan.ACCOUNTS_OWN * count)]
    client.create_accounts(accounts)
    ids = [account.id for account in accounts]
    shared, own = ids[: plan.ACCOUNTS_SHARED], ids[plan.ACCOUNTS_SHARED :]
    clients = [
        ClientProcess(
            f"round {number}, client {i}",
            addresses,
            f"{seed} {number} {i}",
            shared + own[i * plan.ACCOUNTS_OWN : (i + 1) * plan.ACCOUNTS_OWN],
        )
        for i in range(count)
    ]
    return ids, clients
