/** Options that every command on a database has. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import type { OtherData } from '../api.ts'
import { StorageError } from '../errors.ts'
import { databaseOf } from '../open/config.ts'
import { otherDataText } from '../rows/other-data.ts'
import { printable } from './output.ts'

export interface Common {
  url?: string
  json?: boolean
  /** Seconds. */
  wait: number
}

export const command = (parent: Command, nameAndArguments: string): Command =>
  parent.command(nameAndArguments).option('--json', 'print the result as JSON')

const withUrl = (of: Command): Command =>
  of.option('--url <url>', 'the database: sqlite:<path>, a path, or postgres://… (default: $DATABASE_URL)')

export function databaseCommand(parent: Command, nameAndArguments: string, defaults = { wait: 5 }): Command {
  return withUrl(command(parent, nameAndArguments)).option(
    '--wait <seconds>',
    'how long to wait for another process’s lock',
    secondsOf,
    defaults.wait,
  )
}

/** There is no default: a deploy without the variable must not migrate a new file and report success. */
export function urlOf({ url = process.env.DATABASE_URL }: Pick<Common, 'url'>): string {
  if (url) return url
  throw new StorageError('CONFIG', 'Which database? Give --url, or set DATABASE_URL.')
}

/** Option of the commands that copy data to another database. */
export const IGNORE_OTHERS = [
  '--ignore-other-tables',
  'leave the application’s own tables and columns behind, instead of refusing',
] as const

export const leftBehindText = (left: readonly OtherData[] = []): string[] =>
  left.length === 0 ? [] : [`Left behind, being none of Meshstore's: ${printable(otherDataText(left))}.`]

/** Call it before a command that may create a SQLite file: the note shows a misspelt path. */
export function createdFileNote(url: string): string[] {
  const target = databaseOf(url)
  const isNew = target.dialect === 'sqlite' && target.path !== ':memory:' && !existsSync(target.path)
  return isNew ? [`Made ${resolve(target.path)}, which was not there.`] : []
}

/** In milliseconds. */
export const waitOf = ({ wait }: Pick<Common, 'wait'>): number => Math.round(wait * 1_000)

export function limitOf(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1 && value <= 10_000) return value
  throw new InvalidArgumentError('Give a whole number from 1 to 10000.')
}

export function secondsOf(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && value >= 0 && value <= 86_400) return value
  throw new InvalidArgumentError('Give a number of seconds, up to 86400.')
}
