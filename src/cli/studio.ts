import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { Command } from 'commander'
import { StorageError } from '../errors.ts'
import { databaseOf } from '../open/config.ts'
import { openStorage } from '../storage.ts'
import { EXIT } from './exit-codes.ts'
import { type Common, databaseCommand, urlOf, waitOf, wholeNumber } from './options.ts'
import { type Outcome, report } from './output.ts'

type StudioFlags = Common & { live?: boolean; port: number }
const portOf = wholeNumber(1, 65_535, 'Give a port from 1 to 65535.')

export function addStudio(program: Command): void {
  databaseCommand(program, 'studio')
    .description(
      'Opens Drizzle Studio on a copy of the database as of now. It needs drizzle-kit (npm i -D drizzle-kit).',
    )
    .option('--live', 'open the database itself: what is changed there is changed')
    .option('--port <n>', 'the port of its local server', portOf, 4_983)
    .action((flags: StudioFlags) => report(flags, () => studio(flags)))
}

async function studio(flags: StudioFlags): Promise<Outcome> {
  const url = urlOf(flags)
  const { dialect } = databaseOf(url)
  const kit =
    upwards(process.cwd(), 'node_modules/drizzle-kit/bin.cjs') ??
    upwards(import.meta.dirname, 'node_modules/drizzle-kit/bin.cjs')
  if (kit === undefined)
    throw new StorageError('CONFIG', 'Drizzle Studio comes with drizzle-kit. Run npm i -D drizzle-kit.')
  if (dialect === 'postgresql' && flags.live !== true)
    throw new StorageError('CONFIG', 'No copy is made of PostgreSQL. Give --live to open the database itself.')
  const folder = mkdtempSync(join(tmpdir(), 'meshstore-studio-'))
  try {
    const database = flags.live === true ? live(url) : await snapshot(url, { folder, busyTimeoutMs: waitOf(flags) })
    process.stderr.write(`${warningFor(flags.live === true)}\n`)
    const code = await run(kit, { config: configIn(folder, dialect, database), port: flags.port })
    return { json: { exitCode: code }, text: [], exitCode: code === 0 ? EXIT.done : EXIT.failed }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const warningFor = (live: boolean): string =>
  [
    live
      ? 'This is the database itself: what is changed there is changed.'
      : 'This is a copy as of now: what is changed there is gone afterwards.',
    "Studio's page comes from the internet. Its local server listens on 127.0.0.1, has no password, and answers any web page that is open in your browser. Ctrl+C ends it.",
  ].join('\n')

function live(url: string): string {
  const target = databaseOf(url)
  if (target.dialect === 'postgresql') return url
  if (!existsSync(target.path))
    throw new StorageError('CONFIG', `There is no database at ${target.path}. Check the path and the current folder.`)
  return resolve(target.path)
}

/** Makes a verified copy in a private folder. */
async function snapshot(
  url: string,
  { folder, busyTimeoutMs }: { folder: string; busyTimeoutMs: number },
): Promise<string> {
  const file = join(folder, 'snapshot.db')
  await using store = await openStorage({ url, readOnly: true, migrate: 'skip', busyTimeoutMs })
  await store.backup(file)
  chmodSync(file, 0o400)
  return file
}

/** Writes the URL to a private file: other users could read it among the arguments. */
function configIn(folder: string, dialect: 'sqlite' | 'postgresql', url: string): string {
  const name = dialect === 'sqlite' ? 'sqlite' : 'postgres'
  // The schema file lies above this file's folder in the package, and in src/ in the repository.
  const schema = upwards(import.meta.dirname, `schema-${name}.js`) ?? upwards(import.meta.dirname, `schema/${name}.ts`)
  const file = join(folder, 'drizzle.config.json')
  writeFileSync(file, JSON.stringify({ dialect, schema, out: folder, dbCredentials: { url } }), { mode: 0o600 })
  return file
}

/** Finds the file in this folder or the nearest one above it. */
function upwards(from: string, name: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, name)
    if (existsSync(candidate)) return candidate
    if (folder === dirname(folder)) return undefined
  }
}

async function run(kit: string, { config, port }: { config: string; port: number }): Promise<number> {
  const args = [kit, 'studio', '--config', config, '--host', '127.0.0.1', '--port', String(port)]
  const child = spawn(process.execPath, args, { stdio: 'inherit' })
  const end = (): void => void child.kill('SIGTERM')
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, end)
  return new Promise((done, failed) => {
    child.once('error', failed)
    // A signal is this command's own way to end the child.
    child.once('close', (code, signal) => done(signal === null ? (code ?? 1) : 0))
  })
}
