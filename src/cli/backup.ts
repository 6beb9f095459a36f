import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { BackupManifest, Meshstore, Retention, StorageOptions } from '../api.ts'
import { listBackups, type PruneReport, pruneBackups } from '../backup/folder.ts'
import { verifyBackup } from '../backup/index.ts'
import { backupName } from '../backup/schedule.ts'
import { StorageError, type StorageErrorCode } from '../errors.ts'
import { databaseOf, nameOf } from '../open/config.ts'
import { inspect } from '../open/migrate.ts'
import { openStorage } from '../storage.ts'
import { EXIT } from './exit-codes.ts'
import { interruptible } from './interrupt.ts'
import { type Common, command, databaseCommand, leftBehindText, urlOf, waitOf, wholeNumber } from './options.ts'
import { backupText, type Outcome, report, withPageBar } from './output.ts'

interface InFolder {
  folder: string
  json?: boolean
}
interface Keeping {
  keepLast?: number
  keepHourly?: number
  keepDaily?: number
  keepWeekly?: number
}
type CreateFlags = Common & Keeping & { folder: string; file?: string; ifExists?: boolean }

const DEFAULT_FOLDER = './backups'
const amountOf = wholeNumber(0, 999_999_999, 'Give a whole number from 0.')

export function addBackup(program: Command): void {
  const backup = program
    .command('backup')
    .description('Makes, lists, verifies and prunes backups: one file each, with a manifest beside it.')
    .helpCommand(false)
  keeping(databaseCommand(backup, 'create'))
    .description('Copies the database, as of now, into one verified file. Others may go on writing.')
    .option('--folder <folder>', 'where to put it, under a name with its time', DEFAULT_FOLDER)
    .option('--file <file>', 'where to put it, by name')
    .option('--if-exists', 'do nothing if there is no database yet')
    .action((flags: CreateFlags) => report(flags, () => create(flags)))
  inFolder(command(backup, 'list'))
    .description('Lists the backups in a folder, oldest first.')
    .action((flags: InFolder) => report(flags, () => list(flags)))
  command(backup, 'verify <file...>')
    .description('Reads all of the backups and compares them with their manifests.')
    .action((files: string[], flags: { json?: boolean }) => report(flags, () => verify(files)))
  keeping(inFolder(command(backup, 'prune')))
    .description('Deletes backups that need not be kept. The newest that can be verified always stays.')
    .option('--dry-run', 'say what would be deleted, and delete nothing')
    .action((flags: InFolder & Keeping & { dryRun?: boolean }) => report(flags, () => prune(flags)))
}

const inFolder = (of: Command): Command => of.option('--folder <folder>', 'where the backups are', DEFAULT_FOLDER)

const keeping = (of: Command): Command =>
  of
    .option('--keep-last <n>', 'keep the last n', amountOf)
    .option('--keep-hourly <n>', 'keep the newest of each of the last n hours that have one', amountOf)
    .option('--keep-daily <n>', 'the same for days (UTC)', amountOf)
    .option('--keep-weekly <n>', 'the same for weeks, which begin on Monday (UTC)', amountOf)

function retentionOf({ keepLast, keepHourly, keepDaily, keepWeekly }: Keeping): Retention | undefined {
  const keep = { last: keepLast, hourly: keepHourly, daily: keepDaily, weekly: keepWeekly }
  const given = Object.values(keep).filter((amount) => amount !== undefined)
  if (given.length === 0) return undefined
  if (given.every((amount) => amount === 0)) throw keepsNothing()
  return keep
}

const keepsNothing = (): StorageError =>
  new StorageError(
    'CONFIG',
    'Nothing would be kept. Nothing was deleted. Give --keep-last, --keep-hourly, --keep-daily or --keep-weekly, or several.',
  )

async function create(flags: CreateFlags): Promise<Outcome> {
  const url = urlOf(flags)
  const target = databaseOf(url)
  const missing = target.dialect === 'sqlite' && !existsSync(target.path)
  const isEmpty = async () => target.dialect === 'postgresql' && (await inspect(url, waitOf(flags))).state === 'new'
  if (flags.ifExists && (missing || (await isEmpty())))
    return { json: { file: null }, text: ['There is no database yet: nothing to back up.'] }
  if (missing)
    throw new StorageError('CONFIG', `There is no database at ${target.path}. Check the path and the current folder.`)
  const file = flags.file ?? resolve(flags.folder, backupName(nameOf(target), new Date()))
  const keep = retentionOf(flags)
  if (keep !== undefined && flags.file !== undefined)
    throw new StorageError('CONFIG', 'Only a folder has backups to choose from. Give --folder, not --file.')
  const manifest = await withPageBar('Copying', async (onProgress) => {
    // Accept any schema version: the backup precedes the migration.
    const readOnly = target.dialect === 'sqlite' && (await isOfAnother(target.path, waitOf(flags)))
    const options = { url, readOnly, migrate: 'skip', busyTimeoutMs: waitOf(flags), pool: { max: 1 } } as const
    await using store = await opened(options)
    return await interruptible('Stopped. No backup was made.', (signal) => store.backup(file, { onProgress, signal }))
  })
  const pruned = keep && (await pruneBackups(flags.folder, keep))
  return {
    json: { ...manifest, ...(pruned && { pruned }) },
    text: [
      `Made ${manifest.file}: ${backupText(manifest)}. Verified.`,
      ...leftBehindText(manifest.leftBehind),
      ...(pruned ? prunedText(pruned, false) : []),
    ],
  }
}

/** Whether another program made the file. Such a file is opened read-only: it has no table for the time of a backup. */
async function isOfAnother(path: string, timeout: number): Promise<boolean> {
  const { default: Sqlite } = await import('better-sqlite3')
  const { originOf } = await import('../migrator/sqlite-file.ts')
  try {
    const raw = new Sqlite(path, { readonly: true, timeout })
    try {
      return originOf(raw) === 'other'
    } finally {
      raw.close()
    }
  } catch {
    // Ignore the error: opening the file next reports it.
    return false
  }
}

/** Opens the store writable, so that it records the time of the backup; read-only if the file or its folder is read-only. */
async function opened(options: StorageOptions): Promise<Meshstore> {
  try {
    return await openStorage(options)
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== 'READ_ONLY') throw error
    return await openStorage({ ...options, readOnly: true })
  }
}

/** Throws CONFIG if the folder is missing: often no backup was made yet, or the working folder is another one. */
function assertFolder(folder: string): void {
  if (!existsSync(folder))
    throw new StorageError('CONFIG', `There is no folder at ${resolve(folder)}. Name it with --folder.`)
}

async function list({ folder }: InFolder): Promise<Outcome> {
  assertFolder(folder)
  const found = listBackups(folder)
  return {
    json: found,
    text: [
      ...found.backups.map((backup) => `${backup.createdAt.toISOString()}  ${backup.file}  ${backupText(backup)}`),
      ...brokenText(found.broken),
      ...(found.backups.length + found.broken.length === 0 ? ['There are no backups.'] : []),
    ],
    exitCode: found.broken.length > 0 ? EXIT.person : EXIT.done,
  }
}

const brokenText = (broken: PruneReport['broken']): string[] =>
  broken.map(({ file, message }) => `Not to be trusted: ${file}: ${message}`)

async function verify(files: readonly string[]): Promise<Outcome> {
  const results: {
    file: string
    valid: boolean
    manifest?: BackupManifest
    code?: StorageErrorCode
    message?: string
  }[] = []
  for (const file of files) {
    try {
      results.push({ file: resolve(file), valid: true, manifest: await verifyBackup(file) })
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      results.push({ file: resolve(file), valid: false, code: error.code, message: error.message })
    }
  }
  return {
    json: { backups: results },
    text: results.map(({ file, manifest, code, message }) =>
      manifest === undefined ? `${code}: ${message}` : `${file} is sound: ${backupText(manifest)}.`,
    ),
    exitCode: exitCodeFor(results.flatMap(({ code }) => code ?? [])),
  }
}

/** A name without a file is a mistake in the arguments. */
function exitCodeFor(problems: readonly StorageErrorCode[]): number {
  if (problems.length === 0) return EXIT.done
  return problems.every((code) => code === 'CONFIG') ? EXIT.usage : EXIT.person
}

async function prune(flags: InFolder & Keeping & { dryRun?: boolean }): Promise<Outcome> {
  const dryRun = flags.dryRun === true
  assertFolder(flags.folder)
  const keep = retentionOf(flags)
  if (keep === undefined) throw keepsNothing()
  const done = await pruneBackups(flags.folder, keep, { dryRun })
  return {
    json: { dryRun, ...done },
    text: prunedText(done, dryRun),
    exitCode: done.broken.length > 0 ? EXIT.person : EXIT.done,
  }
}

function prunedText({ kept, deleted, broken, abandoned }: PruneReport, dryRun: boolean): string[] {
  const verb = dryRun ? 'Would delete' : 'Deleted'
  return [
    ...kept.map(({ file, reasons }) => `${dryRun ? 'Would keep' : 'Kept'} ${file} (${reasons.join(', ')})`),
    ...deleted.map(({ file }) => `${verb} ${file}`),
    ...abandoned.map((file) => `${verb} ${file}, which was never finished`),
    ...brokenText(broken),
  ]
}
