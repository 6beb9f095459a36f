/** What the table in docs/guarantees.md shows of a run. */
import type { RunnerTask } from 'vitest'

declare module 'vitest' {
  interface TaskMeta {
    /** What a case has to show for itself. */
    shown?: string
    /** What could not be tested on this machine, and why. */
    notTested?: string
  }
}

export function shows(task: Pick<RunnerTask, 'meta'>, text: string): void {
  task.meta.shown = text
}

/** Loudly: whoever reads the output must not take it for tested. */
export function notTested(what: string, why: string): void {
  console.warn(`\n*** NOT TESTED: ${what}. ${why} ***\n`)
}
