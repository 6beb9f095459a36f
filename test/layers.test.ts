/** The folders of `src/` are layers: imports lead down, and no files import each other in a circle. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const SRC = fileURLToPath(new URL('../src', import.meta.url))

/** From the lowest to the highest. A folder, or a file of `src/` itself, stands for what is in it. */
const LAYERS: readonly (readonly string[])[] = [
  ['errors.ts', 'event-loop.ts', 'node-version.ts', 'tracing-events.ts'],
  ['tracing.ts', 'schema'],
  ['api', 'api.ts'],
  ['database'],
  ['files'],
  ['migrator'],
  ['rows'],
  ['changes', 'repositories'],
  ['tables'],
  ['path-cache'],
  ['backup'],
  ['open'],
  ['transfer'],
  ['move'],
  ['restore', 'check'],
  ['replication'],
  ['health.ts', 'maintenance.ts', 'store.ts'],
  ['storage.ts'],
  ['cli'],
  ['opentelemetry'],
  [
    'drizzle-config.ts',
    'index.ts',
    'opentelemetry-entry.ts',
    'query-entry.ts',
    'schema-entry.ts',
    'tables-entry.ts',
    'tables-postgres-entry.ts',
    'tables-sqlite-entry.ts',
    'zod-entry.ts',
  ],
]

interface Import {
  readonly from: string
  readonly to: string
}

const IMPORT = /(?:\bfrom|\bimport)\s*\(?\s*'(\.[^']+)'/g

/** The imports of each file, types and those at run time included. */
function importsOf(files: ReadonlyMap<string, string>): readonly Import[] {
  return [...files].flatMap(([from, text]) =>
    Array.from(text.matchAll(IMPORT), ([, path = '']) => ({ from, to: join(dirname(from), path) })).filter(({ to }) =>
      files.has(to),
    ),
  )
}

function layerOf(file: string): number {
  const [top = ''] = file.split('/')
  const layer = LAYERS.findIndex((names) => names.includes(top))
  if (layer === -1) throw new Error(`${file} is in no layer. Add its folder to the list in this test.`)
  return layer
}

const isUpwards = ({ from, to }: Import): boolean =>
  layerOf(to) > layerOf(from) || (layerOf(to) === layerOf(from) && topOf(to) !== topOf(from) && isFolder(to, from))

const topOf = (file: string): string => file.split('/')[0] ?? ''
/** Two folders of one layer do not know each other. Files of `src/` itself may. */
const isFolder = (...files: readonly string[]): boolean => files.every((file) => file.includes('/'))

/** The files that import each other in a circle, directly or by way of others. */
function filesInCircles(imports: readonly Import[]): string[] {
  const reached = new Map<string, Set<string>>()
  const files = new Set(imports.map(({ from }) => from))
  for (const file of files) {
    const seen = new Set<string>()
    const open = [file]
    for (let next = open.pop(); next !== undefined; next = open.pop())
      for (const { from, to } of imports)
        if (from === next && !seen.has(to)) {
          seen.add(to)
          open.push(to)
        }
    reached.set(file, seen)
  }
  return [...files].filter((file) => reached.get(file)?.has(file) === true)
}

const source = new Map(
  readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => [relative('.', name).split(sep).join('/'), readFileSync(join(SRC, name), 'utf8')]),
)

test('no import leads up', () => {
  const imports = importsOf(source)
  expect(imports.length).toBeGreaterThan(source.size)
  expect(imports.filter(isUpwards).map(({ from, to }) => `${from} → ${to}`)).toEqual([])
})

test('no files import each other in a circle', () => {
  expect(filesInCircles(importsOf(source))).toEqual([])
})

test('an import that leads up, and a circle, are found', () => {
  const wrong = importsOf(
    new Map([
      ['schema/a.ts', "import type { B } from '../store.ts'"],
      ['store.ts', "const a = await import('./schema/a.ts')"],
      ['move/a.ts', "export { b } from './b.ts'"],
      ['move/b.ts', "import './c.ts'"],
      ['move/c.ts', ''],
    ]),
  )
  expect(wrong.filter(isUpwards)).toEqual([{ from: 'schema/a.ts', to: 'store.ts' }])
  expect(filesInCircles(wrong)).toEqual(['schema/a.ts', 'store.ts'])
})
