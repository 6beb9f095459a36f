/** Splits bytes into numbered lines. A line that is too long is not held in memory. */
import { StorageError } from '../errors.ts'

export interface Line {
  /** Counted from 1, as in editors. */
  readonly number: number
  readonly text: string
}

export interface BadLine {
  readonly number: number
  readonly problem: string
}

const LF = 0x0a
const CR = 0x0d
const BOM = '\ufeff'
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The line's text, without a byte-order mark; `undefined` if it is no UTF-8. */
export function decoded(bytes: Uint8Array, number: number): string | undefined {
  try {
    const text = utf8.decode(bytes)
    return number === 1 && text.startsWith(BOM) ? text.slice(1) : text
  } catch {
    return undefined
  }
}

/** Splits at LF or CRLF. Counts blank lines, and leaves them out. */
export async function* linesOf(bytes: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Line | BadLine> {
  let parts: Buffer[] = []
  let length = 0
  let number = 1
  const add = (part: Buffer): void => {
    length += part.length
    if (length <= maxBytes) parts.push(part)
    else parts = []
  }
  const end = (): Line | BadLine | undefined => {
    const line = length > maxBytes ? tooLong(number, maxBytes) : lineOf(Buffer.concat(parts), number)
    parts = []
    length = 0
    number++
    return line
  }
  for await (const chunk of bytes) {
    let from = 0
    for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, from)) {
      add(chunk.subarray(from, at))
      from = at + 1
      const line = end()
      if (line !== undefined) yield line
    }
    if (from < chunk.length) add(chunk.subarray(from))
  }
  const line = end()
  if (line !== undefined) yield line
}

const tooLong = (number: number, maxBytes: number): BadLine => ({
  number,
  problem: `is longer than ${maxBytes} bytes`,
})

function lineOf(bytes: Buffer, number: number): Line | BadLine | undefined {
  const text = decoded(bytes.at(-1) === CR ? bytes.subarray(0, -1) : bytes, number)
  if (text === undefined) return { number, problem: 'is no UTF-8' }
  return text.trim() === '' ? undefined : { number, text }
}

/** Reads ahead to the first line's end, or to `most` bytes. Returns this beginning, and all bytes with it. */
export async function peeked(
  bytes: AsyncIterable<Buffer>,
  most: number,
): Promise<{ beginning: Buffer; bytes: AsyncGenerator<Buffer> }> {
  const iterator = bytes[Symbol.asyncIterator]()
  const chunks: Buffer[] = []
  let length = 0
  while (length < most) {
    const { value, done } = await iterator.next()
    if (done === true) break
    chunks.push(value)
    length += value.length
    if (hasLine(value)) break
  }
  async function* again(): AsyncGenerator<Buffer> {
    yield* chunks.splice(0)
    yield* { [Symbol.asyncIterator]: () => iterator }
  }
  return { beginning: Buffer.concat(chunks).subarray(0, most), bytes: again() }
}

/** Whether the chunk has a complete line that is not blank. */
const hasLine = (chunk: Buffer): boolean => {
  const at = chunk.lastIndexOf(LF)
  return at >= 0 && chunk.subarray(0, at).some((byte) => byte > 0x20)
}

/** Reads the whole input as text. Throws VALIDATION if it is too long, or no UTF-8. */
export async function wholeText(bytes: AsyncIterable<Buffer>, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of bytes) {
    length += chunk.length
    if (length > maxBytes)
      throw new StorageError(
        'VALIDATION',
        `A NetJSON document must not be larger than ${maxBytes} bytes. Nothing was imported. Split the file.`,
      )
    chunks.push(chunk)
  }
  const text = decoded(Buffer.concat(chunks), 1)
  if (text === undefined)
    throw new StorageError('VALIDATION', 'The file is no UTF-8. Nothing was imported. Convert it to UTF-8.')
  return text
}
