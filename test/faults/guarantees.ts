/** The table of docs/guarantees.md: a row for each promise, of which the last cell is what the last run came to. */

/** A row names its test in the last cell but one, as a link. */
const ROW = /^\|(?<promise>.*)\|(?<limits>.*)\|(?<test>[^|]*)\|(?<figures>[^|]*)\|$/
const LINK = /\]\(\.\.\/(?<file>[^)]+)\)/g

export interface Guarantee {
  readonly promise: string
  readonly limits: string
  /** From the root. */
  readonly tests: readonly string[]
  readonly figures: string
}

const rowOf = (line: string): Guarantee | undefined => {
  const { promise = '', limits = '', test = '', figures = '' } = ROW.exec(line)?.groups ?? {}
  const tests = [...test.matchAll(LINK)].map((match) => match.groups?.file ?? '')
  return tests.length === 0 ? undefined : { promise, limits, tests, figures: figures.trim() }
}

export const guaranteesIn = (document: string): Guarantee[] => document.split('\n').flatMap((line) => rowOf(line) ?? [])

/** The document with the figures of a run, by test file. A row keeps its own unless all of its tests have run. */
export function withFigures(document: string, figures: ReadonlyMap<string, readonly string[]>): string {
  return document
    .split('\n')
    .map((line) => {
      const row = rowOf(line)
      if (row === undefined || !row.tests.every((test) => figures.has(test))) return line
      const shown = row.tests.flatMap((test) => figures.get(test) ?? [])
      const cell = shown.join('; ').replaceAll('|', '/')
      return `${line.slice(0, line.lastIndexOf('|', line.length - 2))}| ${cell} |`
    })
    .join('\n')
}
