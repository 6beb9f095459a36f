/** The library as a later version of it: with two more migrations, of which one builds a table anew and one changes rows. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Plugin } from 'rolldown'
import { moduleOf } from '../../scripts/build/migrations.ts'
import { sharedTree } from '../schema/shared-tree.ts'
import { type Dialect, dialects, root, TreeCopy } from '../schema/tree-copy.ts'

/** Written by hand, in either dialect. */
const SECOND = [
  'CREATE INDEX idx_policies_count ON policies (rules_count);',
  'UPDATE nodes SET routes_discovered = routes_discovered + 1;',
  "UPDATE meshstore_state SET note = 'counted';",
].join('\n--> statement-breakpoint\n')

export interface Migration {
  readonly idx: number
  readonly tag: string
  readonly when: number
}

export const laterVersion = (): Promise<TreeCopy> => sharedTree('later', makeLaterVersion)

async function makeLaterVersion(): Promise<TreeCopy> {
  const copy = new TreeCopy()
  for (const twin of ['sqlite', 'postgres']) {
    copy.edit(`src/schema/${twin}.ts`, "value: text('value').notNull(),", "$&\n  note: text('note'),")
    // SQLite cannot change a CHECK: the table is built anew.
    copy.edit(`src/schema/${twin}.ts`, '>= 1`', '>= 1 AND $${table.k} <= 1000`')
  }
  const { code, stdout, stderr } = await copy.dbGenerate('--name', 'add_note')
  if (code !== 0) throw new Error(`db:generate failed: ${stdout}${stderr}`)
  for (const dialect of dialects) addSecond(copy, dialect)
  return copy
}

/** As db:generate would, which takes its time. */
function addSecond(copy: TreeCopy, dialect: Dialect): void {
  const entries = migrationsOf(copy, dialect)
  const last = entries.at(-1)
  if (last === undefined) throw new Error('There is no migration.')
  const [idx, when] = [last.idx + 1, last.when + 1]
  const tag = `${String(idx).padStart(4, '0')}_count_again`
  copy.write(journalOf(dialect), JSON.stringify({ entries: [...entries, { ...last, idx, when, tag }] }))
  copy.write(`migrations/${dialect}/${tag}.sql`, SECOND)
}

const journalOf = (dialect: Dialect): string => `migrations/${dialect}/meta/_journal.json`

export const migrationsOf = (copy: TreeCopy, dialect: Dialect): Migration[] =>
  JSON.parse(copy.read(journalOf(dialect))).entries

/** Bundles the copy's source in place of this one's, with a mistake in it if there is one. */
export const from = (copy: TreeCopy, mistake?: Plugin): Plugin => ({
  ...mistake,
  name: 'from-a-copy',
  load: (id) => {
    if (!id.startsWith(`${root}/src/`)) return null
    if (id.endsWith('/migrator/shipped.ts')) return moduleOf(join(copy.root, 'migrations'))
    return readFileSync(join(copy.root, id.slice(root.length + 1)), 'utf8')
  },
})

const PLACES = [
  {
    file: '/src/migrator/apply-sqlite.ts',
    whole: 'for (const statement of migration.statements) raw.exec(statement)',
    torn: "for (const statement of migration.statements) { raw.exec(statement); raw.exec('COMMIT'); raw.exec('BEGIN IMMEDIATE') }",
  },
  {
    file: '/src/migrator/postgres-migrator.ts',
    whole: 'for (const statement of await statementsWith(client, migration)) await client.query(statement)',
    torn: "for (const statement of await statementsWith(client, migration)) { await client.query(statement); await client.query('COMMIT'); await client.query('BEGIN'); await client.query('SELECT pg_advisory_xact_lock(1298495336, 1937010546)') }",
  },
] as const

/** How often the mistake was planted. */
export const planted = { count: 0 }

/**
 * Plants the mistake that the kill test must find: a migrator that commits after each statement. Throws if the source is
 * not the one that it knows.
 */
export const commitBetween: Plugin = {
  name: 'commit-between',
  transform(code, id) {
    const place = PLACES.find(({ file }) => id.endsWith(file))
    if (place === undefined) return
    const parts = code.split(place.whole)
    if (parts.length !== 2) throw new Error(`${place.file} has ${parts.length - 1} places to plant the mistake in.`)
    planted.count++
    return parts.join(place.torn)
  },
}
