/** The plots that matter most, from what was measured. */
import { type ComparisonTable, isTable } from './comparison-table.ts'
import type { Section } from './document.ts'
import { bars, type Line, lines } from './svg.ts'
import { figure } from './table.ts'

export interface Plot {
  readonly file: string
  readonly title: string
  readonly svg: string
}

const MICROSECONDS = 1_000_000

/** The plots whose tables have been measured. */
export function plotsOf(sections: readonly Section[]): Plot[] {
  const tables = sections.flatMap(({ outcomes }) => outcomes.filter(isTable))
  const titled = (title: string): ComparisonTable | undefined => tables.find((table) => table.title === title)
  return [
    readPlot(titled('SQLite: reads, one at a time')),
    writePlot(titled('SQLite: writes, 1,000 in flight, durable')),
    growthPlot(titled('SQLite: as the nodes grow'), titled('SQLite: as the cached paths grow')),
    shopPlot(tables.find(({ title }) => title.startsWith('A shop'))),
  ].filter((plot) => plot !== undefined)
}

function readPlot(table: ComparisonTable | undefined): Plot | undefined {
  const title = 'SQLite: a node read by its id, µs (logarithmic; less is better)'
  const values = valuesOf(table, 'read by id').map(({ label, value }) => ({ label, value, text: figure(value, 'µs') }))
  return values.length === 0 ? undefined : { file: 'read.svg', title, svg: bars(title, values, 'logarithmic') }
}

function writePlot(table: ComparisonTable | undefined): Plot | undefined {
  const title = 'SQLite: durable inserts per second, 1,000 in flight (more is better)'
  const values = valuesOf(table, 'insert').map(({ label, value }) => {
    const perSecond = MICROSECONDS / value
    return { label, value: perSecond, text: figure(perSecond, '/s') }
  })
  return values.length === 0 ? undefined : { file: 'in-flight.svg', title, svg: bars(title, values, 'linear') }
}

function shopPlot(table: ComparisonTable | undefined): Plot | undefined {
  const title = 'A shop’s load over HTTP, requests per second (more is better)'
  const values = valuesOf(table, 'requests').map(({ label, value }) => ({ label, value, text: figure(value, '/s') }))
  return values.length === 0 ? undefined : { file: 'shop.svg', title, svg: bars(title, values, 'linear') }
}

function growthPlot(nodes: ComparisonTable | undefined, paths: ComparisonTable | undefined): Plot | undefined {
  const title = 'SQLite: what a call takes as the file grows, by its rows (both logarithmic)'
  const line = (table: ComparisonTable | undefined, row: string, label: string): Line[] => {
    const points = valuesOf(table, row).map(
      ({ label: size, value }) => [Number(size.replaceAll(',', '')), value] as const,
    )
    return points.length === 0 ? [] : [{ label, points }]
  }
  const all = [
    ...line(nodes, 'read by id', 'read a node by id'),
    ...line(nodes, 'list a page of 100', 'list a page of 100'),
    ...line(nodes, 'insert, durable', 'insert a node, durable'),
    ...line(paths, 'hit', 'cache hit'),
  ]
  return all.length === 0 ? undefined : { file: 'growth.svg', title, svg: lines(title, 'µs', all) }
}

function valuesOf(table: ComparisonTable | undefined, name: string): { label: string; value: number }[] {
  const row = table?.rows.find((each) => each.name === name)
  if (table === undefined || row === undefined) return []
  return table.columns.flatMap((label, n) => {
    const value = row.cells[n]?.value.p50
    return value === undefined || Number.isNaN(value) ? [] : [{ label, value }]
  })
}
