/** Processor time and memory of the processes that this one has started, as Linux counts them. */
import { readdirSync, readFileSync } from 'node:fs'

/** Clock ticks in a second. `getconf CLK_TCK` is 100 on every Linux that Node runs on. */
const TICK_MS = 10

interface Process {
  readonly id: number
  readonly parent: number
  /** Processor time of the process and of its children that have ended, in milliseconds. */
  readonly cpuMs: number
}

function processes(): Process[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1')
      // The name of the program comes before, in brackets, and may hold spaces.
      const fields = stat
        .slice(stat.lastIndexOf(')') + 2)
        .split(' ')
        .map(Number)
      const [parent = 0] = fields.slice(1)
      const cpuMs = fields.slice(11, 15).reduce((sum, ticks) => sum + ticks * TICK_MS, 0)
      return [{ id: Number(name), parent, cpuMs }]
    } catch {
      // It ended meanwhile.
      return []
    }
  })
}

/** The processes that this one started, and theirs, without `except`. */
function below(except: number | undefined): Process[] {
  const all = processes()
  const found = new Set([process.pid])
  for (const id of found) for (const each of all) if (each.parent === id && each.id !== except) found.add(each.id)
  found.delete(process.pid)
  return all.filter(({ id }) => found.has(id))
}

export interface Used {
  readonly cpuMs: number
  /** Proportional: memory that processes share is counted once. */
  readonly memoryBytes: number
}

/** Throws where there is no `/proc`. */
export function usedBelow(except: number | undefined): Used {
  const found = below(except)
  const memory = found.map(({ id }) => {
    try {
      const [, kib = 0] = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${id}/smaps_rollup`, 'latin1')) ?? []
      return Number(kib) * 1024
    } catch {
      return 0
    }
  })
  return {
    cpuMs: found.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
    memoryBytes: memory.reduce((sum, bytes) => sum + bytes, 0),
  }
}
