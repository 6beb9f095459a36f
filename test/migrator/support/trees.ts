/** Copies of the tree with migrations more, made as a developer makes them, and copies of those with some of them. */
import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { sharedTree } from '../../schema/shared-tree.ts'
import { type Dialect, dialects, migrationsOf, type Shipped, TreeCopy } from '../../schema/tree-copy.ts'

export interface Step {
  readonly name: string
  /** The reason for `--breaking`, for a migration of SQL by hand. */
  readonly breaking?: string
  /** Changes the schema. Without it, the migration is SQL by hand. */
  readonly change?: (copy: TreeCopy) => void
}

const twins = ['sqlite', 'postgres'] as const
const inTwins =
  (from: string, to: string) =>
  (copy: TreeCopy): void => {
    for (const twin of twins) copy.edit(`src/schema/${twin}.ts`, from, to)
  }

const NAME = "value: text('value').notNull(),"

/** On SQLite the second builds the table of the nodes anew, the third that of the cached paths. */
export const ADD_NOTE: Step = { name: 'add_note', change: inTwins(NAME, `${NAME}\n  note: text('note'),`) }
export const CHECK_ROUTES: Step = {
  name: 'check_routes',
  change: (copy) => {
    const least = `\${table.routesDiscovered} >= -1000000\``
    copy.edit('src/schema/sqlite.ts', "= 'integer'`)", `= 'integer' AND ${least})`)
    const other = "check('nodes_created_time'"
    copy.edit('src/schema/postgres.ts', other, `check('nodes_routes_least', sql\`${least}),\n    ${other}`)
  },
}
export const LIMIT_K: Step = { name: 'limit_k', change: inTwins('>= 1`', `>= 1 AND \${table.k} <= 100000\``) }
export const BREAK: Step = { name: 'break', breaking: "policies' texts are elsewhere" }

/** Steps of one name are one step. `await` it in a `beforeAll`: each that no other test file has made takes two seconds. */
export async function grown(...steps: readonly Step[]): Promise<TreeCopy> {
  const last = steps.at(-1)
  if (last === undefined) return new TreeCopy()
  const name = steps.map((step) => step.name).join('+')
  return sharedTree(name, async () => {
    const copy = await grown(...steps.slice(0, -1))
    await make(copy, last)
    return copy
  })
}

async function make(copy: TreeCopy, { name, breaking, change }: Step): Promise<void> {
  if (change === undefined) return addEmpty(copy, name, breaking)
  change(copy)
  const { code, stderr } = await copy.dbGenerate('--name', name)
  if (code !== 0) throw new Error(`db:generate failed: ${stderr}`)
}

/** As `db:generate --custom` does it, in a moment; its own test is elsewhere. */
function addEmpty(copy: TreeCopy, name: string, breaking: string | undefined): void {
  for (const dialect of dialects) {
    const journal = JSON.parse(copy.read(journalOf(dialect)))
    const last = journal.entries.at(-1)
    const tag = `${numbered(last.idx + 1)}_${name}`
    journal.entries.push({ ...last, idx: last.idx + 1, when: last.when + 1, tag })
    copy.write(journalOf(dialect), JSON.stringify(journal, null, 2))
    const snapshot = JSON.parse(copy.read(snapshotOf(dialect, last.idx)))
    const next = { ...snapshot, id: randomUUID(), prevId: snapshot.id }
    copy.write(snapshotOf(dialect, last.idx + 1), JSON.stringify(next, null, 2))
    copy.write(fileOf(dialect, tag), `SELECT 1;\n${breaking === undefined ? '' : markOf(tag, breaking)}`)
  }
}

const markOf = (tag: string, reason: string): string =>
  `--> statement-breakpoint\nINSERT INTO meshstore_state (name, value, updated_at) VALUES ('breaking:${tag}', '${reason.replaceAll("'", "''")}', 0);\n`

const numbered = (idx: number): string => String(idx).padStart(4, '0')
const snapshotOf = (dialect: Dialect, idx: number): string =>
  `migrations/${dialect}/meta/${numbered(idx)}_snapshot.json`
const journalOf = (dialect: Dialect): string => `migrations/${dialect}/meta/_journal.json`

export const tagsOf = (copy: TreeCopy): string[] => migrationsOf(copy).sqlite.map(({ tag }) => tag)

/** Like `0002_limit_k`. */
export function tagOf(copy: TreeCopy, { name }: Step): string {
  const tag = tagsOf(copy).find((each) => each.endsWith(`_${name}`))
  if (tag === undefined) throw new Error(`There is no migration ${name}.`)
  return tag
}

export const fileOf = (dialect: Dialect, tag: string): string => `migrations/${dialect}/${tag}.sql`

/** The rows of the ledger once all is applied. */
export const ledgerOf = (copy: TreeCopy, dialect: Dialect): { hash: string; when: number }[] =>
  migrationsOf(copy)[dialect].map(({ when, hash }) => ({ hash, when }))

/** Another branch: a copy in which the step was never made. */
export function without(copy: TreeCopy, ...steps: readonly Step[]): TreeCopy {
  const gone = steps.map((step) => tagOf(copy, step))
  const branch = new TreeCopy(copy.root)
  for (const dialect of dialects) {
    const journal = JSON.parse(branch.read(journalOf(dialect)))
    journal.entries = journal.entries.filter(({ tag }: Shipped) => !gone.includes(tag))
    branch.write(journalOf(dialect), JSON.stringify(journal, null, 2))
    for (const tag of gone) rmSync(join(branch.root, fileOf(dialect, tag)))
  }
  return branch
}

/** A copy with another text in the files of a step. */
export function withSql(copy: TreeCopy, step: Step, edit: (sql: string, dialect: Dialect) => string): TreeCopy {
  const edited = new TreeCopy(copy.root)
  for (const dialect of dialects) {
    const file = fileOf(dialect, tagOf(copy, step))
    edited.write(file, edit(edited.read(file), dialect))
  }
  return edited
}
