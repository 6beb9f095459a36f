/** An application that was bundled into one file has the migrations in it, wherever the file then lies. */

import { mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { embeddedMigrations, moduleOf } from '../../scripts/build/migrations.ts'
import { objectsCreatedBy } from '../../src/migrator/created-objects.ts'
import { type Dialect, migrationsOf } from '../../src/migrator/migrations.ts'
import { root, run } from '../schema/tree-copy.ts'
import { temporaryFolder } from '../support/folders.ts'
import { HERE, statusOf } from './support/commands.ts'
import { eachDialect } from './support/databases.ts'

const DRIVERS = ['better-sqlite3', 'pg']
const formats = { esm: 'app.mjs', cjs: 'app.cjs' } as const
type Format = keyof typeof formats

const folder = temporaryFolder()
afterAll(() => folder[Symbol.dispose]())

/** Nothing beside it but the drivers: neither this package, nor Drizzle, nor migrations/. */
beforeAll(async () => {
  mkdirSync(folder.file('node_modules'))
  for (const driver of DRIVERS) symlinkSync(join(root, 'node_modules', driver), folder.file('node_modules', driver))
  const bundle = await rolldown({
    input: fileURLToPath(new URL('programs/app.ts', import.meta.url)),
    platform: 'node',
    external: DRIVERS,
    plugins: [embeddedMigrations],
    onLog: () => {},
  })
  for (const [format, file] of Object.entries(formats))
    await bundle.write({ file: folder.file(file), format: format as Format, codeSplitting: false })
  await bundle.close()
})

test('the application is one file', () => {
  expect(readdirSync(folder.path).sort()).toEqual([...Object.values(formats), 'node_modules'].sort())
  const text = readFileSync(folder.file('app.mjs'), 'utf8')
  const imported = [...text.matchAll(/^import\b.*\bfrom "([^"]+)"/gm)].map(([, name = '']) => name)
  expect(imported.filter((name) => !isBuiltin(name) && !DRIVERS.includes(name))).toEqual([])
  expect(imported).toEqual(expect.arrayContaining(DRIVERS))
  expect(text).toContain('idx_cache_source_dest')
})

test('the build puts in the migrations, and what an open would read from their text', async () => {
  const text = Buffer.from(moduleOf(join(root, 'migrations'))).toString('base64')
  const { shipped, shippedObjects } = await import(/* @vite-ignore */ `data:text/javascript;base64,${text}`)
  for (const dialect of ['sqlite', 'postgresql'] satisfies Dialect[]) {
    const known = migrationsOf(dialect)
    expect(shipped(dialect).map(({ hash }: { hash: string }) => hash)).toEqual(known.map(({ hash }) => hash))
    expect(shippedObjects(dialect)).toEqual(objectsCreatedBy(known))
    expect(shippedObjects(dialect).tables.size).toBeGreaterThan(5)
  }
})

eachDialect('an application in one file', (dialect, make) => {
  test.each(Object.entries(formats))('as %s opens, migrates, writes and reads', async (_, file) => {
    await using scratch = await make()
    const { code, stdout, stderr } = await run(folder.path, file, [scratch.url])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toEqual({ node: ['eth0'], policy: 'rules: []\n' })
    expect(await statusOf(HERE, scratch.url)).toMatchObject({ code: 0, state: 'current', drift: [], dialect })
  })
})
