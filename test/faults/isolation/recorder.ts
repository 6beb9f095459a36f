/** Notes what calls came to, for the checker of rows. */
import { StorageError, type StorageErrorCode } from '../../../src/index.ts'
import type { RowStep, Seen } from './rows.ts'

export const ABSENT: Seen = { is: 'version', version: null }
export const exactly = (version: string): Seen => ({ is: 'version', version })

export class Recorder {
  readonly #steps: RowStep[]

  constructor(steps: RowStep[]) {
    this.#steps = steps
  }

  looked(call: string, row: string, saw: Seen): void {
    this.#steps.push({ call, row, saw })
  }

  saw(call: string, row: string, version: string | undefined): void {
    this.looked(call, row, version === undefined ? ABSENT : exactly(version))
  }

  present(call: string, row: string): void {
    this.looked(call, row, { is: 'present' })
  }

  wrote(call: string, row: string, wrote: string): void {
    this.#steps.push({ call, row, wrote })
  }

  deleted(call: string, rows: readonly string[], deleted: number, filtered = false): void {
    this.#steps.push({ call, rows, deleted, filtered })
  }

  changed(call: string, rows: readonly string[], changed: number, became: string, filtered: boolean): void {
    this.#steps.push({ call, rows, changed, became, filtered })
  }

  counted(call: string, rows: readonly string[], counted: number, filtered: boolean): void {
    this.#steps.push({ call, rows, counted, filtered })
  }
}

/** What a call that was undone says of its rows, as they were before it. */
export function seenIn(steps: readonly RowStep[]): RowStep[] {
  const written = new Set<string>()
  return steps.flatMap((step) => {
    const seen = 'row' in step && written.has(step.row) ? [] : seenOf(step)
    if ('wrote' in step) written.add(step.row)
    return seen
  })
}

/** A call that writes in any case says nothing. */
function seenOf(step: RowStep): RowStep[] {
  const call = `undone ${step.call}`
  if ('wrote' in step) {
    if (/create/.test(step.call)) return [{ call, row: step.row, saw: ABSENT }]
    return /update|recordRoutes/.test(step.call) ? [{ call, row: step.row, saw: { is: 'present' } }] : []
  }
  if ('deleted' in step) return [{ call, rows: step.rows, counted: step.deleted, filtered: step.filtered ?? false }]
  if ('changed' in step) return [{ call, rows: step.rows, counted: step.changed, filtered: step.filtered }]
  return [{ ...step, call }]
}

/** Returns undefined if the call was refused with this code. */
export async function unless<T>(code: StorageErrorCode, call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call()
  } catch (error) {
    codeOf(error, [code])
    return undefined
  }
}

/** Throws every other error. */
export function codeOf(error: unknown, codes: readonly StorageErrorCode[]): StorageErrorCode {
  if (error instanceof StorageError && codes.includes(error.code)) return error.code
  throw error
}
