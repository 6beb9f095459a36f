/** The judge of test/property/call-order.test.ts finds a library in which a rule of the write path is broken. */
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { openStorage } from '../../src/index.ts'
import { operation } from '../property/calls.ts'
import { judge, ON_POSTGRES } from '../property/judge.ts'
import { TreeCopy } from '../schema/tree-copy.ts'
import { borrowDatabase, postgresProgram } from '../support/postgres-backend.ts'
import { describePostgres } from './support/suite.ts'

const MOST_RUNS = 300
const POSTGRES = 'src/database/postgres'

interface Control {
  readonly title: string
  readonly file: string
  readonly from: string
  readonly to: string
}

const CONTROLS: readonly Control[] = [
  {
    title: 'that commits before rows are decoded',
    file: `${POSTGRES}/batch.ts`,
    from: 'bound.compiled.decode === undefined && lookup === undefined',
    to: 'lookup === undefined',
  },
  {
    title: 'that does not halve a refused batch',
    file: `${POSTGRES}/write-lane.ts`,
    from: 'else if (performance.now() > until)',
    to: 'else if (!isBusy(refused))',
  },
  {
    title: 'in which a call takes its place after an await',
    file: `${POSTGRES}/postgres-database.ts`,
    from: 'const touched = touchedByCall(this.compiler, call)',
    to: 'await null; const touched = touchedByCall(this.compiler, call)',
  },
  {
    title: 'that stores paths after a change of the topology',
    file: `${POSTGRES}/batch.ts`,
    from: 'groups.filter(comesFirst), ...groups.filter((group) => !comesFirst(group))',
    to: 'groups.filter((group) => !comesFirst(group)), ...groups.filter(comesFirst)',
  },
]

/** The first program that the judge finds something wrong with. */
async function findsIn({ file, from, to }: Control): Promise<boolean> {
  using copy = new TreeCopy()
  copy.edit(file, from, to)
  const broken = (await import(join(copy.root, 'src/index.ts'))) as { openStorage: typeof openStorage }
  // The database cannot be used afterwards: it is not given back.
  const { url, owner } = await borrowDatabase()
  const other = postgresProgram(owner)
  await using store = await broken.openStorage({ url, pool: { max: 4 } })
  await other.execute(ON_POSTGRES)
  let programs = 0
  const programsOf = fc.array(operation, { minLength: 2, maxLength: 25, size: 'max' })
  const property = fc.asyncProperty(programsOf, (all) => judge({ store, other, canBreak: true }, `p${programs++}`, all))
  const found = await fc.check(property, { seed: 1, numRuns: MOST_RUNS, endOnFailure: true })
  console.log(`${file}: ${found.failed ? `found by program ${found.numRuns}` : 'nothing found'}`)
  return found.failed
}

describePostgres('the judge of calls that are not awaited finds a library', () => {
  test.for(CONTROLS)('$title', async (control) => {
    expect(await findsIn(control)).toBe(true)
  })
})
