/** Findings on a server that loses data in a power cut, and on one that can only be read. */
import { chownSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { expect, test } from 'vitest'
import { check } from '../../src/check/index.ts'
import { openStorage } from '../../src/index.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { startPostgres } from '../support/postgres-server.ts'
import { fill, kinds, reasonFor, wrong } from './support/sound.ts'

async function rowsOf<R extends object>(url: string, sql: string): Promise<R[]> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query<R>(sql)).rows
  } finally {
    await client.end()
  }
}

describePostgres('a check of a server of its own', () => {
  test('finds settings with which a power cut destroys the database', async () => {
    const server = await startPostgres(['fsync=off', 'full_page_writes=off'])
    try {
      const url = server.url('postgres')
      await using store = await openStorage(url)
      await fill(store)
      const settings = wrong(await check(url)).map(({ severity, message }) => `${severity} ${message.split(' ')[0]}`)
      expect(settings.sort()).toEqual(['error fsync', 'error full_page_writes'])
    } finally {
      await server.stop()
    }
  })

  test('says of a replica that it is one, and looks at what it lets be looked at', async () => {
    const server = await startPostgres()
    try {
      const url = server.url('postgres')
      const store = await openStorage(url)
      await fill(store)
      await store.close()
      const [row] = await rowsOf<{ folder: string }>(url, "SELECT current_setting('data_directory') AS folder")
      const signal = join(row?.folder ?? '', 'standby.signal')
      writeFileSync(signal, '')
      if (process.getuid?.() === 0) chownSync(signal, 65_534, 65_534)
      // Started again, it waits for a primary server that never comes.
      await server.crash()
      const report = await check(url)
      expect(wrong(report)).toEqual([])
      expect(kinds(report)).toEqual(['info last-backup'])
      expect(reasonFor(report, 'rows')).toContain('primary')
    } finally {
      await server.stop()
    }
  })
})
