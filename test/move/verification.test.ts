/** The rows that arrived are compared with those sent, before the commit. */
import type { Plugin } from 'rolldown'
import { describe, expect, test } from 'vitest'
import { copyDatabase, openStorage } from '../../src/index.ts'
import { Script } from '../sqlite/support/script.ts'
import { expectCode } from '../support/expectations.ts'
import { until } from './support/copier.ts'
import { counts, filled, type Kind, kinds, ownHash, type Place, sqlite, TABLES } from './support/places.ts'
import { plain } from './support/rows.ts'

/** Triggers of others' in the target. They are as deep down as a disk that changes a bit, and easier to have. */
const MEDDLING: Readonly<Record<string, Readonly<Record<Kind['dialect'], string>>>> = {
  'changes the last bits of a time': {
    sqlite: `CREATE TRIGGER meddling AFTER INSERT ON nodes WHEN new.node_id = 'n-7' BEGIN
      UPDATE nodes SET created_at = created_at + 0.0000005 WHERE node_id = 'n-7'; END`,
    postgresql: `CREATE FUNCTION meddling() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NEW.node_id = 'n-7' THEN NEW.created_at = NEW.created_at + 0.0000005; END IF; RETURN NEW; END $$;
      CREATE TRIGGER meddling BEFORE INSERT ON nodes FOR EACH ROW EXECUTE FUNCTION meddling()`,
  },
  'keeps out a row': {
    sqlite: `CREATE TRIGGER meddling BEFORE INSERT ON policies WHEN new.policy_id = 'p-7' BEGIN
      SELECT RAISE(IGNORE); END`,
    postgresql: `CREATE FUNCTION meddling() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NEW.policy_id = 'p-7' THEN RETURN NULL; END IF; RETURN NEW; END $$;
      CREATE TRIGGER meddling BEFORE INSERT ON policies FOR EACH ROW EXECUTE FUNCTION meddling()`,
  },
  'adds a blank to a text': {
    sqlite: `CREATE TRIGGER meddling AFTER INSERT ON path_cache WHEN new.source = 's-7' BEGIN
      UPDATE path_cache SET bundle_json = bundle_json || ' ' WHERE source = 's-7'; END`,
    postgresql: `CREATE FUNCTION meddling() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NEW.source = 's-7' THEN NEW.bundle_json = NEW.bundle_json || ' '; END IF; RETURN NEW; END $$;
      CREATE TRIGGER meddling BEFORE INSERT ON path_cache FOR EACH ROW EXECUTE FUNCTION meddling()`,
  },
}

async function meddledWith(kind: Kind, how: string): Promise<Place> {
  const target = await filled(await kind.open())
  await target.other.execute(MEDDLING[how]?.[kind.dialect] ?? '')
  return target
}

const planted = { count: 0 }
/** Commits without having looked. */
const hasty: Plugin = {
  name: 'hasty',
  transform(code, id) {
    if (!id.endsWith('/src/move/copy.ts')) return
    const call = /await assertSame\(.*?\n?.*?\)\n/s
    if (!call.test(code)) throw new Error('There is no place to plant the mistake in.')
    planted.count++
    return code.replace('await assertSame(', 'await (async (..._: unknown[]) => {})(')
  },
}
const script = await Script.bundle(new URL('programs/copier.ts', import.meta.url), hasty)

describe.each(kinds)('into $name, where a trigger', (kind) => {
  test.each(Object.keys(MEDDLING))('%s: found, and nothing is there', async (how) => {
    await using source = await filled(await sqlite.open(), plain(20))
    await using target = await meddledWith(kind, how)
    const { message } = await expectCode(copyDatabase(source.url, target.url), 'CONFLICT')
    expect(message).toMatch(/ (nodes|policies|path_cache) /)
    expect(await counts(target)).toEqual({ nodes: 0, policies: 0, path_cache: 0 })
  })

  test.each(Object.keys(MEDDLING))('%s: a copy that does not look is found by the hash of these tests', async (how) => {
    await using source = await filled(await sqlite.open(), plain(20))
    await using target = await meddledWith(kind, how)
    await using program = script.start()
    await until(program, '@ready')
    program.send({ from: source.url, to: target.url })
    await until(program, '@ended')
    expect(planted.count).toBe(1)
    expect(await ownHash(target)).not.toBe(await ownHash(source))
    const same = await Promise.all(
      TABLES.map(async (table) => (await ownHash(target, [table])) === (await ownHash(source, [table]))),
    )
    expect(same.filter((each) => !each)).toHaveLength(1)
  })

  test('does nothing: the application goes on with what was copied', async () => {
    await using source = await filled(await sqlite.open(), plain(20))
    await using target = await kind.open()
    await copyDatabase(source.url, target.url)
    await using store = await openStorage({ url: target.url, migrate: 'check' })
    const before = await store.nodes.get('n-7')
    expect(await store.nodes.update('n-7', { started: false })).toMatchObject({ createdAt: before?.createdAt })
    expect(await store.nodes.delete('n-8')).toBe(true)
    expect(await store.policies.count()).toBe(20)
  })
})
