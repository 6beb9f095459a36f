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

export const withWait = (of: Command, seconds = 5): Command =>
  of.option('--wait <seconds>', 'how long to wait for another process’s lock', secondsOf, seconds)

export const databaseCommand = (parent: Command, nameAndArguments: string, defaults = { wait: 5 }): Command =>
  withWait(withUrl(command(parent, nameAndArguments)), defaults.wait)

/** There is no default: a deploy without the variable must not migrate a new file and report success. */
export function urlFrom(url = process.env.DATABASE_URL, ask: string): string {
  if (url) return url
  throw new StorageError('CONFIG', `${ask}, or set DATABASE_URL.`)
}

export const urlOf = ({ url }: Pick<Common, 'url'>): string => urlFrom(url, 'Which database? Give --url')

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

type Parser = (text: string) => number
const parser =
  (form: RegExp, from: number, to: number, advice: string): Parser =>
  (text) => {
    const value = Number(text)
    if (form.test(text) && value >= from && value <= to) return value
    throw new InvalidArgumentError(advice)
  }
/** Parses an option's whole number. */
export const wholeNumber = (from: number, to: number, advice: string): Parser => parser(/^\d+$/, from, to, advice)
/** Parses an option's number of seconds. */
export const secondsUpTo = (most: number, from = 0): Parser =>
  parser(/\S/, from, most, `Give a number of seconds, up to ${most}.`)
export const secondsOf = secondsUpTo(86_400)
