/** The figures of a run that the table in docs/guarantees.md shows. */
import { onTestFinished } from 'vitest'

declare module 'vitest' {
  interface TaskMeta {
    /** The figures of a case. */
    shown?: string[]
  }
}

/** Inside of a test. A case may show several things. */
export function shows(text: string): void {
  onTestFinished(({ task: { meta } }) => {
    meta.shown = [...(meta.shown ?? []), text]
  })
}

/** Loudly: whoever reads the output must not take it for tested. */
export function notTested(what: string, why: string): void {
  console.warn(`\n*** NOT TESTED: ${what}. ${why} ***\n`)
}
