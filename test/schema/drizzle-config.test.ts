import { existsSync } from 'node:fs'
import { isAbsolute, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Config } from 'drizzle-kit'
import { describe, expect, it, vi } from 'vitest'
import { type DrizzleConfig, drizzleConfig } from '../../src/drizzle-config.ts'
import { databaseOf } from '../../src/open/config.ts'
import { root } from './tree-copy.ts'

describe('drizzleConfig', () => {
  it.each([
    ['sqlite:./mesh.db', './mesh.db'],
    ['sqlite:mesh.db', 'mesh.db'],
    ['sqlite:/var/lib/mesh.db', '/var/lib/mesh.db'],
    ['sqlite:///var/lib/mesh.db', '/var/lib/mesh.db'],
    ['sqlite:/var/a%20b:c.db', '/var/a%20b:c.db'],
    ['sqlite::memory:', ':memory:'],
    ['sqlite:C:\\data\\mesh.db', 'C:\\data\\mesh.db'],
    ['SQLite:./mesh.db', './mesh.db'],
    [pathToFileURL('/var/lib/a b.db').href, '/var/lib/a b.db'],
    ['file:/var/lib/a%20b.db', '/var/lib/a b.db'],
    ['file:./mesh.db', './mesh.db'],
    ['./mesh.db', './mesh.db'],
    ['mesh.db', 'mesh.db'],
    ['/var/lib/mesh.db', '/var/lib/mesh.db'],
    ['C:\\data\\mesh.db', 'C:\\data\\mesh.db'],
  ])('takes %s for the file %s, as openStorage does', (url, path) => {
    const { dialect, dbCredentials } = drizzleConfig(url)
    expect({ dialect, path: dbCredentials.url }).toEqual({ dialect: 'sqlite', path })
    expect(databaseOf(url)).toEqual({ dialect: 'sqlite', path })
  })

  it.each([
    'mysql://me:secret@db/mesh',
    'https://me:secret@db/mesh',
    'sqlite://secret/mesh.db',
    'sqlite:./mesh.db?key=secret',
    'file:///mesh.db?key=secret',
    '"postgres://me:secret@db/mesh"',
    "'sqlite:./mesh.db'",
    'sqlite:postgres://me:secret@db/mesh',
    'postgres//me:secret@db/mesh',
  ])('refuses %s, as openStorage does, without repeating it', (url) => {
    expect(() => drizzleConfig(url)).toThrow(/^DATABASE_URL/)
    expect(() => drizzleConfig(url)).not.toThrow(/secret/)
    expect(() => databaseOf(url)).toThrow(expect.objectContaining({ code: 'CONFIG' }))
  })

  it.each(['postgres://me:secret@db/mesh', 'postgresql:///mesh?host=/run/postgresql'])('hands on %s', (url) => {
    expect(databaseOf(url)).toMatchObject({ dialect: 'postgresql', database: 'mesh' })
    expect(drizzleConfig(url)).toMatchObject({ dialect: 'postgresql', dbCredentials: { url } })
  })

  it('takes DATABASE_URL, and ./mesh.db without it', () => {
    vi.stubEnv('DATABASE_URL', 'postgres://db/mesh')
    expect(drizzleConfig().dialect).toBe('postgresql')
    for (const unset of ['', undefined]) {
      vi.stubEnv('DATABASE_URL', unset)
      expect(drizzleConfig()).toMatchObject({ dialect: 'sqlite', dbCredentials: { url: './mesh.db' } })
    }
    vi.unstubAllEnvs()
  })

  it('names an existing schema and migrations folder', () => {
    for (const [url, schema, folder] of [
      ['sqlite:./mesh.db', 'sqlite.ts', 'sqlite'],
      ['postgres://db/mesh', 'postgres.ts', 'postgresql'],
    ] as const) {
      const config = drizzleConfig(url)
      expect(config.schema).toBe(join(root, 'src/schema', schema))
      expect(existsSync(config.schema)).toBe(true)
      expect(resolve(config.out)).toBe(join(root, 'migrations', folder))
      expect(existsSync(config.out)).toBe(true)
      expect(isAbsolute(config.out)).toBe(false)
    }
  })

  it('is what drizzle-kit takes', () => {
    const config: DrizzleConfig = drizzleConfig('sqlite:./mesh.db')
    config satisfies Config
  })
})
