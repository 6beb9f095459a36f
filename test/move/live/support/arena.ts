/** Three processes on one file under load, and a target that notes who changes it: what a move is judged in. */
import { fileURLToPath } from 'node:url'
import { openMesh } from '../../../../examples/mesh-api/src/mesh-store.ts'
import { COMMAND } from '../../../../examples/mesh-api/test/support/child.ts'
import { ABILENE_FILE, abilene } from '../../../../examples/mesh-api/test/support/topologies.ts'
import { type MoveReport, openStorage, type StorageOptions } from '../../../../src/index.ts'
import { createDatabase, type TestDatabase } from '../../../postgres/support/database.ts'
import { Program } from '../../../sqlite/support/program.ts'
import type { Script } from '../../../sqlite/support/script.ts'
import { type TemporaryFolder, temporaryFolder } from '../../../support/folders.ts'
import { bundle, manyNodes, node, pathKey, policy } from '../../../support/samples.ts'
import { hashesAtTheSwitch, noteChanges } from './at-the-switch.ts'
import { HttpLoad } from './http-load.ts'
import { type Journal, SHARED } from './journal.ts'
import { judge, type Verdict } from './judge.ts'

const API = fileURLToPath(new URL('../programs/api.ts', import.meta.url))
/** From the source beside it, as the examples' own command. */
const apiProgram = (): Program => new Program(process.execPath, [...COMMAND.slice(0, 2), API])
/** Others may have the processors for seconds: that is no fault of the move. */
export const PATIENCE: Partial<StorageOptions> = { busyTimeoutMs: 60_000 }
export const ROWS = 1_500

export async function answerOf<T>(program: Program, order: unknown): Promise<T> {
  const { answer, error } = await program.ask<{ answer: T; error?: string }>(order)
  if (error !== undefined) throw new Error(error)
  return answer
}

export interface Place extends AsyncDisposable {
  readonly path: string
  readonly database: TestDatabase
}

export interface Ground {
  /** The server on which the database is made. */
  readonly server?: string
  readonly tablespace?: { readonly name: string; readonly location: string }
  /** The folder in which the file is made, which stays the caller's. */
  readonly folder?: TemporaryFolder
}

/** A file with rows, and an empty database. */
export async function place({ server, tablespace, folder: given }: Ground = {}): Promise<Place> {
  const folder = given ?? temporaryFolder()
  const path = folder.file('mesh.db')
  const database = await createDatabase(server, tablespace && { tablespace })
  await (await openStorage(database.url)).close()
  await noteChanges(database)
  await using store = await openStorage(path)
  await store.nodes.createMany([...manyNodes(ROWS, 'before'), ...SHARED.map((id) => node(id))])
  await store.policies.create(policy('before'))
  for (let n = 0; n < 100; n++) await store.pathCache.set(pathKey('before', `d-${n}`), bundle('before', `d-${n}`))
  return {
    path,
    database,
    [Symbol.asyncDispose]: async () => {
      await database[Symbol.asyncDispose]()
      if (given === undefined) folder[Symbol.dispose]()
    },
  }
}

export interface Fought {
  readonly report: MoveReport
  readonly journals: readonly Journal[]
  readonly dialects: readonly (string | undefined)[]
  /** How long the load runs. */
  readonly seconds: number
}

export class Arena implements AsyncDisposable {
  readonly #mover: Program
  readonly #follower: Program
  readonly #api: Program

  private constructor(serving: Script) {
    this.#mover = serving.start()
    this.#follower = serving.start()
    this.#api = apiProgram()
  }

  static async open(serving: Script): Promise<Arena> {
    const arena = new Arena(serving)
    for (const program of arena.#programs) await program.line()
    return arena
  }

  get #programs(): Program[] {
    return [this.#mover, this.#follower, this.#api]
  }

  /** Moves under load. */
  async move({ path, database }: Place, { seed, perSecond }: { seed: number; perSecond: number }): Promise<Fought> {
    const [url, successor] = [path, database.url]
    const each = Math.round(perSecond / 3)
    await answerOf(this.#mover, { open: { url, ...PATIENCE }, prefix: 'mover', seed, perSecond: each * 1.45 })
    const follower = {
      open: { url, successor, ...PATIENCE },
      prefix: 'follower',
      seed: seed + 1,
      perSecond: each * 1.45,
    }
    await answerOf(this.#follower, follower)
    const serve = { url, successor, ...PATIENCE }
    // The target has the tables of the mesh API, before the data comes.
    await (await openMesh({ url: successor })).close()
    const base = await answerOf<string>(this.#api, { serve, topology: ABILENE_FILE })
    const http = new HttpLoad(base, 'http', abilene().nodeIds)
    http.start(each * 1.4)
    const begun = performance.now()
    await this.#progress(100)
    const report = await answerOf<MoveReport>(this.#mover, { move: successor })
    await this.#progress(100)
    const seconds = (performance.now() - begun) / 1_000
    const journals = [await http.stop()]
    const dialects = [(await answerOf<{ dialect: string }>(this.#api, 'end')).dialect]
    for (const program of [this.#mover, this.#follower]) {
      const { journal, dialect } = await answerOf<{ journal: Journal; dialect: string }>(program, 'stop')
      journals.push(journal)
      dialects.push(dialect)
    }
    return { report, journals, dialects, seconds }
  }

  async #progress(writes: number): Promise<void> {
    await Promise.all([this.#mover, this.#follower].map((program) => answerOf(program, { progress: writes })))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#programs) await program.kill()
  }
}

const OTHERS = new Set<string>([...SHARED, ...abilene().nodeIds])
/** Rows that no journal tells of. */
export const isOther = (id: string): boolean => OTHERS.has(id) || /^before-\d+$|-(left|right)$/.test(id)

export interface Judged extends Verdict {
  readonly rejected: string[]
  readonly stale: string[]
  readonly hashes: Record<'file' | 'target', string>
}

export async function judged({ path, database }: Place, journals: readonly Journal[]): Promise<Judged> {
  return {
    ...(await judge(database, journals, isOther)),
    rejected: journals.flatMap(({ rejected }) => rejected),
    stale: journals.flatMap(({ stale }) => stale),
    hashes: await hashesAtTheSwitch(path, database),
  }
}
