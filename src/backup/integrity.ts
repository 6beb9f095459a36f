import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'

/**
 * `integrity_check` is one call, which may take seconds: it runs on a thread of its own and does not block the event loop. The
 * thread's program does not use `require`, which `node --input-type=module --eval` lacks.
 */
const PROGRAM = `
const { parentPort, workerData } = process.getBuiltinModule('node:worker_threads')
const { createRequire } = process.getBuiltinModule('node:module')
const Sqlite = createRequire(workerData.driver)(workerData.driver)
const raw = new Sqlite(workerData.file, { readonly: true, fileMustExist: true })
try {
  raw.pragma('cell_size_check = ON')
  parentPort.postMessage(raw.pragma('integrity_check(1)', { simple: true }))
} catch {
  parentPort.postMessage('cannot be read')
} finally {
  raw.close()
}
`

/** Whether SQLite finds nothing wrong with the pages of a file. It does not find every flipped bit. */
export async function isSound(file: string): Promise<boolean> {
  // The thread gets its program as a text: a bundled application has no file of it.
  // `import.meta.url` is undefined in a CommonJS bundle.
  const driver = createRequire(import.meta.url ?? process.cwd()).resolve('better-sqlite3')
  const worker = new Worker(PROGRAM, { eval: true, workerData: { driver, file } })
  try {
    return await new Promise<boolean>((resolve, reject) => {
      worker.once('message', (found) => resolve(found === 'ok'))
      worker.once('error', reject)
      worker.once('exit', () => resolve(false))
    })
  } finally {
    await worker.terminate()
  }
}
