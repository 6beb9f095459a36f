/** Replays everything that a place holds, from base to base. */
import { closeSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeBareTables } from '../backup/bare-tables.ts'
import { SIDECARS } from '../backup/new-file.ts'
import { BusyRetry } from '../database/sqlite/busy-retry.ts'
import { openConnection } from '../database/sqlite/raw-connection.ts'
import { StorageError } from '../errors.ts'
import { migrateSqlite } from '../migrator/apply-sqlite.ts'
import { type Generation, generationsIn } from './look.ts'
import { type Span, spansOf } from './moment.ts'
import { idOf, type Place } from './place.ts'
import { loadBase, type OnProgress, replay } from './replay.ts'
import { targetOn } from './sqlite-target.ts'
import { ownIn } from './tables.ts'

export interface Contents {
  readonly place: string
  readonly spans: readonly Span[]
  /** The parts that cannot be restored, with the reason. */
  readonly problems: readonly string[]
}

/** Lists the moments that can be restored. Reads only the segments at the ends. Throws CONFIG if the place holds no replica. */
export async function listMoments(place: Place): Promise<Contents> {
  const generations = await generationsOf(place)
  const problems = lostBases(generations)
  const spans = await spansOf(place, generations, (problem) => void problems.push(problem))
  return { place: place.name, spans, problems }
}

const lostBases = (generations: readonly Generation[]): string[] =>
  generations.flatMap(({ damaged }) => damaged.map((name) => `${name} is damaged: that base is lost.`))

async function generationsOf(place: Place): Promise<readonly Generation[]> {
  if ((await idOf(place)) === undefined)
    throw new StorageError('CONFIG', `${place.name} holds no replica. Look at its name.`)
  return generationsIn(place)
}

export interface Verified extends Contents {
  readonly segments: number
  readonly rows: number
  readonly bases: number
}

interface VerifyOptions {
  readonly onProgress?: OnProgress | undefined
  readonly signal?: AbortSignal | undefined
}

/** Reads every object, replays every segment, and compares every base with what was replayed up to it. */
export async function verifyPlace(place: Place, options: VerifyOptions = {}): Promise<Verified> {
  const generations = await generationsOf(place)
  // The replay names damaged segments.
  const spans = await spansOf(place, generations)
  const found = { place: place.name, spans, problems: lostBases(generations), segments: 0, rows: 0, bases: 0 }
  for (const generation of generations) {
    let reached = 0
    for (const base of generation.bases) {
      if (base.segment < reached) continue
      try {
        const done = await inScratch(async (raw) => {
          makeBareTables(raw, ownIn(base), base.appMigrations ?? [])
          const into = { target: targetOn(raw), ...options }
          return replay(place, generation, await loadBase(place, base, into), into)
        })
        found.segments += done.segments
        found.rows += done.rows
        found.bases += 1 + done.verified
        reached = Math.max(done.reached.segment, base.segment + 1)
        if (done.problem !== undefined) found.problems.push(done.problem)
      } catch (error) {
        if (!(error instanceof StorageError) || error.code !== 'BACKUP_INVALID') throw error
        found.problems.push(error.message)
        reached = base.segment + 1
      }
    }
  }
  return found
}

/** An empty database in a file that is deleted afterwards. */
async function inScratch<T>(work: (raw: ReturnType<typeof openConnection>) => Promise<T>): Promise<T> {
  const file = join(tmpdir(), `meshstore-verify-${crypto.randomUUID()}.sqlite`)
  closeSync(openSync(file, 'wx', 0o600))
  const raw = openConnection(file, { readOnly: false })
  try {
    raw.pragma('journal_mode = OFF')
    raw.pragma('synchronous = OFF')
    await migrateSqlite(raw, new BusyRetry(0))
    raw.exec('BEGIN')
    return await work(raw)
  } finally {
    raw.close()
    for (const end of ['', ...SIDECARS]) rmSync(file + end, { force: true })
  }
}
