/** No password of a URL is ever printed, however the URL is given, and whatever is wrong with it. */
import { readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { temporaryFolder } from '../support/folders.ts'
import { runCommand } from './support/command.ts'

const PASSWORD = 'S3cret-pässwörd'
const ENCODED = encodeURIComponent(PASSWORD)
/** A server that is away. */
const AWAY = `postgres://mesh:${ENCODED}@127.0.0.1:1/mesh`

const URLS: Readonly<Record<string, string>> = {
  'of a server that is away': AWAY,
  'with an unknown parameter': `${AWAY}?pass=${ENCODED}`,
  'with a wrong parameter': `${AWAY}?sslmode=${ENCODED}`,
  'with a file that is not there': `${AWAY}?sslrootcert=/nowhere/ca.pem`,
  'that cannot be read': `postgres://mesh:${ENCODED}@[::1/mesh`,
  'with a port that is none': `postgres://mesh:${ENCODED}@localhost:port/mesh`,
  'with a % that begins nothing': `postgres://mesh:100%${ENCODED}@localhost/mesh`,
  'with another scheme': `postgress://mesh:${ENCODED}@localhost/mesh`,
  'of another database': `mysql://mesh:${ENCODED}@localhost/mesh`,
  'for SQLite': `sqlite://mesh:${ENCODED}@localhost/mesh`,
  'behind sqlite:': `sqlite:postgres://mesh:${ENCODED}@localhost/mesh`,
  'without the colon of its scheme': `postgres//mesh:${ENCODED}@localhost/mesh`,
  'without a scheme': `mesh:${ENCODED}@localhost/mesh`,
  'in quotes, as some files of variables have it': `"${AWAY}"`,
  'in single quotes': `'${AWAY}'`,
  'with a blank before it': ` ${AWAY}`,
  'with a line break behind it': `${AWAY}\n`,
}

const secrets = [PASSWORD, ENCODED, 'S3cret']
const hidden = ({ stdout, stderr }: { stdout: string; stderr: string }): void => {
  for (const secret of secrets) expect(`${stdout}${stderr}`).not.toContain(secret)
}

describe.each(Object.entries(URLS))('a URL %s', (_, url) => {
  test.each(['up', 'status'])('is not shown by migrate %s, and is no name of a file', async (command) => {
    using folder = temporaryFolder()
    for (const { args, env } of [
      { args: ['--url', url], env: {} },
      { args: ['--json'], env: { DATABASE_URL: url } },
    ]) {
      const ran = await runCommand(['migrate', command, ...args], { env, cwd: folder.path })
      hidden(ran)
      expect([2, 5]).toContain(ran.code)
      expect(readdirSync(folder.path)).toEqual([])
    }
  })
})

test.each([
  [[AWAY]],
  [['migrate', AWAY]],
  [['migrate', 'status', AWAY]],
  [['migrate', 'status', `--ur=${AWAY}`]],
  [['migrate', 'status', `--urls=${AWAY}`]],
  [['migrate', 'status', '--wait', AWAY]],
  [['migrate', 'status', '--url', AWAY, AWAY]],
  [[`--url=${AWAY}`, 'migrate', 'status']],
])('an argument in the wrong place is not shown: %#', async (args) => {
  const ran = await runCommand(args)
  hidden(ran)
  expect(ran.code).toBe(2)
})
