"""Look-ups: in the order of the request, without what is missing."""

import tigerbeetle as tb
from bank import BATCH_MAX, INT_MAX
from tigerbeetle import CreateTransferStatus as S


def test_accounts_in_the_order_of_the_request(bank):
    """Missing ids are left out, repeated ids are answered repeatedly."""
    first, second = bank.pair()
    ids = [second, tb.id(), first, 0, second, INT_MAX, first]
    found = bank.client.lookup_accounts(ids)
    assert [a.id for a in found] == [second, first, second, first]


def test_transfers_in_the_order_of_the_request(bank):
    """The same for transfers."""
    debit, credit = bank.pair()
    first, second = bank.move(debit, credit).id, bank.move(debit, credit).id
    ids = [second, tb.id(), first, 0, second, INT_MAX, first]
    found = bank.client.lookup_transfers(ids)
    assert [t.id for t in found] == [second, first, second, first]


def test_nothing_found(bank):
    """Only missing ids, or none at all, is an empty answer and no error."""
    assert bank.client.lookup_accounts([tb.id(), 0, INT_MAX]) == []
    assert bank.client.lookup_transfers([tb.id(), 0, INT_MAX]) == []
    assert bank.client.lookup_accounts([]) == []
    assert bank.client.lookup_transfers([]) == []


def test_account_is_no_transfer(bank):
    """The id of an account is not found among transfers, nor the other way round."""
    debit, credit = bank.pair()
    transfer = bank.move(debit, credit)
    assert bank.client.lookup_transfers([debit]) == []
    assert bank.client.lookup_accounts([transfer.id]) == []


def test_posts_and_voids_are_transfers(bank):
    """The transfers that resolve a pending one are found by their own ids."""
    pending = bank.hold(*bank.pair())
    post = bank.post(pending)
    assert bank.create(post) == [S.CREATED]
    assert [t.id for t in bank.client.lookup_transfers([post.id, pending.id])] == [
        post.id,
        pending.id,
    ]


def test_one_id_as_often_as_fits(bank):
    """A batch of the largest size may name one id again and again."""
    account = bank.open()
    found = bank.client.lookup_accounts([account] * BATCH_MAX)
    assert found == [bank.lookup(account)] * BATCH_MAX
