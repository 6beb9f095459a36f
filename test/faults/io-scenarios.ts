/** The things that are done while a call fails: what they begin with, and what may be there afterwards. */
import { cpSync, existsSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { openStorage, restoreBackup, verifyBackup } from '../../src/index.ts'
import { contentOf, database, namesIn, SAFETY_COPY } from '../backup/support/files.ts'
import { all } from '../support/expectations.ts'
import type { TemporaryFolder } from '../support/folders.ts'
import type { Said, What } from './io-program.ts'
import { EVERY_UNIT, type Unit } from './io-units.ts'
import { oldFile } from './old-file.ts'

/** The number of rows that were there before, and that nothing touches. */
const BEFORE = 30
const PREFIX = 'before'

export interface Scenario {
  readonly what: What
  /** Makes the folder that each run gets a copy of. */
  prepare(folder: string): Promise<void>
  /** The program's further argument, beside the database's path. */
  readonly other?: (folder: string) => string
  /** Lists what is wrong afterwards, when calls no longer fail. */
  judge(folder: string, said: ReadonlyMap<string, string>): Promise<string[]>
}

export const databaseIn = (folder: string): string => join(folder, 'mesh.db')
export const saidBy = (stdout: string): ReadonlyMap<string, string> =>
  new Map(
    stdout
      .split('\n')
      .filter((line) => line.endsWith('}'))
      .map((line) => JSON.parse(line) as Said)
      .map(({ part, outcome }) => [part, outcome]),
  )

async function idsIn(folder: string): Promise<Set<string>> {
  await using store = await openStorage(databaseIn(folder))
  return new Set((await all(store.nodes.iterate())).map(({ nodeId }) => nodeId))
}

/** Done: it is there. Refused: it is not. Unknown, or never answered: it is one of the two, and as a whole. */
function judgeUnit({ name, nodes }: Unit, there: ReadonlySet<string>, outcome: string | undefined): string[] {
  const found = nodes.filter((nodeId) => there.has(nodeId)).length
  if (found !== 0 && found !== nodes.length) return [`${name} is there by half`]
  if (outcome === 'done' && found < nodes.length) return [`${name} was acknowledged, and is lost`]
  const refused = outcome !== undefined && outcome !== 'done' && outcome !== 'OUTCOME_UNKNOWN'
  return refused && found > 0 ? [`${name} was refused (${outcome}), and is there`] : []
}

async function judgeWritten(folder: string, said: ReadonlyMap<string, string>, before: number): Promise<string[]> {
  const there = await idsIn(folder)
  const kept = [...there].filter((id) => id.startsWith(`${PREFIX}-`)).length
  return [
    ...(kept === before ? [] : [`of ${before} that were there, ${kept} are`]),
    ...EVERY_UNIT.flatMap((unit) => judgeUnit(unit, there, said.get(unit.name))),
    ...(contentOf(databaseIn(folder)) === 'damaged' ? ['it is damaged'] : []),
  ]
}

const filled = async (folder: string): Promise<void> => void (await database(databaseIn(folder), BEFORE, PREFIX))

const targetIn = (folder: string): string => join(folder, 'backups', 'mesh.backup')

const write: Scenario = {
  what: 'write',
  prepare: filled,
  judge: (folder, said) => judgeWritten(folder, said, BEFORE),
}

const create: Scenario = {
  what: 'create',
  prepare: async (folder) => void mkdirSync(folder, { recursive: true }),
  judge: (folder, said) => judgeWritten(folder, said, 0),
}

const migrate: Scenario = {
  what: 'migrate',
  prepare: async (folder) => {
    mkdirSync(folder, { recursive: true })
    oldFile(databaseIn(folder))
  },
  judge: async (folder) => {
    const there = await idsIn(folder)
    return there.size === 1 ? [] : [`there are ${there.size} nodes in place of one`]
  },
}

const backUp: Scenario = {
  what: 'back up',
  prepare: filled,
  other: targetIn,
  judge: async (folder, said) => {
    const wrong = await judgeWritten(folder, said, BEFORE)
    const target = targetIn(folder)
    const whole = await verifyBackup(target).then(
      () => true,
      () => false,
    )
    if (said.get('backup') === 'done' && !whole) wrong.push('the backup was finished, and is none')
    // An unfinished file does not look like a backup; and the next backup works.
    if (existsSync(target) && existsSync(`${target}.manifest.json`) && !whole) wrong.push('what is there is no backup')
    await using store = await openStorage(databaseIn(folder))
    await store.backup(`${target}-again`)
    return wrong
  },
}

/** The content of a file that this scenario began with, and of the backup. */
function restoreOf(file: string, contents: { folder: string; old: string; restored: string }): Scenario {
  return {
    what: 'restore',
    prepare: async (folder) => cpSync(contents.folder, folder, { recursive: true }),
    other: () => file,
    judge: async (folder, said) => {
      const path = databaseIn(folder)
      const wrong: string[] = []
      const found = contentOf(path)
      const known = { [contents.old]: 'old', [contents.restored]: 'restored' }[found]
      if (known === undefined) wrong.push('it is neither old nor restored')
      if (said.get('restore') === 'done' && known !== 'restored') wrong.push('it was restored, and is not there')
      await restoreBackup(file, path, { replace: true })
      if (contentOf(path) !== contents.restored) wrong.push('the next restore did not finish')
      const copies = namesIn(dirname(path)).filter((name) => SAFETY_COPY.test(name))
      if (!copies.some((name) => contentOf(join(folder, name)) === contents.old)) wrong.push('what was there is lost')
      return wrong
    },
  }
}

/** All of them. The backup that is restored lies in the folder of templates. */
export async function scenarios(templates: TemporaryFolder): Promise<readonly Scenario[]> {
  const source = await database(templates.file('source', 'mesh.db'), BEFORE + 10, 'new')
  const file = templates.file('mesh.backup')
  {
    await using store = await openStorage(source)
    await store.backup(file)
  }
  await database(templates.file('old', 'mesh.db'), BEFORE, PREFIX)
  await restoreBackup(file, templates.file('restored', 'mesh.db'))
  const contents = {
    folder: templates.file('old'),
    old: contentOf(templates.file('old', 'mesh.db')),
    restored: contentOf(templates.file('restored', 'mesh.db')),
  }
  return [write, create, migrate, backUp, restoreOf(file, contents)]
}
