import { equal } from 'node:assert/strict'
import { cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { writeJson } from '../build/files.ts'
import { check, command } from './run.ts'

interface Consumer {
  readonly name: string
  readonly source: 'app' | 'schema' | 'own-tables'
  /** `mts` is an ES module, `cts` CommonJS; `ts` is for a bundler. */
  readonly extension: 'mts' | 'cts' | 'ts'
  readonly options: Readonly<Record<string, unknown>>
}

const STRICT = {
  noEmit: true,
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  target: 'es2022',
  skipLibCheck: false,
  // Nothing but what the package brings, unless a consumer says otherwise.
  types: [],
}
const nodenext = { module: 'nodenext' }
/** Knows no `exports`; TypeScript 7 no longer knows it. */
const node10 = { module: 'commonjs', moduleResolution: 'node10' }
const bundler = { module: 'esnext', moduleResolution: 'bundler' }

const CONSUMERS: readonly Consumer[] = [
  { name: 'nodenext', source: 'app', extension: 'mts', options: nodenext },
  { name: 'nodenext, CommonJS', source: 'app', extension: 'cts', options: nodenext },
  { name: 'bundler', source: 'app', extension: 'ts', options: bundler },
  { name: 'bundler, with the types of Node', source: 'app', extension: 'ts', options: { ...bundler, lib: ['es2022'] } },
  { name: 'node10', source: 'app', extension: 'ts', options: node10 },
  // Drizzle's own declarations have errors.
  {
    name: 'meshstore/schema, nodenext',
    source: 'schema',
    extension: 'mts',
    options: { ...nodenext, skipLibCheck: true },
  },
  {
    name: 'meshstore/schema, CommonJS',
    source: 'schema',
    extension: 'cts',
    options: { ...nodenext, skipLibCheck: true },
  },
  { name: 'meshstore/schema, bundler', source: 'schema', extension: 'ts', options: { ...bundler, skipLibCheck: true } },
  { name: 'own tables', source: 'own-tables', extension: 'mts', options: { ...nodenext, skipLibCheck: true } },
]

export interface Compiler {
  readonly name: string
  /** The folder of the package `typescript`. */
  readonly folder: string
}

/** Compiles applications of several kinds against the installed package. `typeRoots` has the types of Node. */
export async function checkTypes(app: string, compiler: Compiler, typeRoots: string): Promise<void> {
  for (const { name, source, extension, options } of CONSUMERS) {
    if (compiler.name === 'TypeScript 7' && options === node10) continue
    await check(`${compiler.name} compiles for ${name}`, async () => {
      const folder = join(app, `${compiler.name} ${name}`.replaceAll(/\W+/g, '-'))
      await mkdir(folder)
      await cp(join(app, `${source}.ts.txt`), join(folder, `${source}.${extension}`))
      const withNode = 'lib' in options ? { typeRoots: [typeRoots], types: ['node'] } : {}
      await writeJson(join(folder, 'tsconfig.json'), { compilerOptions: { ...STRICT, ...options, ...withNode } })
      const { code, stdout } = await command(process.execPath, [join(compiler.folder, 'bin', 'tsc')], { cwd: folder })
      equal(code, 0, stdout)
    })
  }
}
