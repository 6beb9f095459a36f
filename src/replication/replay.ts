/** Replays a base and the segments after it into a database. */
import { StorageError } from '../errors.ts'
import type { Table } from '../schema/tables.ts'
import type { BaseManifest } from './base.ts'
import type { At } from './generation.ts'
import { type Generation, readSegment } from './look.ts'
import { manifestName, partName, segmentName } from './names.ts'
import { linesOf, opened, type PartHeader } from './object.ts'
import { damaged, type Place } from './place.ts'
import { assertKnownColumns, tablesOf } from './tables.ts'
import { applyLines, type ReplicaTarget } from './target.ts'

/** Objects that are read ahead: a bucket answers after tens of milliseconds. */
const AHEAD = 8

export interface Reached extends At {
  /** The moment of the state. */
  readonly at: string
  readonly schema: string
}

/** Rows of the base, then segments. */
export type OnProgress = (progress: {
  readonly step: 'loading' | 'replaying'
  readonly done: number
  readonly total: number
}) => void

interface Into {
  readonly target: ReplicaTarget
  readonly onProgress?: OnProgress | undefined
  readonly signal?: AbortSignal | undefined
}

/** Makes the target's rows those of the base. Throws BACKUP_INVALID if they are not what the source's were. */
export async function loadBase(place: Place, manifest: BaseManifest, into: Into): Promise<Reached> {
  const { generation, segment, hash, at, schema } = manifest
  const { target, onProgress, signal } = into
  const tables = tablesOf(manifest)
  const total = Object.values(manifest.tables).reduce((sum, { rows }) => sum + rows, 0)
  let done = 0
  let last: string | undefined
  let current: Table | undefined
  const end = async (): Promise<void> => {
    if (current !== undefined) await target.removeBetween(current, { after: last, upTo: undefined }, [])
  }
  const seen = new Set<Table>()
  for (const [part, expected] of manifest.parts.entries()) {
    signal?.throwIfAborted()
    const name = partName(generation, segment, part)
    const bytes = await place.get(name)
    if (bytes === undefined)
      throw new StorageError(
        'BACKUP_INVALID',
        `${place.name}/${name} is missing: the base must not be used. Restore an earlier moment.`,
      )
    const { header, hash: found, body } = await opened<PartHeader>(bytes, name, 'meshstore-base')
    if (found !== expected) throw damaged(name)
    assertKnownColumns(header.tables, tables, name)
    for await (const lines of linesOf(body, name)) {
      for (const table of tables) {
        const own = lines.filter((line) => line.table === table.name)
        if (own.length === 0) continue
        if (table !== current) {
          await end()
          current = table
          last = undefined
          seen.add(table)
        }
        const keys = own.map((line) => ('cells' in line ? String(line.cells[table.columns.indexOf(table.key)]) : ''))
        await target.removeBetween(table, { after: last, upTo: keys.at(-1) }, keys)
        last = keys.at(-1)
        await applyLines(target, [table], own)
      }
      done += lines.length
      onProgress?.({ step: 'loading', done, total })
    }
  }
  await end()
  for (const table of tables)
    if (!seen.has(table)) await target.removeBetween(table, { after: undefined, upTo: undefined }, [])
  await assertContent(manifest, into)
  return { generation, segment, hash, at, schema }
}

/** Compares every row with what the source had. Throws BACKUP_INVALID. */
export async function assertContent(manifest: BaseManifest, { target }: Into): Promise<void> {
  const { generation, segment } = manifest
  const tables = tablesOf(manifest)
  for (const [name, expected] of Object.entries(manifest.tables)) {
    const table = tables.find((each) => each.name === name)
    if (table === undefined) continue
    const found = await target.content(table)
    if (found.rows === expected.rows && found.sha256 === expected.sha256) continue
    throw new StorageError(
      'BACKUP_INVALID',
      `${name} as of ${manifestName(generation, segment)} is not what the source had: nothing of it may be trusted. Restore an earlier moment.`,
    )
  }
}

export interface Replayed {
  readonly reached: Reached
  readonly segments: number
  readonly rows: number
  /** Bases whose hashes were compared on the way. */
  readonly verified: number
  /** Why it ended before the moment that was asked for. */
  readonly problem?: string
}

/** Applies the generation's segments after `from`. Damage ends it, and is named. */
export async function replay(
  place: Place,
  { generation, segments, bases }: Generation,
  from: Reached,
  into: Into,
): Promise<Replayed> {
  const proofs = new Map(bases.map((base) => [base.segment, base]))
  const todo = segments.filter((segment) => segment > from.segment)
  const reading = new Map<number, ReturnType<typeof readSegment>>()
  const ahead = (index: number): void => {
    for (const segment of todo.slice(index, index + AHEAD)) {
      if (reading.has(segment)) continue
      const read = readSegment(place, generation, segment)
      // Mark the rejection as handled: the `await` below throws it.
      read.catch(() => {})
      reading.set(segment, read)
    }
  }
  let reached = from
  let rows = 0
  let done = 0
  let verified = 0
  const stopped = (problem: string): Replayed => ({
    reached,
    segments: done,
    rows,
    verified,
    problem: `${problem} Everything up to ${reached.at} is here; what was committed later is not.`,
  })
  for (const [index, segment] of todo.entries()) {
    into.signal?.throwIfAborted()
    ahead(index)
    const name = segmentName(generation, segment)
    if (segment !== reached.segment + 1) return stopped(`${segmentName(generation, reached.segment + 1)} is missing.`)
    try {
      const found = await reading.get(segment)
      reading.delete(segment)
      if (found === undefined) return stopped(`${name} is missing.`)
      const { header, hash, body } = found
      if (header.prev !== reached.hash || header.segment !== segment)
        return stopped(`${name} does not follow the segment before it.`)
      const next = { generation, segment, hash, at: header.at, schema: header.schema }
      const tables = tablesOf(header)
      assertKnownColumns(header.tables, tables, name)
      for await (const lines of linesOf(body, name)) {
        await applyLines(into.target, tables, lines)
        rows += lines.length
      }
      reached = next
      done++
      into.onProgress?.({ step: 'replaying', done, total: todo.length })
    } catch (error) {
      if (error instanceof StorageError && error.code === 'BACKUP_INVALID') return stopped(error.message)
      throw error
    }
    const proof = proofs.get(segment)
    if (proof === undefined || proof.hash !== reached.hash) continue
    await assertContent(proof, into)
    verified++
  }
  return { reached, segments: done, rows, verified }
}
