import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import {
  type ChunkingContext,
  type CodeSplittingGroup,
  type InputOptions,
  type OutputChunk,
  type OutputOptions,
  type Plugin,
  rolldown,
} from 'rolldown'
import { embeddedMigrations } from './migrations.ts'

/** The entries of the package, apart from the command: `require()` and types find each of them too. */
export const ENTRIES = [
  'index',
  'tables',
  'tables-sqlite',
  'tables-postgres',
  'query',
  'schema',
  'zod',
  'opentelemetry',
  'drizzle-config',
] as const

/** They share the library's own drizzle-orm, and what it knows of the application's tables. */
const LIBRARY = {
  index: 'src/index.ts',
  tables: 'src/tables-entry.ts',
  'tables-sqlite': 'src/tables-sqlite-entry.ts',
  'tables-postgres': 'src/tables-postgres-entry.ts',
  query: 'src/query-entry.ts',
}

const NODE = /^node:/
/** Each is loaded when its dialect is opened. */
export const DRIVERS = ['better-sqlite3', 'pg']
/** An application's `eq(nodes.nodeId, …)` must be of the same drizzle-orm as the tables; the same for zod and OpenTelemetry. */
export const SHARED = ['drizzle-orm', 'zod', '@opentelemetry/api']

/** drizzle-kit 1.0 knows tables of its own drizzle-orm alone, which is not the one that this package depends on. */
const FROM_KIT = "require = require('node:module').createRequire(require('node:fs').realpathSync(process.argv[1]))"

const CHECK = /[\\/]src[\\/]node-version\.ts$/

const common: InputOptions = {
  platform: 'node',
  // `sideEffects` in package.json speaks of dist/: for the bundler this file would have none, and vanish.
  treeshake: { moduleSideEffects: [{ test: CHECK, sideEffects: true }] },
  // The oldest that will do knows no `using`.
  transform: { target: 'node22.14' },
}

const output: OutputOptions = {
  format: 'esm',
  entryFileNames: '[name].js',
  // The declarations carry the documentation.
  comments: { legal: true, annotation: true, jsdoc: false },
}

/** yaml's build for Node reads an environment variable for each token: a quarter of the time that a policy takes. */
const YAML = resolve('node_modules/yaml/browser/dist/index.js')

/** zod's messages in fifty languages: 250 kB that nobody would ever see, since errors are the library's own. */
const withoutTranslations: Plugin = {
  name: 'without-translations',
  load: (id) => (/[\\/]zod[\\/]v4[\\/]locales[\\/]index\.js$/.test(id) ? 'export {}' : undefined),
}

/**
 * Drizzle's builder asks whether a value is an enum of PostgreSQL's, and its relations, which are not used here, name
 * PostgreSQL's primary keys. For these two Node would load all that Drizzle has for PostgreSQL.
 */
const withoutPostgres: Plugin = {
  name: 'without-postgres',
  resolveId: (source, importer) =>
    /[\\/]drizzle-orm[\\/](sql[\\/]sql|relations)\.js$/.test(importer ?? '') && /[\\/]pg-core[\\/]/.test(source)
      ? OF_POSTGRES
      : undefined,
  load: (id) =>
    id === OF_POSTGRES
      ? `export const isPgEnum = (value) => typeof value === 'function' && value[Symbol.for('drizzle:isPgEnum')] === true
export class PrimaryKeyBuilder { static [Symbol.for('drizzle:entityKind')] = 'PgPrimaryKeyBuilder' }`
      : undefined,
}
const OF_POSTGRES = '\0of-postgres'

/** Drizzle's relational queries (`db.query`) need a schema of relations, which the library gives to nobody. */
const withoutRelations: Plugin = {
  name: 'without-relations',
  resolveId: (source, importer) =>
    /[\\/]drizzle-orm[\\/]\w+-core[\\/](db|dialect)\.js$/.test(importer ?? '') &&
    /(relations|query-builders\/query)\.js$/.test(source)
      ? OF_RELATIONS
      : undefined,
  load: (id) =>
    id === OF_RELATIONS
      ? 'export class Many {}; export class One {}; export class RelationalQueryBuilder {}; export const getOperators = 0, getOrderByOperators = 0, normalizeRelation = 0'
      : undefined,
}
const OF_RELATIONS = '\0of-relations'

/** The check of Node's version has to be on its own. */
const DRIZZLES_DIALECTS = /[\\/]drizzle-orm[\\/](\w+-core[\\/]|relations\.js)/

/**
 * One file for all that some modules import at once: left to itself, the bundler cuts it into as many as there are ways to
 * share them, and each costs a third of a millisecond at the start. A module of an earlier group stays in that one.
 */
function together(name: string, modules: readonly string[], apart: readonly RegExp[] = []): CodeSplittingGroup {
  const roots = modules.map((module) => resolve(module))
  let members: Set<string> | undefined
  return {
    debugName: name,
    name: (id, context) => {
      members ??= new Set(roots.flatMap((root) => [...importedBy(root, apart, context)]))
      return members.has(id) ? name : null
    },
  }
}

/** The modules that a module imports statically, directly or through others. */
function importedBy(root: string, apart: readonly RegExp[], context: ChunkingContext): Set<string> {
  const found = new Set([root])
  for (const id of found) {
    for (const imported of context.getModuleInfo(id)?.importedIds ?? []) {
      if (![CHECK, ...apart].some((pattern) => pattern.test(imported))) found.add(imported)
    }
  }
  // An entry of the package keeps its own file.
  if (context.getModuleInfo(root)?.isEntry === true) found.delete(root)
  return found
}

/** Opening a SQLite file and reading from it loads the first two and no more. The third is for applications with tables of their own. */
const GROUPS = [
  together('core', ['src/index.ts'], [DRIZZLES_DIALECTS]),
  together('sqlite', ['src/open/sqlite.ts']),
  together('own', [
    'src/tables/repository.ts',
    'src/tables/runner.ts',
    'src/migrator/own-sqlite.ts',
    'src/tables/given-names.ts',
  ]),
]

/** Jest cannot load ES modules by `require()`: these tools get the library as CommonJS. drizzle-kit runs on Node itself. */
export const COMMONJS = [
  'index',
  'tables',
  'tables-sqlite',
  'tables-postgres',
  'query',
  'schema',
  'zod',
  'opentelemetry',
] as const

export interface Bundles {
  /** The library and the command: everything inside but the drivers. */
  readonly main: readonly OutputChunk[]
  /** Tables, zod schemas and configuration, for use with the application's own drizzle-orm and drizzle-kit. */
  readonly schema: readonly OutputChunk[]
  /** Both once more, as CommonJS, below `commonjs/`. */
  readonly commonjs: readonly OutputChunk[]
}

export async function bundle(dist: string): Promise<Bundles> {
  const library: InputOptions = {
    ...common,
    external: [NODE, ...DRIVERS],
    plugins: [withoutTranslations, withoutPostgres, withoutRelations, embeddedMigrations],
    resolve: { alias: { yaml: YAML } },
  }
  const besideShared: InputOptions = {
    ...common,
    external: [NODE, ...SHARED.map((name) => new RegExp(`^${name}(/|$)`))],
  }
  const main = await write(
    { ...library, input: { ...LIBRARY, cli: 'src/cli/main.ts' } },
    { ...output, dir: dist, chunkFileNames: 'chunks/[name].js', codeSplitting: { groups: GROUPS } },
  )
  const schema = await write(
    {
      ...besideShared,
      input: {
        schema: 'src/schema-entry.ts',
        zod: 'src/zod-entry.ts',
        opentelemetry: 'src/opentelemetry-entry.ts',
        'schema-sqlite': 'src/schema/sqlite.ts',
        'schema-postgres': 'src/schema/postgres.ts',
        'drizzle-config': 'src/drizzle-config.ts',
      },
    },
    { ...output, dir: dist, chunkFileNames: 'chunks/schema/[name].js' },
  )
  for (const name of ['sqlite', 'postgres'])
    schema.push(
      ...(await write(
        {
          ...common,
          input: { [`drizzle-kit-1/schema-${name}`]: `src/schema/${name}.ts` },
          external: SHARED.map((shared) => new RegExp(`^${shared}(/|$)`)),
        },
        { ...output, dir: dist, format: 'cjs', entryFileNames: '[name].cjs', banner: FROM_KIT },
      )),
    )
  for (const { fileName, exports } of [...main, ...schema]) {
    const entry = ENTRIES.find((name) => fileName === `${name}.js`)
    if (entry === undefined) continue
    await writeDoor(join(dist, `${entry}.cjs`), `./${entry}.js`, exports)
    const folder = entry in LIBRARY ? 'library' : 'schema'
    if (isCommonJs(entry)) await writeDoor(join(dist, 'commonjs', `${entry}.cjs`), `./${folder}/${entry}.cjs`, exports)
  }
  const commonjs = [
    ...(await write({ ...library, input: LIBRARY }, commonJsOutput(dist, 'library'))),
    ...(await write(
      {
        ...besideShared,
        input: { schema: 'src/schema-entry.ts', zod: 'src/zod-entry.ts', opentelemetry: 'src/opentelemetry-entry.ts' },
      },
      commonJsOutput(dist, 'schema'),
    )),
  ]
  return { main, schema, commonjs }
}

const isCommonJs = (entry: string): boolean => COMMONJS.some((name) => name === entry)

const commonJsOutput = (dist: string, folder: string): OutputOptions => ({
  ...output,
  dir: dist,
  format: 'cjs',
  entryFileNames: `commonjs/${folder}/[name].cjs`,
  chunkFileNames: `commonjs/${folder}/chunks/[name].cjs`,
  // Jest has no import() in CommonJS either.
  dynamicImportInCjs: false,
})

async function write(input: InputOptions, options: OutputOptions): Promise<OutputChunk[]> {
  const build = await rolldown(input)
  try {
    const { output: files } = await build.write(options)
    return files.filter((file) => file.type === 'chunk')
  } finally {
    await build.close()
  }
}

/**
 * `require()` finds this file. On Node it loads the ES module itself, which Node can since 22.12: `import` and `require()`
 * then share their classes. The check comes first, in syntax that any Node understands: an older one would only say
 * ERR_REQUIRE_ESM.
 */
async function writeDoor(file: string, target: string, names: readonly string[]): Promise<void> {
  const build = await rolldown({ ...common, input: 'src/node-version.ts', transform: { target: 'es2015' } })
  try {
    const { output: files } = await build.generate({ format: 'cjs', comments: false })
    const door = [
      files[0].code.trimEnd(),
      `const entry = require('${target}')`,
      "Object.defineProperty(exports, '__esModule', { value: true })",
      // One by one, so that tools which only read the file see them.
      ...names.map((name) => `exports.${name} = entry.${name}`),
    ]
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, `${door.join('\n')}\n`)
  } finally {
    await build.close()
  }
}
