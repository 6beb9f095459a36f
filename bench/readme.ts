/**
 * `node bench/readme.ts`: the figures of README.md, from RESULTS.md. `report.ts` does it, too; a test compares the two files.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const README = join(import.meta.dirname, '../README.md')
const RESULTS = join(import.meta.dirname, 'RESULTS.md')
const BEGIN = '<!-- by bench/readme.ts -->\n'
const END = '<!-- end -->'
const PEERS = ['meshstore', 'better-sqlite3', 'Drizzle', 'Kysely', 'Prisma', 'TypeORM']
/** Heading of a table in RESULTS.md, its row, and what README.md calls it. */
const ROWS = [
  ['SQLite: reads, one at a time', 'read by id', 'read a row by its id'],
  ['SQLite: writes, one at a time, durable', 'update', 'update, durable, one at a time'],
  ['SQLite: writes, 1,000 in flight, durable', 'insert', 'insert, durable, 1,000 in flight'],
  ['SQLite: writes, 1,000 in flight, durable', 'update', 'update, durable, 1,000 in flight'],
] as const

export function withFigures(readme: string, results: string): string {
  const [before, rest] = parted(readme, BEGIN)
  const [, after] = parted(rest, END)
  return sentences(`${before}${BEGIN}\n${table(results)}\n\n${END}${after}`, results)
}

function table(results: string): string {
  const rows = ROWS.map(([heading, row, name]) => {
    const cells = rowOf(results, `### ${heading}`, row)
    return [name, ...PEERS.map((peer) => rounded(cells.get(peer) ?? ''))]
  })
  const head = ['a call takes', 'Meshstore', ...PEERS.slice(1)]
  return [head, ['---', ...PEERS.map(() => '---:')], ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** Figures in sentences and cells: what stands before and behind each. */
function sentences(readme: string, results: string): string {
  const inFlight = rowOf(results, '### SQLite: writes, 1,000 in flight, durable', 'insert')
  const perSecond = (peer: string): string =>
    Number((1e6 / microseconds(inFlight.get(peer))).toPrecision(3)).toLocaleString('en')
  const ratio = (row: string): string => (rowOf(results, '## Targets', row).get('ratio') ?? '').trim()
  const figures = [
    [/(one sync each: )[\d,]+(?= per second)/, perSecond('better-sqlite3')],
    [/(group commit: )[\d,]+(?= per second)/, perSecond('meshstore')],
    [/(reading a node )[\d.]+ ×/, ratio('read node by id')],
    [/(a durable insert )[\d.]+ ×/, ratio('insert node, durable')],
    [/(a durable update )[\d.]+ ×/, ratio('update node, durable')],
  ] as const
  return figures.reduce((text, [place, figure]) => {
    if (!place.test(text)) throw new Error(`README.md has no place for a figure: ${place}`)
    return text.replace(place, `$1${figure}`)
  }, readme)
}

/** The cells of a row by their columns: the first row of that name below the heading. */
function rowOf(results: string, heading: string, row: string): ReadonlyMap<string, string> {
  const [, section] = parted(results, `\n${heading}\n`)
  const lines =
    section
      .split(/^##/m, 1)[0]
      ?.split('\n')
      .filter((line) => line.startsWith('|')) ?? []
  const cells = (line = ''): string[] =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim())
  const found = lines.map(cells).find(([name]) => name === row)
  if (found === undefined) throw new Error(`RESULTS.md has no row ${row} below ${heading}.`)
  return new Map(cells(lines[0]).map((column, index) => [column, found[index] ?? '']))
}

/** `203.7 µs<br>0.87 (0.66–1.49) ×`: the time. */
const timeOf = (cell: string): string => cell.split('<br>')[0] ?? ''

function microseconds(cell = ''): number {
  const [, figure, unit] = /^([\d.,]+) (µs|ms)$/.exec(timeOf(cell)) ?? []
  if (figure === undefined) throw new Error(`Not a time: ${cell}`)
  return Number(figure.replaceAll(',', '')) * (unit === 'ms' ? 1_000 : 1)
}

const rounded = (cell: string): string => `${Number(microseconds(cell).toPrecision(2))} µs`

function parted(text: string, by: string): [string, string] {
  const at = text.indexOf(by)
  if (at === -1) throw new Error(`There is no ${JSON.stringify(by)}.`)
  return [text.slice(0, at), text.slice(at + by.length)]
}

export function updateReadme(): void {
  writeFileSync(README, withFigures(readFileSync(README, 'utf8'), readFileSync(RESULTS, 'utf8')))
}

if (import.meta.main) updateReadme()
