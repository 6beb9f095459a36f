/** The results as Markdown. */
import { ahead, type ComparisonTable } from './comparison-table.ts'
import { commandOf, type Document } from './document.ts'
import { machineLines, peerLine } from './machine.ts'
import { reasonsFor } from './reasons.ts'
import type { Result } from './result.ts'
import { figure, spread } from './table.ts'
import { foundOf, saidOf, verdictsOf } from './targets.ts'

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string[] => [
  row(head),
  row(head.map((_, n) => (n === 0 ? '---' : '---:'))),
  ...rows.map(row),
]

/** Lines that say when each part was measured, and on what. */
export function runLines(documents: readonly Document[]): string[] {
  const runs = documents.map(({ when, options, machine, disk, warnings, sections }) => {
    const minutes = sections.reduce((sum, { seconds }) => sum + seconds, 0) / 60
    const { p50, p99 } = disk.sync
    return [
      `${when.slice(0, 16).replace('T', ' ')} UTC`,
      `\`${commandOf(options)}\``,
      sections.map(({ benchmark }) => benchmark).join(', '),
      minutes.toFixed(1),
      machine.load.toFixed(2),
      `${p50.toFixed(2)} ms (p99 ${p99.toFixed(2)} ms)${disk.inMemory ? ', IN MEMORY' : ''}`,
      warnings.join(' '),
    ]
  })
  const machines = new Set(documents.map(({ machine }) => `${machineLines(machine)}\n${peerLine(machine)}`))
  return [
    ...[...machines].flatMap((lines) => ['```', lines, '```', '']),
    ...table(['run', 'command', 'what', 'minutes', 'load average', 'append and sync 4 KiB', ''], runs),
    '',
  ]
}

export function targetTable(documents: readonly Document[]): string[] {
  const rows = documents.flatMap(({ options, sections }) =>
    verdictsOf(options, sections).map((verdict) => [
      verdict.row,
      verdict.target?.text ?? '',
      foundOf(verdict),
      verdict.ratio,
      saidOf(verdict),
      `\`${verdict.command}\``,
    ]),
  )
  return table(['', 'target', 'found', 'ratio', '', 'command'], rows)
}

/** The rows of one benchmark beside the raw driver. */
export const resultTable = (results: readonly Result[]): string[] => [
  ...table(
    ['', 'meshstore', 'raw', 'ratio (p10–p90)'],
    results.map(({ name, unit, ours, raw, ratio }) => [
      name,
      figure(ours.p50, unit),
      raw === undefined ? '' : figure(raw.p50, unit),
      ratio === undefined ? '' : spread(ratio, '×'),
    ]),
  ),
  ...results.flatMap(({ name, notes = [] }) => (notes.length === 0 ? [] : ['', `${name}: ${notes.join(' ')}`])),
]

export function comparisonTable(of: ComparisonTable, { options }: Document, benchmark: string): string[] {
  const { title, columns, rows, notes, peers } = of
  const figures = rows.map(({ name, unit, cells }) => [
    name,
    ...columns.map((_, n) => {
      const cell = cells[n]
      if (cell === undefined) return '–'
      const value = figure(cell.value.p50, unit)
      return cell.ratio === undefined ? value : `${value}<br>${spread(cell.ratio, '×')} ×`
    }),
  ])
  return [
    `### ${title}`,
    '',
    `\`${commandOf(options, benchmark)}\``,
    '',
    ...table(['', ...columns], figures),
    ...notes.flatMap((note) => ['', note]),
    ...(peers && rows.length > 0 ? ['', ...standing(of)] : []),
    '',
  ]
}

/** The library's rank: which peers are ahead of it in what, and why. */
function standing(of: ComparisonTable): string[] {
  const { title, columns, rows } = of
  const leaders = columns.flatMap((peer, column) => {
    const times = rows
      .filter((each) => ahead(of, each).includes(peer))
      .map(({ name, cells }) => `${name} ${cells[column]?.ratio?.p50.toFixed(2)} ×`)
    return times.length === 0 ? [] : [{ peer, times: times.join(', ') }]
  })
  if (leaders.length === 0) return ['Nobody is ahead of meshstore here.']
  const names = leaders.map(({ peer }) => peer)
  return [
    `Ahead of meshstore: ${leaders.map(({ peer, times }) => `**${peer}** (${times})`).join('; ')}.`,
    ...reasonsFor(title, names).flatMap((reason) => ['', once(reason)]),
  ]
}

const said = new Set<string>()

/** A reason that has been given for a table before is not repeated. */
function once(reason: string): string {
  if (said.has(reason)) return `${reason.slice(0, reason.indexOf(':'))}: as above.`
  said.add(reason)
  return reason
}
