/** Copies and backups by a later version, which has migrations that the database has not. */
import { afterAll, describe, expect, test } from 'vitest'
import { copyDatabase, verifyBackup } from '../../src/index.ts'
import { from as bundledFrom, laterVersion, migrationsOf } from '../faults/migration-tree.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { Script } from '../sqlite/support/script.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { TAGS } from '../support/tags.ts'
import type { Order } from './programs/copier.ts'
import { until } from './support/copier.ts'
import { counts, filled, kinds, ownHash, postgres, sqlite } from './support/places.ts'
import { forPostgres, plain } from './support/rows.ts'

const later = await laterVersion()
afterAll(() => later[Symbol.dispose]())
const copier = await Script.bundle(new URL('programs/copier.ts', import.meta.url), bundledFrom(later))
const backer = await Script.bundle(new URL('../backup/programs/backer.ts', import.meta.url), bundledFrom(later))
const added = migrationsOf(later, 'sqlite').filter(({ tag }) => !TAGS.includes(tag))

/** The answer of the later version to an order. */
async function said(order: Order): Promise<string> {
  await using program = copier.start()
  await until(program, '@ready')
  program.send(order)
  await until(program, '@begun')
  return (await program.line()).split(' [')[0] ?? ''
}

describe.each(kinds)('on $name, a later version', (kind) => {
  // The later version's migration counts routes up: a third row has as many as there can be.
  const rows = kind === sqlite ? plain(2) : forPostgres(plain(2))

  test('copies only what it has migrated, into a target that it migrates; this one then copies it no more', async () => {
    expect(added.length).toBeGreaterThan(0)
    await using source = await filled(await kind.open(), rows)
    await using target = await filled(await kind.open())
    expect(await said({ from: source.url, to: target.url })).toBe('@failed SCHEMA_MISMATCH')
    expect(await counts(target)).toEqual({ nodes: 0, policies: 0, path_cache: 0 })
    expect(await said({ migrate: source.url })).toBe('@ended')
    expect(await said({ from: source.url, to: target.url })).toBe('@ended')
    expect(await ownHash(target)).toBe(await ownHash(source))
    await using none = await sqlite.open()
    await expectCode(copyDatabase(source.url, none.url), 'SCHEMA_NEWER')
  })
})

describePostgres('a backup of PostgreSQL before a migration', () => {
  test('has the schema that the database has, and restores into either', async () => {
    using folder = temporaryFolder()
    await using source = await filled(await postgres.open(), forPostgres(plain(3)))
    await using program = backer.start([source.url])
    await until(program, '@ready')
    program.send(folder.file('old'))
    await until(program, '@done')
    expect(await verifyBackup(folder.file('old'))).toMatchObject({
      schemaVersion: TAGS.at(-1),
      tables: { nodes: { rows: 3 } },
    })
    await using again = await postgres.open()
    await copyDatabase(folder.file('old'), again.url)
    expect(await ownHash(again)).toBe(await ownHash(source))
  })
})
