/** The tokens of transactions whose answer was lost, and what a claim makes of them. */
import type pg from 'pg'
import { expect, test } from 'vitest'
import { Outcomes, Token } from '../../src/database/postgres/outcomes.ts'
import { PatientPool } from '../../src/database/postgres/patient-pool.ts'
import { openPool } from '../../src/database/postgres/pool.ts'
import { postgresTarget } from '../../src/database/postgres/url.ts'
import { openStorage } from '../../src/index.ts'
import { createDatabase } from './support/database.ts'
import { describePostgres } from './support/suite.ts'

const FAILOVER_MS = 60_000
const INSERT = "INSERT INTO meshstore_outcomes (token, state) VALUES ($1, 'done')"

async function prepared() {
  const database = await createDatabase()
  await (await openStorage(database.url)).close()
  const options = {
    max: 2,
    mode: 'session',
    readOnly: false,
    durability: 'full',
    statementMs: 29_000,
    lockMs: 5_000,
  } as const
  const pool = openPool(postgresTarget(database.url), { ...options, failoverMs: FAILOVER_MS })
  if (!(pool instanceof PatientPool)) throw new TypeError()
  const run = (sql: string, values: readonly unknown[]): Promise<unknown> => pool.query(sql, [...values])
  const outcomes = new Outcomes({ pool, failoverMs: FAILOVER_MS, run })
  return {
    database,
    outcomes,
    tokens: () => database.query<{ token: string; state: string }>('SELECT token, state FROM meshstore_outcomes'),
    [Symbol.asyncDispose]: async () => {
      await pool.end()
      await database[Symbol.asyncDispose]()
    },
  }
}

const lost = new Error('lost')
/** A transaction whose client has gone, and whose server does not know. */
async function halfOpen(client: pg.Client, token: Token): Promise<void> {
  await client.query('BEGIN')
  await client.query(INSERT, [token.id])
}

describePostgres('a claim of a token', () => {
  test('finds a transaction that was committed, as often as it is made', async () => {
    await using on = await prepared()
    const token = new Token()
    await on.database.query(INSERT, [token.id])
    expect(await on.outcomes.wasCommitted(token, lost)).toBe(true)
    expect(await on.outcomes.wasCommitted(token, lost)).toBe(true)
  })

  test('keeps one that was not from ever being committed', async () => {
    await using on = await prepared()
    const token = new Token()
    expect(await on.outcomes.wasCommitted(token, lost)).toBe(false)
    expect(await on.outcomes.wasCommitted(token, lost)).toBe(false)
    await expect(on.database.query(INSERT, [token.id])).rejects.toMatchObject({ code: '23505' })
  })

  test('ends one that still runs', async () => {
    await using on = await prepared()
    const token = new Token()
    const client = await on.database.client()
    await halfOpen(client, token)
    expect(await on.outcomes.wasCommitted(token, lost)).toBe(false)
    await expect(client.query('COMMIT')).rejects.toThrow()
  })

  test('is found again when its own answer was lost', async () => {
    await using on = await prepared()
    const [one, other] = [new Token(), new Token()]
    await on.database.query("INSERT INTO meshstore_outcomes (token, state) VALUES ($1, 'void')", [one.id])
    await on.database.query(INSERT, [other.id])
    expect(await on.outcomes.wasCommitted(one, lost)).toBe(false)
    expect(await on.outcomes.wasCommitted(other, lost)).toBe(true)
  })
})
