'use strict'
// The four queries, by unmodified tigerbeetle-node.

const assert = require('node:assert/strict')
const { after, before, test } = require('node:test')
const { Bank, CREATED, tb } = require('./bank.js')

const BOTH = tb.AccountFilterFlags.debits | tb.AccountFilterFlags.credits
const ids = (objects) => objects.map((o) => o.id)

let bank

before(() => {
  bank = new Bank()
})

after(() => bank.destroy())

function accountFilter(fields) {
  return {
    account_id: 0n,
    user_data_128: 0n,
    user_data_64: 0n,
    user_data_32: 0,
    code: 0,
    timestamp_min: 0n,
    timestamp_max: 0n,
    limit: 8189,
    flags: BOTH,
    ...fields,
  }
}

function queryFilter(fields) {
  return {
    user_data_128: 0n,
    user_data_64: 0n,
    user_data_32: 0,
    ledger: bank.ledger,
    code: 0,
    timestamp_min: 0n,
    timestamp_max: 0n,
    limit: 8189,
    flags: 0,
    ...fields,
  }
}

test('getAccountTransfers', async () => {
  const [account, other] = await bank.open(2)
  const batch = [
    bank.transfer(account, other, { code: 1 }),
    bank.transfer(other, account, { code: 2 }),
    bank.transfer(account, other, { code: 2 }),
  ]
  assert.deepEqual(await bank.create(...batch), [CREATED, CREATED, CREATED])
  const [first, second, third] = ids(batch)
  const get = async (fields) =>
    ids(await bank.client.getAccountTransfers(accountFilter({ account_id: account, ...fields })))
  assert.deepEqual(await get({}), [first, second, third])
  assert.deepEqual(await get({ flags: tb.AccountFilterFlags.debits }), [first, third])
  assert.deepEqual(await get({ flags: tb.AccountFilterFlags.credits }), [second])
  assert.deepEqual(await get({ flags: BOTH | tb.AccountFilterFlags.reversed, limit: 2 }), [
    third,
    second,
  ])
  assert.deepEqual(await get({ code: 2 }), [second, third])
  assert.deepEqual(await get({ limit: 0 }), [])
  assert.deepEqual(await get({ account_id: 0n }), [])
})

test('getAccountBalances', async () => {
  const [account] = await bank.open(1, { flags: tb.AccountFlags.history })
  const [other] = await bank.open(1)
  const batch = [1n, 2n].map((amount) => bank.transfer(account, other, { amount }))
  assert.deepEqual(await bank.create(...batch), [CREATED, CREATED])
  const get = (id) => bank.client.getAccountBalances(accountFilter({ account_id: id }))
  assert.deepEqual(
    (await get(account)).map((row) => row.debits_posted),
    [1n, 3n],
  )
  assert.deepEqual(await get(other), [])
})

test('queryAccounts', async () => {
  const [first] = await bank.open(1, { user_data_64: 5n, code: 3 })
  const [second] = await bank.open(1, { user_data_64: 5n, code: 4 })
  const get = async (fields) => ids(await bank.client.queryAccounts(queryFilter(fields)))
  assert.deepEqual(await get({ user_data_64: 5n }), [first, second])
  assert.deepEqual(await get({ user_data_64: 5n, code: 4 }), [second])
  assert.deepEqual(await get({ user_data_64: 6n }), [])
})

test('queryTransfers', async () => {
  const [debit, credit] = await bank.open(2)
  const batch = [3, 4].map((code) => bank.transfer(debit, credit, { user_data_64: 9n, code }))
  assert.deepEqual(await bank.create(...batch), [CREATED, CREATED])
  const get = async (fields) => ids(await bank.client.queryTransfers(queryFilter(fields)))
  assert.deepEqual(await get({ user_data_64: 9n }), ids(batch))
  assert.deepEqual(
    await get({ user_data_64: 9n, flags: tb.QueryFilterFlags.reversed }),
    ids(batch).reverse(),
  )
  assert.deepEqual(await get({ user_data_64: 9n, code: 4 }), [batch[1].id])
})
