'use strict'
// A small bank on one client, for the oldest and the newest release of tigerbeetle-node.
//
// Releases before 0.17 answer a create with the failed events only, as { index, result }; later
// ones with one { timestamp, status } for each event. Here both become one code for each event.

const tb = require('tigerbeetle-node')

const INT_MAX = tb.amount_max
const CREATED = 0xffffffff
const CODE = 7
const dense = tb.CreateTransferStatus !== undefined
const AccountStatus = tb.CreateAccountStatus ?? tb.CreateAccountError
const TransferStatus = tb.CreateTransferStatus ?? tb.CreateTransferError
const address = process.env.OFFICIAL_ADDRESS ?? '127.0.0.1:3000'

function statuses(results, count) {
  if (dense) return results.map((result) => result.status)
  const codes = new Array(count).fill(CREATED)
  for (const { index, result } of results) codes[index] = result
  return codes
}

class Bank {
  constructor() {
    this.client = tb.createClient({ cluster_id: 0n, replica_addresses: address.split(',') })
    this.ledger = 1 + Math.floor(Math.random() * 0xfffffffe)
  }

  destroy() {
    this.client.destroy()
  }

  // A valid account that differs from the default in `fields`; not sent yet.
  account(fields = {}) {
    return {
      id: tb.id(),
      debits_pending: 0n,
      debits_posted: 0n,
      credits_pending: 0n,
      credits_posted: 0n,
      user_data_128: 0n,
      user_data_64: 0n,
      user_data_32: 0,
      reserved: 0,
      ledger: this.ledger,
      code: CODE,
      flags: 0,
      timestamp: 0n,
      ...fields,
    }
  }

  // A valid transfer that differs from the default in `fields`; not sent yet.
  transfer(debit, credit, fields = {}) {
    return {
      id: tb.id(),
      debit_account_id: debit,
      credit_account_id: credit,
      amount: 10n,
      pending_id: 0n,
      user_data_128: 0n,
      user_data_64: 0n,
      user_data_32: 0,
      timeout: 0,
      ledger: this.ledger,
      code: CODE,
      flags: 0,
      timestamp: 0n,
      ...fields,
    }
  }

  // A post or void of `pending`; not sent yet.
  resolve(pending, flags, amount) {
    return this.transfer(0n, 0n, { pending_id: pending.id, ledger: 0, code: 0, flags, amount })
  }

  // Sends one batch; one code for each event.
  async createAccounts(...accounts) {
    return statuses(await this.client.createAccounts(accounts), accounts.length)
  }

  // Sends one batch; one code for each event.
  async create(...transfers) {
    return statuses(await this.client.createTransfers(transfers), transfers.length)
  }

  // Opens `count` accounts; their ids.
  async open(count, fields = {}) {
    const accounts = Array.from({ length: count }, () => this.account(fields))
    const codes = await this.createAccounts(...accounts)
    if (codes.some((code) => code !== CREATED)) throw new Error(`accounts not created: ${codes}`)
    return accounts.map((account) => account.id)
  }

  // [debits_pending, debits_posted, credits_pending, credits_posted]
  async balances(id) {
    const [a] = await this.client.lookupAccounts([id])
    return [a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted]
  }
}

module.exports = { AccountStatus, Bank, CREATED, INT_MAX, TransferStatus, dense, tb }
