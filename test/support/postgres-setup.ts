/**
 * Starts one PostgreSQL server for the whole run. `TEST_POSTGRES_URL` names one that is there, and may create databases;
 * `DIALECTS=sqlite` asks for SQLite alone. Without either, a server that cannot be had fails the run.
 */
import type { TestProject } from 'vitest/node'
import { startPostgres } from './postgres-server.ts'

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
  const server = await startPostgres()
  project.provide('postgresUrl', server.url('postgres'))
  return () => server.stop()
}
