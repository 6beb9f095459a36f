/** The server, whatever is in it. */
import { isLocal, type PostgresTarget } from '../../database/postgres/url.ts'
import type { Finding, Findings } from '../findings.ts'
import type { Limits } from '../options.ts'
import type { Ask } from './asking.ts'

/** With `jsonb_path_exists`, which the schema needs. */
const OLDEST = 12
const TESTED = 18

export async function checkVersion(ask: Ask, findings: Findings): Promise<void> {
  const [[version = ''] = []] = await ask<[string]>('SHOW server_version_num')
  const major = Math.floor(Number(version) / 10_000)
  if (major >= TESTED) return
  const tooOld = major < OLDEST
  findings.add({
    severity: tooOld ? 'error' : 'info',
    check: 'version',
    message: `The server is PostgreSQL ${major}; ${tooOld ? `the schema needs ${OLDEST} or newer` : `this package is tested with ${TESTED}`}.`,
    advice: tooOld ? 'Move to a newer server.' : 'Nothing, if the application works as it should.',
  })
}

export async function checkEncoding(ask: Ask, findings: Findings): Promise<void> {
  const [[encoding = ''] = []] = await ask<[string]>('SHOW server_encoding')
  if (encoding === 'UTF8') return
  findings.add({
    severity: 'error',
    check: 'encoding',
    message: `The database's encoding is ${encoding}; UTF8 is needed, and the library does not open it.`,
    advice: 'Create a database with ENCODING UTF8, and move the data there with pg_dump and pg_restore.',
  })
}

interface Rule {
  readonly severity: Finding['severity']
  readonly bad: readonly string[]
  readonly message: string
  readonly advice: string
}

const SETTINGS: Readonly<Record<string, Rule>> = {
  fsync: {
    severity: 'error',
    bad: ['off'],
    message: 'fsync is off: a power cut may destroy the whole database.',
    advice: 'Set fsync = on in postgresql.conf, reload, and make a backup.',
  },
  full_page_writes: {
    severity: 'error',
    bad: ['off'],
    message: 'full_page_writes is off: a power cut may leave half-written pages, which cannot be repaired.',
    advice: 'Set full_page_writes = on, unless the file system itself prevents this.',
  },
  synchronous_commit: {
    severity: 'warning',
    bad: ['off'],
    message: 'synchronous_commit is off for this role: writes that were acknowledged may be lost in a crash.',
    advice:
      'Set synchronous_commit = on for the server, the database or the role; who may lose moments asks for durability: normal.',
  },
  default_transaction_read_only: {
    severity: 'warning',
    bad: ['on'],
    message: 'default_transaction_read_only is on for this role: it can write nothing.',
    advice: 'Unset it for the role, or the database, that the application uses.',
  },
}

export async function checkSettings(ask: Ask, findings: Findings): Promise<void> {
  const names = Object.keys(SETTINGS)
  for (const [name, value] of await ask<[string, string]>(
    'SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY ($1)',
    [names],
  )) {
    const { bad = [], ...rule } = SETTINGS[name] ?? {}
    if (bad.includes(value)) findings.add({ check: 'settings', ...(rule as Omit<Rule, 'bad'>) })
  }
}

export function checkTls({ ssl, host }: PostgresTarget, findings: Findings): void {
  if (isLocal(host)) return
  if (ssl === false)
    findings.add({
      severity: 'warning',
      check: 'tls',
      message:
        'The server is spoken to in clear, though it is not on this machine: whoever is in between can read and change everything.',
      advice: 'Take sslmode=disable out of the URL.',
    })
  else if (!ssl.rejectUnauthorized)
    findings.add({
      severity: 'warning',
      check: 'tls',
      message: 'The server’s certificate is not verified: somebody else may answer in its place.',
      advice: 'Take sslmode=no-verify out of the URL, and name the authority with sslrootcert=FILE.',
    })
}

/** Whether it is a replica, or is being restored: it can then only be read. */
export async function isInRecovery(ask: Ask, findings: Findings): Promise<boolean> {
  const [[inRecovery = false] = []] = await ask<[boolean]>('SELECT pg_is_in_recovery()')
  if (inRecovery)
    findings.add({
      severity: 'info',
      check: 'recovery',
      message: 'The server is a replica, or is being restored: it can be read alone.',
      advice: 'Nothing, for readers. Check the primary server too.',
    })
  return inRecovery
}

export async function checkCollation(ask: Ask, findings: Findings): Promise<void> {
  const [[recorded, actual, name = ''] = []] = await ask<[string | null, string | null, string]>(
    `SELECT datcollversion, pg_database_collation_actual_version(oid), quote_ident(datname)
     FROM pg_database WHERE datname = current_database()`,
  )
  if (recorded === undefined || recorded === actual) return
  findings.add({
    severity: 'warning',
    check: 'collation',
    message: `The database was made with version ${recorded ?? '(none)'} of its collation, and the system has ${actual ?? '(none)'}: indexes on texts may be in the wrong order. Our keys do not depend on it.`,
    advice: `REINDEX DATABASE ${name}; then ALTER DATABASE ${name} REFRESH COLLATION VERSION.`,
  })
}

/** Where the server refuses every write. */
const LAST_TRANSACTION_ID = 2_000_000_000

export async function checkTransactionIds(ask: Ask, { transactionIds }: Limits, findings: Findings): Promise<void> {
  const [[age = 0] = []] = await ask<[number]>(
    'SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()',
  )
  if (age < transactionIds) return
  findings.add({
    severity: age > 0.9 * LAST_TRANSACTION_ID ? 'error' : 'warning',
    check: 'transaction-ids',
    message: `${age} transaction ids have been used since everything was last frozen; near ${LAST_TRANSACTION_ID} the server refuses to write.`,
    advice:
      'Find what holds back autovacuum (old transactions, replication slots, prepared transactions), then run VACUUM.',
  })
}

export async function checkLongTransactions(
  ask: Ask,
  { longTransactionSeconds }: Limits,
  findings: Findings,
): Promise<void> {
  const [[seesAll = false] = []] = await ask<[boolean]>("SELECT pg_has_role('pg_read_all_stats', 'USAGE')")
  const old = await ask<[number, number, string]>(
    `SELECT pid, extract(epoch FROM clock_timestamp() - xact_start)::integer, coalesce(state, '')
     FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()
       AND xact_start < clock_timestamp() - make_interval(secs => $1)
     ORDER BY xact_start`,
    [longTransactionSeconds],
  )
  for (const [pid, seconds, state] of old)
    findings.add({
      severity: 'info',
      check: 'long-transactions',
      message: `The process ${pid} of the server has had a transaction open for ${seconds} seconds (${state}): nothing that was deleted since can be vacuumed.`,
      advice: `If nobody needs it: SELECT pg_terminate_backend(${pid}).`,
    })
  if (!seesAll)
    findings.skip('The role sees its own alone: GRANT pg_read_all_stats to it to see all.', 'long-transactions')
}
