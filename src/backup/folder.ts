/** Lists and prunes a folder of backups. */
import { existsSync, lstatSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { BackupManifest, Retention } from '../api.ts'
import { StorageError } from '../errors.ts'
import { machineTime } from '../event-loop.ts'
import { translatedFile } from '../files/file-errors.ts'
import * as rules from '../schema/rules.ts'
import { isManifestOf, manifestPath, readManifest, withFile } from './manifest.ts'
import { PARTIAL } from './partial.ts'
import { RETENTION_RULES, retained } from './retention.ts'
import { verifyBackup } from './verify.ts'

const MANIFEST = manifestPath('')
/** An unfinished file that was not changed for this long is abandoned. */
const ABANDONED_AFTER_MS = 86_400_000

export interface Broken {
  readonly file: string
  readonly message: string
}

export interface Listing {
  /** Oldest first. The manifests are sound and the sizes match; the contents have not been read. */
  readonly backups: readonly BackupManifest[]
  /** Files that look like backups and must not be trusted. */
  readonly broken: readonly Broken[]
}

/** Throws CONFIG if there is no such folder. */
export function listBackups(folder: string): Listing {
  const backups: BackupManifest[] = []
  const broken: Broken[] = []
  for (const name of namesIn(folder)) {
    if (!name.endsWith(MANIFEST)) continue
    const file = join(resolve(folder), name.slice(0, -MANIFEST.length))
    // A manifest without a backup: a run was killed between the two renames, or a user deleted the backup.
    if (!existsSync(file)) continue
    try {
      backups.push(listed(file))
    } catch (error) {
      broken.push({ file, message: error instanceof StorageError ? error.message : 'It cannot be read.' })
    }
  }
  return { backups: backups.sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime()), broken }
}

function listed(file: string): BackupManifest {
  const manifest = readManifest(file)
  if (statSync(file).size !== manifest.bytes)
    throw new StorageError(
      'BACKUP_INVALID',
      'It is not of the size that its manifest says. It must not be restored: use another backup.',
    )
  return withFile(file, manifest)
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort()
  } catch (error) {
    throw new StorageError('CONFIG', `The folder ${folder} cannot be read. Check the path, its owner and mode.`, {
      cause: error,
    })
  }
}

export interface PruneReport {
  readonly kept: readonly (BackupManifest & { readonly reasons: readonly string[] })[]
  readonly deleted: readonly BackupManifest[]
  /** Files that pruning leaves for an operator to look at. */
  readonly broken: readonly Broken[]
  /** Deleted unfinished files, older than a day. */
  readonly abandoned: readonly string[]
}

/**
 * Deletes the backups that `keep` does not keep. The newest backup that can be verified always stays. Broken backups are neither
 * counted nor deleted. `dryRun` deletes nothing. `keepAlso` is a file that was just made: if the clock was set back, others look
 * newer.
 *
 * Throws CONFIG if `keep` names nothing to keep.
 */
export async function pruneBackups(
  where: string,
  keep: Retention,
  options: { dryRun?: boolean; keepAlso?: string; signal?: AbortSignal; now?: () => Date } = {},
): Promise<PruneReport> {
  rules.checkOptions('The retention', RETENTION_RULES, keep)
  if (Object.values(keep).every((amount) => !amount))
    throw new StorageError(
      'CONFIG',
      'Nothing would be kept. Give how many of the last, hourly, daily or weekly backups to keep.',
    )
  const { now = machineTime } = options
  const folder = resolve(where)
  const { backups, broken } = listBackups(folder)
  const { newest, damaged } = await newestVerified(backups)
  options.signal?.throwIfAborted()
  const candidates = backups.filter((backup) => !damaged.some(({ file }) => file === backup.file))
  const reasons = retained(candidates, keep)
  const keepFor = (backup: BackupManifest | undefined, reason: string): void => {
    if (backup !== undefined) reasons.set(backup, [...(reasons.get(backup) ?? []), reason])
  }
  keepFor(newest, 'newest verified')
  if (options.keepAlso !== undefined)
    keepFor(
      candidates.find(({ file }) => file === options.keepAlso),
      'made just now',
    )
  const deleted = candidates.filter((backup) => !reasons.has(backup))
  const abandoned = namesIn(folder).filter((name) => isUnfinished(folder, name) && isAbandoned(join(folder, name), now))
  if (options.dryRun !== true) {
    // Delete the backup first: after a crash in between, a manifest without a backup is ignored.
    for (const { file } of deleted) for (const path of [file, manifestPath(file)]) remove(path)
    for (const name of abandoned) remove(join(folder, name))
  }
  return {
    kept: candidates
      .filter((backup) => reasons.has(backup))
      .map((kept) => ({ ...kept, reasons: reasons.get(kept) ?? [] })),
    deleted,
    broken: [...broken, ...damaged],
    abandoned: abandoned.map((name) => join(folder, name)),
  }
}

async function newestVerified(
  backups: readonly BackupManifest[],
): Promise<{ newest: BackupManifest | undefined; damaged: Broken[] }> {
  const damaged: Broken[] = []
  for (const backup of backups.toReversed()) {
    try {
      await verifyBackup(backup.file)
      return { newest: backup, damaged }
    } catch (error) {
      // Another process may have deleted the backup.
      if (!existsSync(backup.file)) continue
      if (!(error instanceof StorageError) || error.code !== 'BACKUP_INVALID') throw error
      damaged.push({ file: backup.file, message: error.message })
    }
  }
  return { newest: undefined, damaged }
}

function remove(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch (error) {
    throw translatedFile(error)
  }
}

/** Includes a manifest without its backup: a backup's manifest gets its name first. */
function isUnfinished(folder: string, name: string): boolean {
  if (PARTIAL.test(name)) return true
  const file = join(folder, name.slice(0, -MANIFEST.length))
  return name.endsWith(MANIFEST) && !existsSync(file) && isManifestOf(file)
}

function isAbandoned(path: string, now: () => Date): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats?.isFile() === true && now().getTime() - stats.mtimeMs > ABANDONED_AFTER_MS
}
