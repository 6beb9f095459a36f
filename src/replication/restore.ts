/** Restores a moment of a place, by way of a backup. */
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import type { RestoreOptions, RestoreReport } from '../api.ts'
import { makeBareTables } from '../backup/bare-tables.ts'
import { manifestPath, manifestText, readManifest, withFile } from '../backup/manifest.ts'
import { newFile, SIDECARS } from '../backup/new-file.ts'
import { described } from '../backup/sqlite-backup.ts'
import { BusyRetry } from '../database/sqlite/busy-retry.ts'
import { forget, note } from '../database/sqlite/notes.ts'
import { openConnection } from '../database/sqlite/raw-connection.ts'
import { StorageError } from '../errors.ts'
import { machineTime } from '../event-loop.ts'
import { migrateSqlite } from '../migrator/apply-sqlite.ts'
import { databaseOf } from '../open/config.ts'
import { restoreBackup } from '../restore/restore.ts'
import { type Content, contentOf } from '../rows/content-hash.ts'
import { generationsIn } from './look.ts'
import { baseOf, lastUpTo, type Moment } from './moment.ts'
import { idOf, type Place } from './place.ts'
import { loadBase, type OnProgress, type Reached, type Replayed, replay } from './replay.ts'
import { targetOn } from './sqlite-target.ts'
import { ownIn } from './tables.ts'

export interface MomentOptions {
  /** Default: the newest. */
  readonly moment?: Moment | undefined
  readonly onReplay?: OnProgress | undefined
  readonly signal?: AbortSignal | undefined
}

export interface Replica extends Replayed {
  readonly file: string
  /** The moment that was asked for, if the place has nothing between the reached one and it. */
  readonly askedFor?: string
}

/** Writes a moment as a backup: one new file with its manifest. Throws CONFIG, BACKUP_INVALID and SCHEMA_NEWER. */
async function writeMoment(place: Place, path: string, options: MomentOptions = {}): Promise<Replica> {
  const id = await idOf(place)
  if (id === undefined) throw new StorageError('CONFIG', `${place.name} holds no replica. Look at its name.`)
  const { moment } = options
  const chosen = baseOf(await generationsIn(place), moment)
  const { generation: whole, base } = chosen
  const last = moment instanceof Date ? await lastUpTo(place, chosen, moment) : moment?.segment
  const segments = whole.segments.filter((segment) => last === undefined || segment <= last)
  const generation = { ...whole, segments }
  const file = resolve(path)
  let replayed: Replayed | undefined
  let content: Content | undefined
  await newFile(file, options.signal, {
    fill: async (partial) => {
      using raw = openConnection(partial, { readOnly: false })
      // Needs no journal: after a crash the file still has its unfinished name. It is synced when it is complete.
      raw.pragma('journal_mode = OFF')
      raw.pragma('synchronous = OFF')
      await migrateSqlite(raw, new BusyRetry(0))
      raw.exec('BEGIN')
      makeBareTables(raw, ownIn(base), base.appMigrations ?? [])
      note(raw, 'path_cache_invalidation', 'manual', machineTime())
      const into = { target: targetOn(raw), onProgress: options.onReplay, signal: options.signal }
      const loaded = await loadBase(place, base, into)
      replayed = await replay(place, generation, loaded, into)
      forget(raw, 'path_cache_invalidation')
      // A store on the restored database may continue shipping to this place.
      note(raw, `lineage:${id}`, JSON.stringify({ id: crypto.randomUUID(), takesOver: true }), machineTime())
      raw.exec('COMMIT')
      content = await contentOf(raw)
    },
    verify: (partial) => described(partial, content, new Date(atOf(replayed))),
    beside: (manifest) => ({ path: manifestPath(file), text: manifestText(manifest) }),
  })
  if (replayed === undefined) throw new TypeError('Nothing was replayed.')
  const isEnd = moment instanceof Date && segments.length === whole.segments.length && replayed.problem === undefined
  return { ...replayed, file, ...(isEnd && { askedFor: moment.toISOString() }) }
}

const atOf = (replayed: Replayed | undefined): string => replayed?.reached.at ?? new Date(0).toISOString()

export interface MomentReport extends RestoreReport {
  /** The moment that was asked for, if the place has nothing between the reached one and it. */
  readonly askedFor?: string
  readonly reached: Reached
  readonly segments: number
  readonly verified: number
  /** Why it ends before the moment that was asked for. */
  readonly problem?: string
}

/** Restores a moment into a SQLite file, or an empty PostgreSQL database. */
export async function restoreMoment(
  place: Place,
  url: string,
  options: MomentOptions & Pick<RestoreOptions, 'replace' | 'ignoreOtherTables' | 'onProgress'> = {},
): Promise<MomentReport> {
  const { replace, ignoreOtherTables, onProgress, signal } = options
  const target = databaseOf(url)
  if (target.dialect === 'sqlite' && target.path === ':memory:')
    throw new StorageError('CONFIG', 'A database in memory is gone with the process. Name a file.')
  const name = `.moment-${process.pid}-${crypto.randomUUID().slice(0, 8)}.sqlite`
  // Write the temporary files beside the target, on the same disk.
  const scratch =
    target.dialect === 'sqlite'
      ? join(dirname(resolve(target.path)), `${basename(target.path)}${name}`)
      : join(tmpdir(), `meshstore${name}`)
  try {
    const { reached, segments, verified, problem, askedFor } = await writeMoment(place, scratch, options)
    const manifest = withFile(scratch, readManifest(scratch))
    const report = await restoreBackup(scratch, url, { replace, ignoreOtherTables, onProgress, signal }, manifest)
    return {
      ...report,
      reached,
      segments,
      verified,
      ...(problem !== undefined && { problem }),
      ...(askedFor !== undefined && { askedFor }),
    }
  } finally {
    for (const end of ['', ...SIDECARS]) rmSync(scratch + end, { force: true })
    rmSync(manifestPath(scratch), { force: true })
  }
}
