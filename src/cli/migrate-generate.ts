/** `meshstore migrate generate`: an application's tables need more than drizzle-kit writes. */
import { existsSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Command } from 'commander'
import { StorageError } from '../errors.ts'
import { type Cascade, cascadesIn } from '../migrator/own-cascades.ts'
import { type Generated, generateOwn } from '../migrator/own-generate.ts'
import { ownMigrations } from '../migrator/own-migrations.ts'
import type { Table } from '../schema/tables.ts'
import { describedBy } from '../tables/described.ts'
import { command } from './options.ts'
import { type Outcome, report } from './output.ts'

interface Flags {
  json?: boolean
  schema: string
  migrations: string
  name: string
  dryRun?: boolean
}

export function addGenerate(migrate: Command): void {
  command(migrate, 'generate')
    .description(
      'Adds what an application’s own tables need beside their columns to the application’s migrations: triggers, rights, descriptions. Opens no database.',
    )
    .requiredOption('--schema <file>', 'the module that exports what schema() of meshstore/tables returned')
    .option('--migrations <folder>', 'the folder with drizzle-kit’s sqlite and postgresql', './drizzle')
    .option('--name <name>', 'the name of the migration', 'meshstore')
    .option('--dry-run', 'say what would be written, and write nothing')
    .action((flags: Flags) => report(flags, () => generate(flags)))
}

async function generate({ schema, migrations, name, dryRun = false }: Flags): Promise<Outcome> {
  if (!/^\w+$/.test(name))
    throw new StorageError('CONFIG', `--name ${JSON.stringify(name)}: give letters, digits and _. Nothing was written.`)
  const tables = await tablesIn(schema)
  const folder = resolve(migrations)
  const generated = generateOwn(folder, tables, { name, dryRun, now: new Date() })
  const onSqlite = generated.some(({ dialect }) => dialect === 'sqlite')
  const cascades = onSqlite ? cascadesIn(ownMigrations(folder, 'sqlite')) : []
  return {
    json: { generated, ...(cascades.length > 0 && { cascades }) },
    text: [...generated.map((each) => shown(each, dryRun)), ...cascades.map((each) => warning(each, migrations))],
  }
}

const warning = ({ tag, drops, tables }: Cascade, migrations: string): string =>
  `Warning: sqlite/${tag} drops ${drops}, or makes it anew. Applied by drizzle-kit migrate it would delete or change the rows of ${tables.join(', ')} that refer to ${drops}, and rows that refer to those in turn. drizzle-kit says nothing of it. Apply it with meshstore migrate up --migrations ${migrations}, or with openStorage({ migrate: 'apply', migrations }).`

function shown({ dialect, file, tables }: Generated, dryRun: boolean): string {
  if (file === undefined) return `${dialect}: the migrations have everything that the tables need.`
  const verb = dryRun ? 'would write' : 'wrote'
  return `${dialect}: ${verb} ${relative('', file)} for ${tables.join(', ')}.`
}

/** The tables of the schema that the module exports under any name. */
async function tablesIn(file: string): Promise<Table[]> {
  const path = resolve(file)
  if (!existsSync(path)) throw new StorageError('CONFIG', `There is no file ${path}. Name your schema with --schema.`)
  // The build refuses every other import of something computed.
  const module = await import(pathToFileURL(path).href).then(
    (loaded: object) => loaded,
    (cause: unknown) => {
      const what = cause instanceof Error ? cause.message : String(cause)
      throw new StorageError(
        'CONFIG',
        `${path} cannot be loaded: ${what.replace(/\.$/, '')}. Nothing was written. Run it with node first.`,
        {
          cause,
        },
      )
    },
  )
  const schemas = [...Object.values(module), ...defaultOf(module)].filter(isSchema)
  const [found] = schemas
  if (found !== undefined && schemas.every((each) => each === found))
    return Object.values(found.tables).map(describedBy)
  throw new StorageError(
    'CONFIG',
    `${path} exports ${found === undefined ? 'no schema' : 'several schemas'}. Nothing was written. Export what schema() of meshstore/tables returns, once.`,
  )
}

/** A CommonJS module's exports are those of its default. */
const defaultOf = (module: object): unknown[] =>
  'default' in module && typeof module.default === 'object' && module.default !== null
    ? Object.values(module.default)
    : []

const isSchema = (value: unknown): value is { readonly tables: Readonly<Record<string, object>> } =>
  typeof value === 'object' &&
  value !== null &&
  'tables' in value &&
  typeof value.tables === 'object' &&
  value.tables !== null &&
  'query' in value &&
  'change' in value
