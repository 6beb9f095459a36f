/** Health report of a store. */
import type { Health } from './api.ts'
import type { Database } from './database/session.ts'
import { StorageError } from './errors.ts'
import { performance } from './event-loop.ts'
import { remember, remembered } from './repositories/state.ts'

/** Prefix in the note of the last backup: the tables that the backup leaves out follow. */
export const WITHOUT = ' without '

interface Asked {
  readonly database: Database
  readonly now: () => Date
  readonly readOnly: boolean
  /** Errors of the background jobs, by the job's name. */
  readonly failures: Readonly<Record<string, unknown>>
}

/** Never rejects. */
export async function healthOf({ database, now, readOnly, failures }: Asked): Promise<Health> {
  const problems: { code: string; message: string }[] = []
  const probe = async (action: () => Promise<unknown>): Promise<{ works: boolean; milliseconds: number }> => {
    const begun = performance.now()
    try {
      await action()
      return { works: true, milliseconds: performance.now() - begun }
    } catch (error) {
      problems.push(problemOf(error))
      return { works: false, milliseconds: performance.now() - begun }
    }
  }
  let lastBackup: Date | undefined
  const read = await probe(async () => {
    const found = await remembered(database, 'last_backup')
    lastBackup = found?.updatedAt
    const [, without] = found?.value.split(WITHOUT) ?? []
    if (without !== undefined)
      problems.push({
        code: 'SCHEMA_MISMATCH',
        message: `The last backup is without the application's own tables: ${without}. No backup was made of them: make one by other means.`,
      })
  })
  const schema = read.works ? await database.schemaProblem().catch((error: unknown) => error) : undefined
  if (schema !== undefined) problems.push(problemOf(schema))
  const settings = read.works ? await database.settingsProblems().catch(() => []) : []
  for (const message of settings) problems.push({ code: 'CONFIG', message })
  const write = readOnly
    ? { works: false, milliseconds: 0 }
    : await probe(() => remember(database, { name: 'last_health_check', value: '', updatedAt: now() }))
  const own = read.works ? await database.problem().catch(() => undefined) : undefined
  if (own !== undefined) problems.push(own)
  for (const [what, failure] of Object.entries(failures)) {
    if (failure === undefined) continue
    const { code, message } = problemOf(failure)
    problems.push({ code, message: `The ${what} failed: ${message}` })
  }
  return {
    canRead: read.works,
    canWrite: write.works,
    readMs: read.milliseconds,
    writeMs: write.milliseconds,
    lastBackup,
    problems,
  }
}

function problemOf(error: unknown): { code: string; message: string } {
  if (error instanceof StorageError) return { code: error.code, message: error.message }
  return {
    code: 'UNAVAILABLE',
    message: 'The database did not answer. Nothing was written. Check the server, or the disk.',
  }
}
