/**
 * A place where a child process waits, with everything in it standing still, until the parent lets it, and others, go
 * on.
 */
import { existsSync } from 'node:fs'
import { say } from '../sqlite/support/messages.ts'

const cell = new Int32Array(new SharedArrayBuffer(4))

export const forEver = (): void => void Atomics.wait(cell, 0, 0)

/** Says where it is, and waits until there is a file of that name. */
export function waitFor(file: string, message: unknown): void {
  say(message)
  while (!existsSync(file)) Atomics.wait(cell, 0, 0, 1)
}
