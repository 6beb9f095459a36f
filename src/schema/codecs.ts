/**
 * Codecs between rows and drivers, the same for both dialects. Decoders validate: another program may have written the
 * value. Their errors say what was expected, and contain no value.
 */

/** A stored value that breaks the rules of its column. The row's decoder adds table, column and key. */
export class UndecodableValue extends Error {}

/**
 * The end of the year 9999, in seconds, and as far before the epoch. Other languages can hold this range, and doubles keep
 * each of its milliseconds, here and in SQL.
 */
export const MAX_EPOCH_SECONDS = 253_402_300_799

/** Exact seconds as stored: a `Date` holds the nearest millisecond. */
export class StoredTime {
  readonly seconds: number

  constructor(seconds: number) {
    this.seconds = seconds
  }
}

export const encodeTime = (time: Date | StoredTime): number =>
  time instanceof StoredTime ? time.seconds : time.getTime() / 1000

/** Seconds since the epoch, as REAL. Python writes microseconds; a `Date` holds the nearest millisecond. */
export function decodeTime(seconds: unknown): Date {
  if (typeof seconds !== 'number' || !(Math.abs(seconds) <= MAX_EPOCH_SECONDS)) throw new UndecodableValue('is no time')
  return new Date(Math.floor(seconds * 1000 + 0.5))
}

export const encodeFlag = (flag: boolean): number => (flag ? 1 : 0)

export function decodeFlag(value: unknown): boolean {
  if (value === 0 || value === false) return false
  if (value === 1 || value === true) return true
  throw new UndecodableValue('is neither 0 nor 1')
}

export function decodeText(value: unknown): string {
  if (typeof value !== 'string') throw new UndecodableValue('is no text')
  return value
}

export function decodeInteger(value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value)) throw new UndecodableValue('is no integer')
  return value
}

export function decodeReal(value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new UndecodableValue('is no finite number')
  return value
}

/** A value that is already JSON text. */
export class JsonText {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

export const encodeBundle = (bundle: unknown): string =>
  bundle instanceof JsonText ? bundle.text : JSON.stringify(bundle)

export const encodeJson = (value: unknown): string => JSON.stringify(value)

function decodeJson(value: unknown): unknown {
  try {
    return JSON.parse(decodeText(value))
  } catch {
    throw new UndecodableValue('is not valid JSON')
  }
}

export function checkStringList(value: unknown): string[] {
  if (!Array.isArray(value)) throw new UndecodableValue('is no JSON array')
  for (const item of value) if (typeof item !== 'string') throw new UndecodableValue('is no JSON array of strings')
  return value
}

export const decodeStringList = (value: unknown): string[] => checkStringList(decodeJson(value))

/** Checks the parts that the repositories use; the other parts of a bundle belong to the application. */
function checkBundle(value: unknown): object {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UndecodableValue('is no JSON object')
  return value
}

export const decodeBundle = (value: unknown): object => checkBundle(decodeJson(value))
