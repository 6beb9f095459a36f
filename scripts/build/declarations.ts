/**
 * The declarations of the package. The main entry's must not need drizzle-orm, whose own fail where `skipLibCheck` is
 * off: they write out the row types, which the sources infer from the tables.
 */
import { execFile } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { SHARED } from './bundle.ts'
import { filesIn, writeJson } from './files.ts'

/** The entries, and the packages that each may speak of. */
const ENTRIES = [
  { file: 'index', packages: [] },
  { file: 'tables-entry', packages: SHARED },
  { file: 'tables-sqlite-entry', packages: SHARED },
  { file: 'tables-postgres-entry', packages: SHARED },
  { file: 'query-entry', packages: SHARED },
  { file: 'schema-entry', packages: SHARED },
  { file: 'zod-entry', packages: ['zod'] },
  { file: 'opentelemetry-entry', packages: ['@opentelemetry/api'] },
  { file: 'drizzle-config', packages: [] },
] as const
/** The module whose types are written out. */
const ROWS = 'schema/index'

export async function writeDeclarations(dist: string): Promise<string> {
  const types = join(dist, 'types')
  const work = join(dist, '.declarations')
  const project = resolve(dist, '..')
  await mkdir(work, { recursive: true })
  await emit(project, work)
  await flattenRows(project, work)
  for (const { file, packages } of ENTRIES) await copyGraph(join(work, 'src'), types, `${file}.d.ts`, packages)
  await checkRows(project, work, types)
  await rm(work, { recursive: true })
  await writeCommonJsTwins(types)
  return types
}

/** Runs the compiler on some files. Their declarations go to the work folder, below their own paths. */
async function compile(work: string, files: readonly string[], options: Record<string, unknown>): Promise<void> {
  const config = join(work, 'tsconfig.json')
  await writeJson(config, { extends: '../../tsconfig.json', compilerOptions: options, include: [], files })
  const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc')
  await promisify(execFile)(process.execPath, [compiler, '-p', config]).catch((error: { stdout?: string }) => {
    throw new Error(`The declarations cannot be made.\n${error.stdout ?? ''}`, { cause: error })
  })
}

const emit = (project: string, work: string, files = ENTRIES.map(({ file }) => join(project, 'src', `${file}.ts`))) =>
  compile(work, files, {
    noEmit: false,
    declaration: true,
    emitDeclarationOnly: true,
    noUnusedLocals: false,
    noUnusedParameters: false,
    rootDir: project,
    outDir: work,
  })

/** Its tables, and what their comments say of the columns. */
const TABLES = /^export const \w+ = sqliteTable\(\n {2}'\w+',\n {2}\{\n(?<columns>[\s\S]*?)\n {2}\},$/gm
const COLUMN = /^ {4}(?:\/\*\* (?<doc>.*) \*\/\n {4})?(?<name>\w+): /gm

type Docs = ReadonlyMap<string, string | undefined>
async function columnDocs(project: string): Promise<readonly Docs[]> {
  const source = await readFile(join(project, 'src', 'schema', 'sqlite.ts'), 'utf8')
  return [...source.matchAll(TABLES)].map(
    ({ groups: { columns = '' } = {} }) =>
      new Map([...columns.matchAll(COLUMN)].map(({ groups }) => [groups?.name ?? '', groups?.doc])),
  )
}

const MEMBER = /^ {4}(?<name>\w+)\??: /gm

/** An editor shows them where a row is used: the compiler leaves them out of what it infers. */
function documented(members: string, tables: readonly Docs[]): string {
  const names = [...members.matchAll(MEMBER)].map(({ groups: { name = '' } = {} }) => name)
  const docs = tables.find((table) => names.every((name) => table.has(name)))
  return members.replaceAll(MEMBER, (line, name: string) => {
    const doc = docs?.get(name)
    if (doc === undefined) throw new Error(`The column ${name} has no comment in src/schema/sqlite.ts.`)
    return `    /** ${doc} */\n${line}`
  })
}

const ALIAS = /(?<doc>\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n)?^export type (?<name>\w+) = /gm
const REEXPORT = /^export type \{(?<names>[^}]*)\} from .*$/gm

/** Replaces what the row types are inferred from by what they are: `tsc` prints the members of a mapped type. */
async function flattenRows(project: string, work: string): Promise<void> {
  const file = join(work, 'src', `${ROWS}.d.ts`)
  const source = await readFile(file, 'utf8')
  const aliases = [...source.matchAll(ALIAS)].map(({ groups = {} }) => ({ name: groups.name ?? '', doc: groups.doc }))
  const reexports = [...source.matchAll(REEXPORT)].map(([text, names = '']) => ({ text, names: names.split(',') }))
  const known = [...aliases.map(({ name }) => name), ...reexports.flatMap(({ names }) => names)]
  if (aliases.length === 0) throw new Error(`No types were found in ${file}.`)

  const probe = join(work, 'rows.ts')
  await writeFile(
    probe,
    [
      `import type { ${known.join(', ')} } from ${JSON.stringify(join(project, 'src', `${ROWS}.ts`))}`,
      'declare function flat<T>(): { [K in keyof T]: T[K] }',
      ...aliases.map(({ name }) => `export const row${name} = flat<${name}>()`),
    ].join('\n'),
  )
  await emit(project, work, [probe])
  const printed = await readFile(join(work, 'dist', '.declarations', 'rows.d.ts'), 'utf8')
  const tables = await columnDocs(project)

  const flat = aliases.map(({ name, doc = '' }) => {
    const members = new RegExp(`^export declare const row${name}: (\\{[^]*?^\\});$`, 'm').exec(printed)?.[1]
    if (members === undefined) throw new Error(`The compiler did not print the members of ${name}:\n${printed}`)
    return `${doc}export type ${name} = ${documented(members, tables)};\n`
  })
  const imports = reexports.map(({ text }) => text.replace(/^export/, 'import'))
  await writeFile(file, [...imports, ...reexports.map(({ text }) => text), ...flat].join('\n'))
}

/** Fails unless the types that are published are the ones that the sources infer. */
async function checkRows(project: string, work: string, types: string): Promise<void> {
  const published = await readFile(join(types, `${ROWS}.d.ts`), 'utf8')
  const names = [...published.matchAll(ALIAS)].map(({ groups }) => groups?.name)
  const check = join(work, 'rows-check.ts')
  await writeFile(
    check,
    [
      `import type * as inferred from ${JSON.stringify(join(project, 'src', `${ROWS}.ts`))}`,
      `import type * as published from ${JSON.stringify(join(types, `${ROWS}.js`))}`,
      'type Is<T> = <U>() => U extends T ? 1 : 2',
      'type Flat<T> = { [K in keyof T]: T[K] }',
      'type Same<A, B> = Is<Flat<A>> extends Is<Flat<B>> ? true : false',
      ...names.map((name) => `export const ${name}: Same<inferred.${name}, published.${name}> = true`),
    ].join('\n'),
  )
  await compile(work, [check], {})
}

const SPECIFIER = /(?<=\bfrom |\bimport\(|^import )(?<quote>['"])(?<specifier>[^'"]+)\k<quote>/gm

/** Copies a declaration and all that it needs. Throws if it needs a package that it may not. */
async function copyGraph(from: string, to: string, file: string, packages: readonly string[]): Promise<void> {
  const pending = [file]
  const seen = new Set<string>()
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (seen.has(next)) continue
    seen.add(next)
    const source = await readFile(join(from, next), 'utf8')
    for (const { groups: { specifier = '' } = {} } of source.matchAll(SPECIFIER)) {
      if (specifier.startsWith('.')) pending.push(join(dirname(next), specifier.replace(/\.ts$/, '.d.ts')))
      else if (!isAllowed(specifier, packages)) {
        throw new Error(`${next}, which the types of ${file} need, speaks of ${specifier}.`)
      }
    }
    await mkdir(dirname(join(to, next)), { recursive: true })
    await writeFile(join(to, next), withLibraries(renamed(source, '.ts', '.js')))
  }
}

const isAllowed = (specifier: string, packages: readonly string[]): boolean =>
  packages.some((name) => specifier === name || specifier.startsWith(`${name}/`))

const renamed = (source: string, from: string, to: string): string =>
  source.replaceAll(SPECIFIER, (text, quote: string, specifier: string) =>
    specifier.startsWith('.') && specifier.endsWith(from)
      ? `${quote}${specifier.slice(0, -from.length)}${to}${quote}`
      : text,
  )

/** `await using` is newer than what an application may compile for. */
const withLibraries = (source: string): string =>
  source.includes('AsyncDisposable') ? `/// <reference lib="esnext.disposable" />\n${source}` : source

/** For `require()` in TypeScript, which asks for declarations of a CommonJS module. */
async function writeCommonJsTwins(types: string): Promise<void> {
  for (const file of await filesIn(types)) {
    const source = await readFile(join(types, file), 'utf8')
    await writeFile(join(types, file.replace(/\.d\.ts$/, '.d.cts')), renamed(source, '.js', '.cjs'))
  }
}
