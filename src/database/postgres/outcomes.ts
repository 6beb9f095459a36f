/**
 * Finds out whether a transaction was committed whose answer was lost. Each transaction writes a token with its first write. After a
 * lost answer the token is claimed on the primary: either the transaction has committed its token, or the claim takes its place, and
 * the transaction can never commit. A transaction id would not do: after a failover another transaction may get the same id.
 */
import { StorageError } from '../../errors.ts'
import { clearTimeout, performance, setTimeout, sleep } from '../../event-loop.ts'
import { jittered } from '../backoff.ts'
import type { BoundStatement, Compiled } from '../statement.ts'
import { unknownOutcome } from './errors.ts'
import type { PatientPool } from './patient-pool.ts'
import { askOn } from './single.ts'

/** How long a claim waits before it ends the transaction that it waits for, in milliseconds. */
const BLOCKED_MS = 1_000
const LOCK_MS = 5_000
const LONGEST_PAUSE_MS = 250
const SWEEP_EVERY_MS = 10_000
const SWEPT_AT_ONCE = 50_000

const tokenStatement = (name: string, onConflict = ''): Compiled<never, unknown> => ({
  name,
  sql: `INSERT INTO meshstore_outcomes (token, state) VALUES ($1, 'done')${onConflict}`,
  bind: () => [],
  decode: undefined,
})
const MARK = tokenStatement('outcomes.mark')
/** After a savepoint was rolled back the token may be gone, or not. */
const MARK_AGAIN = tokenStatement('outcomes.markAgain', ' ON CONFLICT (token) DO NOTHING')

/** DO UPDATE: the answer is a commit of its own, which an old primary that lost its place cannot make. */
const CLAIM = `INSERT INTO meshstore_outcomes (token, state) VALUES ($1, 'void')
  ON CONFLICT (token) DO UPDATE SET written_at = excluded.written_at RETURNING state`
const BEGIN_CLAIM = `SELECT pg_backend_pid(), set_config('lock_timeout', '${LOCK_MS}', true)`
/** The role may end its own sessions. */
const END_BLOCKERS = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE pid = ANY (pg_blocking_pids($1)) AND usename = current_user AND backend_type = 'client backend'`
const SWEEP = `DELETE FROM meshstore_outcomes WHERE token IN (
  SELECT token FROM meshstore_outcomes WHERE written_at < extract(epoch FROM now()) - $1
  LIMIT ${SWEPT_AT_ONCE} FOR UPDATE SKIP LOCKED)`

/** The token of one attempt at a transaction. */
export class Token {
  readonly id = crypto.randomUUID()
  #state: 'unsent' | 'sent' | 'undone' = 'unsent'

  /** The statement to send ahead of a write, if the token is not in the transaction. */
  ahead(): BoundStatement<unknown> | undefined {
    if (this.#state === 'sent') return undefined
    const compiled = this.#state === 'unsent' ? MARK : MARK_AGAIN
    this.#state = 'sent'
    return { compiled, values: [this.id] }
  }

  /** A savepoint was rolled back. */
  undone(): void {
    if (this.#state === 'sent') this.#state = 'undone'
  }
}

/** The answer to a COMMIT was lost. Its work is done and decoded. */
export class Unanswered {
  readonly token: Token
  readonly error: unknown
  readonly result: unknown

  constructor(token: Token, error: unknown, result: unknown) {
    this.token = token
    this.error = error
    this.result = result
  }
}

interface On {
  readonly pool: PatientPool
  readonly failoverMs: number
  /** Runs a statement in a transaction of its own, if the database is still open. */
  readonly run: (sql: string, values: readonly unknown[]) => Promise<unknown>
}

export class Outcomes {
  readonly #on: On
  #sweepAt = performance.now() + SWEEP_EVERY_MS

  constructor(on: On) {
    this.#on = on
  }

  token(): Token {
    const now = performance.now()
    if (now >= this.#sweepAt) {
      this.#sweepAt = now + SWEEP_EVERY_MS
      // Ignore the error: the next sweep deletes the tokens.
      this.#on.run(SWEEP, [(2 * this.#on.failoverMs) / 1_000]).catch(() => {})
    }
    return new Token()
  }

  /** Whether the transaction was committed. If not, it never will be. Throws OUTCOME_UNKNOWN after `failoverMs`. */
  async wasCommitted(token: Token, lost: unknown): Promise<boolean> {
    const deadline = performance.now() + this.#on.failoverMs
    for (let pause = 10; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      try {
        return (await this.#claim(token, deadline - performance.now())) === 'done'
      } catch (error) {
        const mayPass = error instanceof StorageError && PASSING.has(error.code)
        if (!mayPass || performance.now() + pause > deadline) throw unknownOutcome(lost)
      }
      await sleep(jittered(pause))
    }
  }

  async #claim(token: Token, withinMs: number): Promise<string | undefined> {
    const client = await this.#on.pool.within(withinMs).catch((error) => {
      throw new StorageError('UNAVAILABLE', 'No connection for a claim. Nothing was written. Try again.', {
        cause: error,
      })
    })
    const ask = askOn(client)
    let blocked: NodeJS.Timeout | undefined
    try {
      await ask('BEGIN ISOLATION LEVEL READ COMMITTED')
      const [row] = await ask<[number]>(BEGIN_CLAIM)
      blocked = setTimeout(() => this.#endBlockersOf(row?.[0] ?? 0), BLOCKED_MS)
      const [claimed] = await ask<[string]>(CLAIM, [token.id])
      await ask('COMMIT')
      client.release()
      return claimed?.[0]
    } catch (error) {
      client.release(true)
      throw error
    } finally {
      clearTimeout(blocked)
    }
  }

  /** A half-open connection's transaction may run until its time limits. Its client has given it up. */
  async #endBlockersOf(pid: number): Promise<void> {
    const client = this.#on.pool.hosts.beside()
    try {
      await client.connect()
      await client.query(END_BLOCKERS, [pid])
    } catch {
      // The claim runs into its limit, and is made again.
    } finally {
      client.end().catch(() => {})
    }
  }
}

/** READ_ONLY: a proxy still leads to a replica. */
const PASSING: ReadonlySet<string> = new Set(['READ_ONLY', 'UNAVAILABLE', 'OUTCOME_UNKNOWN', 'BUSY', 'TIMEOUT'])
