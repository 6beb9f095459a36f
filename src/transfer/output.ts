/** Target of an export: a stream, or a file that gets its name when it is complete. */
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Writable } from 'node:stream'
import { finished, partialOf, sweepPartials } from '../backup/partial.ts'
import { StorageError } from '../errors.ts'
import { translatedFile, unusable } from '../files/file-errors.ts'
import { publish, refuseTaken } from '../files/publish.ts'

export interface Output {
  /** Resolves when the output accepts more. */
  write(text: string): Promise<void>
  finish(): Promise<void>
  /** Ends an incomplete output. */
  discard(): Promise<void>
}

/** Creates a file with mode 0600 at a free path. Throws CONFIG or STORAGE_FULL. */
export async function fileOutput(path: string): Promise<Output> {
  const file = resolve(path)
  // Sweep first: a complete file may still have its unfinished name.
  sweepPartials(file)
  refuseTaken(file)
  const partial = partialOf(file)
  const handle = await created(partial, file)
  let discarded = false
  const discard = async (): Promise<void> => {
    if (discarded) return
    discarded = true
    // Ignore errors: they must not hide the error that led here.
    await handle.close().catch(() => {})
    await rm(partial, { force: true }).catch(() => {})
    finished(partial)
  }
  return {
    write: async (text) => {
      await handle.appendFile(text).catch((error) => {
        throw translatedFile(error)
      })
    },
    finish: async () => {
      try {
        await handle.sync()
        publish(partial, file)
      } catch (error) {
        throw translatedFile(error)
      } finally {
        await discard()
      }
    },
    discard,
  }
}

async function created(partial: string, file: string): Promise<FileHandle> {
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    return await open(partial, 'wx', 0o600)
  } catch (cause) {
    throw unusable(`${file} cannot be created. Nothing was written. Check its folder, or name another file.`, cause)
  }
}

/** The reader closed the output early, as `head` does. */
export class OutputGone extends Error {
  readonly code = 'EPIPE'
}

/** Translates an error of a stream. The stream may be a file on a failing disk. */
function streamFailure(cause: Error): Error {
  if (!('code' in cause) || cause.code === 'EPIPE' || String(cause.code).startsWith('ERR_'))
    return new OutputGone(
      'The program that read the output has closed it. The output is not complete: run the command again.',
      { cause },
    )
  const failure = translatedFile(cause)
  if (!(failure instanceof StorageError)) return cause
  return new StorageError(failure.code, `The output is not complete. ${failure.message}`, { cause })
}

/** Writes to a stream. A slow reader holds it up. Throws OutputGone if the reader is gone, STORAGE_FULL for a full disk. */
export function streamOutput(stream: Writable): Output {
  let failure: Error | undefined
  let wake = (): void => {}
  // Keep this listener: without one, a late error would end the process.
  stream.on('error', (cause) => {
    failure = streamFailure(cause)
    wake()
  })
  stream.on('drain', () => wake())
  const write = async (text: string): Promise<void> => {
    if (failure === undefined && !stream.write(text)) {
      await new Promise<void>((resolve) => {
        wake = resolve
        if (failure !== undefined || !stream.writableNeedDrain) resolve()
      })
    }
    if (failure !== undefined) throw failure
  }
  return {
    write,
    finish: () =>
      new Promise((resolve, reject) => {
        wake = () => failure !== undefined && reject(failure)
        // The callback may get the error before the listener does.
        stream.write('', (error) => (error ? reject(failure ?? streamFailure(error)) : resolve()))
      }),
    discard: async () => {},
  }
}
