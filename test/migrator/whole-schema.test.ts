/** A database made from drizzle/*.sql, or by `drizzle-kit push`, is taken over by `meshstore migrate adopt`. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { drizzleConfig } from '../../src/drizzle-config.ts'
import { openStorage } from '../../src/index.ts'
import { adopt, inspect, up } from '../../src/open/migrate.ts'
import { type Dialect, root, run } from '../schema/tree-copy.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { TAGS } from '../support/tags.ts'
import { eachDialect, type Scratch } from './support/databases.ts'

const wholeSchema = (dialect: Dialect): string => readFileSync(join(root, `drizzle/${dialect}.sql`), 'utf8')

/** With a configuration of the application's own, which names our schema. */
async function push({ dialect, url }: Scratch): Promise<void> {
  using folder = temporaryFolder()
  const { schema, dbCredentials } = drizzleConfig(url)
  const config = folder.file('drizzle.config.json')
  writeFileSync(config, JSON.stringify({ dialect, schema, dbCredentials }))
  const args = ['push', '--force', `--config=${config}`]
  const { code, stdout, stderr } = await run(root, 'node_modules/drizzle-kit/bin.cjs', args)
  if (code !== 0 || !stdout.includes('Changes applied')) throw new Error(`${stdout}\n${stderr}`)
}

/** SQLite keeps the text of each definition: `ALTER TABLE … ADD` leaves other spaces in it. */
const withoutLedger = async (scratch: Scratch): Promise<Set<string>> =>
  new Set(
    (await scratch.catalog())
      .filter((part) => !part.includes('__drizzle_migrations'))
      .map((part) => part.replaceAll(/\s*([,()])\s*/g, '$1')),
  )

eachDialect('an empty database', (dialect, make) => {
  test('with the whole schema applied is as the migrations make it, and adopt records them all', async () => {
    await using scratch = await make()
    await scratch.query(wholeSchema(dialect))
    const { message } = await expectCode(openStorage(scratch.url), 'SCHEMA_MISMATCH')
    expect(message).toContain('meshstore migrate adopt')
    expect(await adopt(scratch.url)).toEqual({ recorded: TAGS, repaired: [], applied: [], pending: [] })
    expect(await inspect(scratch.url)).toMatchObject({ state: 'current', drift: [], others: [] })
    await (await openStorage(scratch.url)).close()

    await using migrated = await make()
    await up(migrated.url)
    expect(await withoutLedger(scratch)).toEqual(await withoutLedger(migrated))
  })

  test('that drizzle-kit push has filled gets its triggers by adopt, and follows changes from then on', async () => {
    await using scratch = await make()
    await push(scratch)
    const { message } = await expectCode(openStorage(scratch.url), 'SCHEMA_MISMATCH')
    expect(message).toContain('meshstore migrate adopt')
    const { recorded, repaired } = await adopt(scratch.url)
    expect(recorded).toEqual(TAGS)
    expect(repaired.map(({ what }) => what)).toContain('trigger nodes_mark_update')
    expect(await inspect(scratch.url)).toMatchObject({ state: 'current', drift: [], others: [] })

    await using store = await openStorage(scratch.url)
    await store.nodes.create({ nodeId: 'b', interfaces: [], protocols: [], started: true })
    const key = { source: 'a', destination: 'c', k: 1 }
    const primary = [{ nodes: ['a', 'b', 'c'] }]
    await store.pathCache.set(key, { source: 'a', destination: 'c', primary })
    await using changes = store.changes()
    await changes.ready()
    await store.nodes.update('b', { started: false })
    expect(await store.pathCache.get(key)).toBeUndefined()
    expect((await changes.next()).value).toBeDefined()
  })
})
