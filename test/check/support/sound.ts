/** Databases in which nothing is wrong, and what a check says of them. */
import Sqlite from 'better-sqlite3'
import type { CheckName, CheckReport, Finding, Severity } from '../../../src/check/index.ts'
import { type Meshstore, openStorage } from '../../../src/index.ts'
import { type TemporaryFolder, temporaryFolder } from '../../support/folders.ts'
import { bundle, manyNodes, node, pathKey, policy } from '../../support/samples.ts'

export interface SoundFile extends Disposable {
  readonly folder: TemporaryFolder
  readonly path: string
  /** SQL of another program, past all checks. */
  execute(sql: string): void
}

export async function fill(store: Meshstore): Promise<void> {
  await store.nodes.createMany([...manyNodes(300), node('ü😀', { started: true, routesDiscovered: 7 })])
  await store.policies.createMany([policy('default'), policy('ü', '# 😀\r\nrules: []')])
  await store.pathCache.set(pathKey('a:b', 'c%'), bundle('a:b', 'c%'), { ttlSeconds: 3_600 })
}

/** With rows, and a backup of today in a folder of its own. */
export async function soundFile(): Promise<SoundFile> {
  const folder = temporaryFolder()
  const path = folder.file('mesh.db')
  await using store = await openStorage(`sqlite:${path}`)
  await fill(store)
  await store.backup(folder.file('backups', 'today.db'))
  return {
    folder,
    path,
    execute: (sql) => {
      const raw = new Sqlite(path)
      raw.unsafeMode(true)
      raw.pragma('ignore_check_constraints = ON')
      raw.exec(sql)
      raw.close()
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

/** Findings worse than an information. */
export const wrong = ({ findings }: CheckReport): Finding[] => findings.filter(({ severity }) => severity !== 'info')

/** The findings of a check, as `error rows`. */
export const kinds = ({ findings }: CheckReport): string[] => [
  ...new Set(findings.map(({ severity, check }) => `${severity} ${check}`)),
]

export function only(report: CheckReport, severity: Severity, check: CheckName): Finding {
  const [finding, ...more] = report.findings.filter((each) => each.severity === severity && each.check === check)
  if (finding === undefined || more.length > 0)
    throw new Error(`Not one ${severity} of ${check}: ${JSON.stringify(report, null, 1)}`)
  return finding
}

export const reasonFor = ({ notChecked }: CheckReport, check: CheckName): string | undefined =>
  notChecked.find((each) => each.check === check)?.reason
