import { createHash } from 'node:crypto'
import type { Repositories } from '../../src/index.ts'
import type { OpenStore } from './backends.ts'
import { all } from './expectations.ts'
import type { OtherProgram, Table, Value } from './other-program.ts'

const TABLES: readonly Table[] = ['nodes', 'policies', 'path_cache']

/** All that the repositories show, in their order. */
export async function dump({ nodes, policies, pathCache }: Repositories) {
  const texts = []
  for (const { policyId } of await all(policies.iterate())) texts.push(await policies.get(policyId))
  return { nodes: await all(nodes.iterate()), policies: texts, pathCache: await all(pathCache.iterate()) }
}

/** A hash over every stored value, to the bit, read past the library. */
export async function contentHash({ other }: Pick<OpenStore, 'other'>): Promise<string> {
  return createHash('sha256')
    .update(await rawContent(other))
    .digest('hex')
}

async function rawContent(other: OtherProgram): Promise<string> {
  const tables = []
  for (const table of TABLES) {
    const rows = await other.rows(table)
    tables.push([table, rows.map((row) => Object.entries(row).map(([column, value]) => [column, exact(value)]))])
  }
  return JSON.stringify(tables)
}

/** With its type, and a number with all of its bits. */
function exact(value: Value): string {
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleBE(value)
    return `number ${bytes.toString('hex')}`
  }
  return Buffer.isBuffer(value) ? `blob ${value.toString('hex')}` : `${typeof value} ${value}`
}
