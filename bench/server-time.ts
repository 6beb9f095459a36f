/** The processor time of a PostgreSQL server's processes, where it runs on this machine and Linux says it. */
import { readdirSync, readFileSync } from 'node:fs'
import pg from 'pg'
import type { Server } from './postgres-server.ts'

/** The process id of the server's main process; `undefined`: its times cannot be read here. */
export async function mainProcessOf(server: Server): Promise<number | undefined> {
  const client = new pg.Client(server.url(''))
  await client.connect()
  try {
    const { rows } = await client.query<[string]>({ text: "SELECT pg_read_file('postmaster.pid')", rowMode: 'array' })
    const main = Number(rows[0]?.[0].split('\n')[0])
    return serverTime(main) > 0 ? main : undefined
  } catch {
    return undefined
  } finally {
    await client.end()
  }
}

/** Microseconds of all processes that run now: ask while the same connections are open. */
export const serverTime = (main: number): number =>
  timeOf(main) + childrenOf(main).reduce((sum, pid) => sum + timeOf(pid), 0)

/** The first figure of `schedstat` is the time on a processor, in nanoseconds. */
function timeOf(pid: number | string): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1_000
  } catch {
    return 0
  }
}

const childrenOf = (main: number): string[] =>
  readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && parentOf(pid) === main)

function parentOf(pid: string): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')')).split(' ')[2])
  } catch {
    return 0
  }
}
