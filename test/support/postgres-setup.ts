/**
 * Starts one PostgreSQL server for the whole run. `TEST_POSTGRES_URL` names one that is there, and may create databases;
 * `DIALECTS=sqlite` asks for SQLite alone. Without either, a server that cannot be had fails the run.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { PREPARED, preparePostgres, startPostgres } from './postgres-server.ts'
import { QUICK } from './quick.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** The server's URL with its administrator's database; empty for SQLite alone. */
    postgresUrl: string
  }
}

export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if (process.env.DIALECTS === 'sqlite') {
    console.warn('\n!! DIALECTS=sqlite: nothing is tested on PostgreSQL in this run.\n')
    project.provide('postgresUrl', '')
    return undefined
  }
  const existing = process.env.TEST_POSTGRES_URL
  if (existing !== undefined) {
    project.provide('postgresUrl', existing)
    return undefined
  }
  const prepared = mkdtempSync(join(QUICK, 'meshstore-prepared-'))
  const remove = (): void => rmSync(prepared, { recursive: true, force: true })
  try {
    await preparePostgres(prepared)
    process.env[PREPARED] = prepared
    const server = await startPostgres()
    project.provide('postgresUrl', server.url('postgres'))
    return async () => {
      await server.stop()
      remove()
    }
  } catch (error) {
    remove()
    throw error
  }
}
