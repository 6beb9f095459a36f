/** Says what is going on: a bar in a terminal, and a line when a step is done. */
import { SingleBar } from 'cli-progress'

export interface Progress {
  /** A step of so many parts begins. */
  begin(what: string, parts: number): void
  advance(parts?: number): void
  /** The step is over; `line` says what came of it. */
  done(line: string): void
}

export const silent: Progress = { begin() {}, advance() {}, done() {} }

/** On standard output; without a terminal there, lines alone. */
export function visible(): Progress {
  let bar: SingleBar | undefined
  return {
    begin(what, parts) {
      if (!process.stdout.isTTY) return
      bar = new SingleBar({ format: '{bar} {what}', barsize: 24, clearOnComplete: true, hideCursor: true })
      bar.start(parts, 0, { what })
    },
    advance(parts = 1) {
      bar?.increment(parts)
    },
    done(line) {
      bar?.stop()
      bar = undefined
      console.log(line)
    },
  }
}
