/** Everything that anybody might print of what the library hands out. */
import { inspect } from 'node:util'

/** Frames name files and functions, and no values. */
const FRAMES = /^[ ']*at .*$/gm
const WHOLE = {
  depth: Number.POSITIVE_INFINITY,
  showHidden: true,
  getters: true,
  maxArrayLength: null,
  maxStringLength: null,
}

export function textOf(value: unknown): string {
  const texts = [inspect(value, WHOLE), json(value)]
  for (let error = value, depth = 0; error instanceof Error && depth < 20; error = error.cause, depth++) {
    texts.push(error.message, String(error), error.stack ?? '', json(error, Object.getOwnPropertyNames(error)))
  }
  return texts.join('\n').replaceAll(FRAMES, '')
}

function json(value: unknown, names?: string[]): string {
  try {
    return JSON.stringify(value, names) ?? ''
  } catch {
    // A value that JSON cannot hold shows nothing this way.
    return ''
  }
}

/** How a string may look in a text: as it is, and escaped. */
export function formsOf(value: string): readonly string[] {
  const escaped = JSON.stringify(value).slice(1, -1)
  return escaped === value ? [value] : [value, escaped]
}

/** How an inspection shows its bytes. */
export const bytesOf = (value: string): string =>
  Buffer.from(value)
    .toString('hex')
    .replace(/(..)(?=.)/g, '$1 ')
