/** The results as a person reads them, in 100 columns. */
import { type ComparisonTable, lead } from './comparison-table.ts'
import type { Disk } from './disk.ts'
import { warnings } from './library.ts'
import { type Machine, machineLines, peerLine } from './machine.ts'
import type { Result, Unit } from './result.ts'
import type { Summary } from './statistics.ts'

export function header(when: Date, machine: Machine, { sync, inMemory }: Disk): string {
  const lines = [
    `${when.toISOString().slice(0, 16).replace('T', ' ')} UTC`,
    machineLines(machine),
    peerLine(machine),
    `the disk: ${sync.p50.toFixed(2)} ms to append and sync 4 KiB (p99 ${sync.p99.toFixed(2)} ms); load average ${machine.load.toFixed(2)}`,
  ]
  if (inMemory) lines.push('The folder is in memory: a sync costs nothing here. Choose another with --folder.')
  return [...lines, ...warnings()].join('\n')
}

const COLUMNS = { name: 36, figure: 11, ratio: 22 }

export const TITLES = [
  ''.padEnd(COLUMNS.name),
  'meshstore'.padStart(COLUMNS.figure),
  'raw'.padStart(COLUMNS.figure),
  'ratio (p10–p90)'.padStart(COLUMNS.ratio),
  '  target',
].join('')

export function lineOf({ name, unit, ours, raw, ratio, targets, notes = [] }: Result): string {
  const figures = [
    name.padEnd(COLUMNS.name),
    figure(ours.p50, unit).padStart(COLUMNS.figure),
    (raw === undefined ? '' : figure(raw.p50, unit)).padStart(COLUMNS.figure),
    (ratio === undefined ? spread(ours, unit) : spread(ratio, '×')).padStart(COLUMNS.ratio),
  ].join('')
  const verdicts = targets.map(({ text, value, unit: of, met }) => {
    const verdict = met ? 'met' : 'NOT MET'
    return `${text}: ${of === '' ? '' : `${figure(value, of)}, `}${verdict}`
  })
  const indent = ' '.repeat(COLUMNS.name)
  const [first = '', ...rest] = verdicts
  return [
    `${figures}  ${first}`.trimEnd(),
    ...rest.map((text) => `${indent}${text}`),
    ...notes.map((note) => `${indent}${note}`),
  ].join('\n')
}

/** A line for each cell, since the columns may be many. */
export function linesOf({ title, columns, rows, notes, peers }: ComparisonTable): string {
  const lines = rows.flatMap(({ name, unit, cells }) =>
    columns.flatMap((column, n) => {
      const cell = cells[n]
      if (cell === undefined) return []
      const ahead = peers && (lead(unit, cell) ?? 1) < 1
      return [
        [
          (n === 0 ? `  ${name}` : '').padEnd(COLUMNS.name),
          column.padEnd(24),
          figure(cell.value.p50, unit).padStart(COLUMNS.figure + 2),
          (cell.ratio === undefined ? '' : `${spread(cell.ratio, '×')} ×`).padStart(COLUMNS.ratio),
          ahead ? '  ahead' : '',
        ]
          .join('')
          .trimEnd(),
      ]
    }),
  )
  return ['', title, ...lines, ...notes.map((note) => `  ${note}`)].join('\n')
}

export function spread({ samples, p10, p50, p90 }: Summary, unit: Unit): string {
  if (Number.isNaN(p50)) return ''
  if (samples < 2) return unit === '×' ? p50.toFixed(2) : ''
  if (unit === '×') return `${p50.toFixed(2)} (${p10.toFixed(2)}–${p90.toFixed(2)})`
  return `(${bare(p10)}–${bare(p90)})`
}

export const figure = (value: number, unit: Unit): string => {
  if (Number.isNaN(value)) return '–'
  if (unit === '') return String(value)
  return unit === '/s' ? `${Math.round(value).toLocaleString('en')}/s` : `${bare(value)} ${unit}`
}
const bare = (value: number): string => value.toFixed(value < 1 ? 3 : value < 10 ? 2 : 1)
