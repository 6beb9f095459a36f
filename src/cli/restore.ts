import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { PostgresTarget } from '../database/postgres/url.ts'
import { StorageError } from '../errors.ts'
import { databaseOf } from '../open/config.ts'
import { restoreBackup } from '../restore/index.ts'
import { command, IGNORE_OTHERS, leftBehindText, urlFrom } from './options.ts'
import { backupText, type Outcome, report, withPageBar } from './output.ts'
import { INTO, isPlace, type RestoreMomentFlags, restoreFrom } from './replicate.ts'

interface RestoreFlags extends RestoreMomentFlags {
  migrate: boolean
}

export function addRestore(program: Command): void {
  command(program, 'restore')
    .description('Restores a backup, or a moment of a replica, into a SQLite file or PostgreSQL.')
    .requiredOption('--from <backup>', 'the file of a backup, or the place of a replica')
    .option('--at <moment>', 'of a replica: a time, or a segment such as g000001/42 (default: the newest)')
    .option('--list', 'of a replica: say which moments can be restored, and which cannot')
    .option('--to <url>', 'where to restore it: sqlite:<path>, a path, or postgres://… (default: $DATABASE_URL)')
    .option('--replace', 'replace the SQLite file that is there; a copy of it is kept beside it')
    .option('--no-migrate', 'leave the schema as it is in the backup')
    .option(...IGNORE_OTHERS)
    .option('--dry-run', 'verify, look at what is there, say what would be replaced, and change nothing')
    .action((flags: RestoreFlags) => report(flags, () => restore(flags)))
}

const restoring = ({ replace, migrate, ignoreOtherTables }: RestoreFlags) => ({ replace, migrate, ignoreOtherTables })

async function restore(flags: RestoreFlags): Promise<Outcome> {
  if (isPlace(flags)) return restoreFrom(flags)
  const { from: file } = flags
  const url = urlFrom(flags.to, INTO)
  // Check the backup first: its absence is the likelier mistake.
  if (!existsSync(file))
    throw new StorageError('CONFIG', `There is no file at ${resolve(file)}. Check the path and the current folder.`)
  if (flags.dryRun) return preview(file, url, flags)
  const done = await withPageBar('Restoring', (onProgress) =>
    restoreBackup(file, url, { ...restoring(flags), onProgress }),
  )
  return {
    json: done,
    text: [
      `Restored ${done.restoredTo}: ${backupText(done)}, as of ${done.createdAt.toISOString()}.`,
      ...leftBehindText(done.leftBehind),
      ...(done.safetyCopy === undefined ? [] : [`What was there before is in ${done.safetyCopy}.`]),
      ...done.migrated.map((tag) => `Applied ${tag}.`),
    ],
  }
}

async function preview(file: string, url: string, flags: RestoreFlags): Promise<Outcome> {
  const database = databaseOf(url)
  if (database.dialect === 'postgresql') return previewOn(database, file, url, flags)
  const { previewRestore } = await import('../restore/restore.ts')
  const { backup, target, replaces } = await previewRestore(file, url)
  const what = replaces ? `would replace ${target}, and need --replace` : `would make ${target}`
  return {
    json: { dryRun: true, backup, target, replaces },
    text: [`${backup.file} is sound: ${backupText(backup)}, as of ${backup.createdAt.toISOString()}.`, `It ${what}.`],
  }
}

/** Dry run: checks each row of the backup, and that the database is empty. */
async function previewOn(target: PostgresTarget, file: string, url: string, flags: RestoreFlags): Promise<Outcome> {
  const { restoreIntoPostgres } = await import('../restore/postgres-restore.ts')
  const {
    restoredTo,
    migrated: _,
    ...backup
  } = await restoreIntoPostgres(
    resolve(file),
    url,
    { ignoreOtherTables: flags.ignoreOtherTables, dryRun: true },
    target,
  )
  return {
    json: { dryRun: true, backup, target: restoredTo, replaces: false },
    text: [
      `${backup.file} is sound: ${backupText(backup)}, as of ${backup.createdAt.toISOString()}.`,
      `It would be restored into ${restoredTo}, which is empty.`,
      ...leftBehindText(backup.leftBehind),
    ],
  }
}
