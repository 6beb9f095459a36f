import pg from 'pg'
import type { PostgresServer } from '../../support/postgres-server.ts'

/** Then it goes on by itself, so that whoever waits for it for ever comes to an end, and fails. */
const LONGEST_MS = 20_000

/** Stops all of the server's processes where they are, until it is disposed of: `using frozen = await freeze(server)`. */
export async function freeze(server: PostgresServer, longestMs = LONGEST_MS): Promise<Disposable> {
  const client = new pg.Client(server.url('postgres'))
  await client.connect()
  const { rows } = await client.query<{ pid: number }>('SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()')
  await client.end()
  // The main process first: it would start new ones.
  const pids = [server.pid(), ...rows.map(({ pid }) => pid)]
  const stopped = pids.filter((pid) => signalled(pid, 'SIGSTOP'))
  const goOn = (): void => {
    for (const pid of stopped.splice(0).toReversed()) signalled(pid, 'SIGCONT')
  }
  const timer = setTimeout(goOn, longestMs)
  return {
    [Symbol.dispose]: () => {
      clearTimeout(timer)
      goOn()
    },
  }
}

/** `false` for a process that has ended meanwhile. */
function signalled(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal)
    return true
  } catch {
    return false
  }
}
