/** Queries and checks of an application's own, on the tables of `meshstore/schema` and the schemas of `meshstore/zod`. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { openStorage } from 'meshstore'
import config, { drizzleConfig } from 'meshstore/drizzle-config'
import { postgres, sqlite } from 'meshstore/schema'
import { newMeshNodeSchema } from 'meshstore/zod'

const folder = await mkdtemp(join(tmpdir(), 'meshstore-consumer-'))
try {
  const file = join(folder, 'mesh.db')
  const store = await openStorage(file)
  await store.nodes.create({ nodeId: 'gw-1', interfaces: ['eth0'], protocols: ['batman-adv'] })
  await store.close()

  const driver = new Database(file)
  const { nodes } = sqlite
  const rows = drizzle(driver)
    .select({ interfaces: nodes.interfaces })
    .from(nodes)
    .where(eq(nodes.nodeId, 'gw-1'))
    .all()
  assert.deepEqual(rows, [{ interfaces: ['eth0'] }])
  driver.close()
} finally {
  await rm(folder, { recursive: true })
}
assert.equal(postgres.nodes.nodeId.name, 'node_id')
assert.equal(newMeshNodeSchema.safeParse({ nodeId: '', interfaces: [], protocols: [] }).success, false)
assert.equal(newMeshNodeSchema.safeParse({ nodeId: 'a', interfaces: [], protocols: [] }).success, true)

assert.equal(config.dialect, 'sqlite')
for (const { schema, out } of [config, drizzleConfig('postgres://localhost/mesh')]) {
  assert.ok(existsSync(schema), schema)
  assert.ok(existsSync(join(out, 'meta/_journal.json')), out)
}

const require = createRequire(import.meta.url)
assert.equal(require('meshstore/schema').sqlite.nodes, sqlite.nodes)
assert.equal(require('meshstore/drizzle-config').default, config)
// Everything else is the package's own business.
for (const inside of ['meshstore/dist/index.js', 'meshstore/migrations/sqlite/meta/_journal.json']) {
  await assert.rejects(import(inside), { code: 'ERR_PACKAGE_PATH_NOT_EXPORTED' })
}
// The driver is found, even if no server is.
await assert.rejects(openStorage('postgres://127.0.0.1:1/mesh'), { code: 'UNAVAILABLE' })
console.log(`meshstore/schema, meshstore/zod and meshstore/drizzle-config work on Node ${process.versions.node}`)
