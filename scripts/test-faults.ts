/** `npm run test:faults`: what kills, cuts off, fills up and floods. The figures go into docs/guarantees.md with `--document`. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const HELP = `npm run test:faults [-- OPTIONS] [FILE…]

  --long       hours in place of minutes
  --document   run all other suites, too, and write the figures into docs/guarantees.md
  --help

FILE is a part of a test file's name. Variables change how far one suite goes, or repeat what it did:
KILL_CYCLES=50 SEED=7 npm run test:faults -- kill.test. See the calls of bound() in test/ for their names.`

function given() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        long: { type: 'boolean', default: false },
        document: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${HELP}`)
    process.exit(2)
  }
}

const { values, positionals } = given()
if (values.help) console.log(HELP)
else {
  const vitest = join(import.meta.dirname, '../node_modules/vitest/vitest.mjs')
  const projects = ['faults*', ...(values.document ? ['suites'] : [])].flatMap((name) => ['--project', name])
  const { status } = spawnSync(process.execPath, [vitest, 'run', ...projects, ...positionals], {
    stdio: 'inherit',
    env: {
      ...process.env,
      TEST_FORM: values.long ? 'long' : 'short',
      ...(values.document ? { GUARANTEES: join(import.meta.dirname, '../docs/guarantees.md') } : {}),
    },
  })
  process.exitCode = status ?? 1
}
