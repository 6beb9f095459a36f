/** Everything that a process says to the outside unasked, as long as it is watched. */
import { tracingChannel } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import { canariesIn } from './canaries.ts'

const CHANNELS = ['statement', 'transaction', 'commit', 'cache'] as const
const MOMENTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const
const OUTPUTS = ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const

export interface Watched extends Disposable {
  /** How many events there were on each channel that published any. */
  readonly events: ReadonlyMap<string, number>
  /** The places where a canary was seen. */
  readonly leaks: string[]
}

export function watch(): Watched {
  const events = new Map<string, number>()
  const leaks: string[] = []
  const undo: (() => void)[] = []
  const look = (where: string, what: unknown): void => {
    const found = canariesIn(what)
    if (found.length > 0) leaks.push(`${where}: ${found.join()}: ${inspect(what, { depth: 4 }).slice(0, 400)}`)
  }

  for (const name of CHANNELS) {
    for (const moment of MOMENTS) {
      const channel = tracingChannel(`meshstore:${name}`)[moment]
      const listener = (event: unknown): void => {
        events.set(name, (events.get(name) ?? 0) + 1)
        look(`${name}:${moment}`, event)
      }
      channel.subscribe(listener)
      undo.push(() => channel.unsubscribe(listener))
    }
  }
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write
    stream.write = ((chunk: string | Uint8Array, ...rest: []) => {
      look('output', Buffer.from(chunk as string).toString())
      return write.call(stream, chunk, ...rest)
    }) as typeof stream.write
    undo.push(() => {
      stream.write = write
    })
  }
  for (const method of OUTPUTS) {
    const original = console[method]
    console[method] = (...values: unknown[]) => {
      for (const value of values) look(`console.${method}`, value)
      original.apply(console, values)
    }
    undo.push(() => {
      console[method] = original
    })
  }
  const onWarning = (warning: Error): void => look('warning', warning)
  process.on('warning', onWarning)
  undo.push(() => process.off('warning', onWarning))
  return {
    events,
    leaks,
    [Symbol.dispose]: () => {
      for (const each of undo) each()
    },
  }
}

/** From now on, collects what would have ended the process. */
export function watchProcess(): () => string[] {
  const faults: string[] = []
  process.on('uncaughtExceptionMonitor', (error) => faults.push(String(error)))
  process.on('unhandledRejection', (reason) => faults.push(String(reason)))
  return () => faults
}
