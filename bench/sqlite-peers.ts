/** The peers on SQLite. */
import { type Contestant, contestant, type SqlitePeerModule } from './peer.ts'
import { python } from './python.ts'
import type { Durability } from './raw-store.ts'

export interface Entry {
  readonly name: string
  /** Its file in `peers/sqlite/`. */
  readonly file: string
}

/** The first is the one that the others are compared with. */
export const SQLITE_PEERS: readonly Entry[] = [
  { name: 'meshstore', file: 'meshstore.ts' },
  { name: 'better-sqlite3', file: 'raw.ts' },
  { name: 'Drizzle', file: 'drizzle.ts' },
  { name: 'Drizzle, prepared', file: 'drizzle-prepared.ts' },
  { name: 'Kysely', file: 'kysely.ts' },
  { name: 'Prisma', file: 'prisma.ts' },
  { name: 'TypeORM', file: 'typeorm.ts' },
  { name: 'Python sqlite3', file: 'python.py' },
]

export const peerUrl = (file: string): string => new URL(`./peers/sqlite/${file}`, import.meta.url).href

/** Rejects where its package is not installed. */
export async function enter({ name, file }: Entry, database: string, durability: Durability): Promise<Contestant> {
  if (file.endsWith('.py')) return python(name, database, durability)
  const { open }: SqlitePeerModule = await import(peerUrl(file))
  return contestant(name, await open(database, durability))
}
