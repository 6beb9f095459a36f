/**
 * Counts how often `fs` opens a file of a live database in this process: closing such a handle drops SQLite's locks on it
 * (https://sqlite.org/howtocorrupt.html, 2.2). To be imported before anything else.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { resolve } from 'node:path'

export const opened = {
  /** The database, its -wal and its -shm. */
  live: [] as string[],
  /** A file that is there would be refused: nobody can have it open. */
  created: [] as string[],
  /** Any other file. */
  other: 0,
}

const live = new Set<string>()
/** From now on these are files of a live database. */
export function watch(path: string): void {
  for (const suffix of ['', '-wal', '-shm']) live.add(resolve(path) + suffix)
}

const isExclusive = (flags: unknown): boolean =>
  flags === 'wx' || (typeof flags === 'number' && (flags & fs.constants.O_EXCL) !== 0)

function noticed(name: string, paths: readonly unknown[], flags?: unknown): void {
  for (const path of paths) {
    if (typeof path !== 'string' && !(path instanceof URL) && !Buffer.isBuffer(path)) continue
    const file = resolve(path instanceof URL ? path.pathname : String(path))
    if (!live.has(file)) opened.other++
    else if (isExclusive(flags)) opened.created.push(`${name} ${file}`)
    else opened.live.push(`${name} ${file}`)
  }
}

type Functions = Record<string, unknown>
/** Each of them opens the files that its first so many arguments name. */
function trap(functions: Functions, names: Readonly<Record<string, number>>): void {
  for (const [name, paths] of Object.entries(names)) {
    const original = functions[name]
    if (typeof original !== 'function') throw new Error(`There is no ${name} to trap.`)
    functions[name] = (...args: unknown[]) => {
      noticed(name, args.slice(0, paths), args[paths])
      return original.apply(functions, args)
    }
  }
}

const ASYNCHRONOUS = { open: 1, readFile: 1, writeFile: 1, appendFile: 1, truncate: 1, copyFile: 2, cp: 2 }
const SYNCHRONOUS = Object.fromEntries(Object.entries(ASYNCHRONOUS).map(([name, paths]) => [`${name}Sync`, paths]))
const STREAMS = { createReadStream: 1, createWriteStream: 1, openAsBlob: 1 }

// Seen as tables of functions, which is what is changed of them.
trap(fs as unknown as Functions, { ...ASYNCHRONOUS, ...SYNCHRONOUS, ...STREAMS })
trap(fs.promises as unknown as Functions, ASYNCHRONOUS)
syncBuiltinESMExports()
