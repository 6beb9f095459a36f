/** The other side of `Program`: what a child process reads and says. */
import { createInterface } from 'node:readline'

/** The parent's messages, one by one, until it closes the pipe. */
export async function* messages<T>(): AsyncGenerator<T, void, undefined> {
  for await (const line of createInterface({ input: process.stdin })) yield JSON.parse(line)
}

/** Pipes are written synchronously: what was said before a kill can be read after it. */
export const say = (message: unknown): void => {
  process.stdout.write(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`)
}
