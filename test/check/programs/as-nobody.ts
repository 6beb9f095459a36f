/** Checks a file as a user without rights, and prints the report. Everything is loaded while it may still be read. */
import { check } from '../../../src/check/index.ts'
import '../../../src/check/sqlite/index.ts'

const NOBODY = 65_534
if (process.getuid?.() === 0) {
  process.setgroups?.([])
  process.setgid?.(NOBODY)
  process.setuid?.(NOBODY)
}
process.stdout.write(`${JSON.stringify(await check(process.argv[2] ?? ''))}\n`)
