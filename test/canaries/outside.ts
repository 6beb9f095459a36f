/** Looks at what a process says without being asked: events, output, warnings. */
import { tracingChannel } from 'node:diagnostics_channel'
import { StorageError } from '../../src/index.ts'
import type { Canary } from './canary.ts'

const CHANNELS = ['statement', 'transaction', 'commit', 'retry', 'cache'] as const
const MOMENTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const
const METHODS = ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const

export function lookAtEvents(canary: Canary): void {
  for (const name of CHANNELS) {
    // An error thrown by a callback or a computation reaches the caller, and the event, unchanged.
    const ofTheLibrary = (error: unknown): boolean =>
      name === 'statement' || name === 'commit' || error instanceof StorageError
    for (const moment of MOMENTS) {
      const where = `the event meshstore:${name}:${moment}`
      tracingChannel(`meshstore:${name}`)[moment].subscribe((event) => {
        // A subscriber that throws would end the process.
        canary.event(where, event as object, ofTheLibrary)
      })
    }
  }
}

export function lookAtOutput(canary: Canary): void {
  for (const [name, stream] of [
    ['stdout', process.stdout],
    ['stderr', process.stderr],
  ] as const) {
    const write = stream.write
    stream.write = ((chunk: string | Uint8Array, ...rest: []) => {
      canary.look(name, Buffer.from(chunk as string).toString())
      return write.call(stream, chunk, ...rest)
    }) as typeof stream.write
  }
  for (const method of METHODS) {
    const original = console[method]
    console[method] = (...values: unknown[]) => {
      for (const value of values) canary.look(`console.${method}`, value)
      original.apply(console, values)
    }
  }
  process.on('warning', (warning) => canary.look('a warning of the process', warning))
}
