/** `node bench/report.ts FILE...`: RESULTS.md, its plots and the figures of README.md, from what `npm run bench -- --json` wrote. The last file wins. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isTable } from './comparison-table.ts'
import type { Outcome } from './context.ts'
import { type Document, documentOf, type Section } from './document.ts'
import { comparisonTable, resultTable, runLines, targetTable } from './markdown.ts'
import { plotsOf } from './plots.ts'
import { updateReadme } from './readme.ts'
import type { Result } from './result.ts'

const folder = import.meta.dirname
const PLOTS = 'plots'

const read: readonly Document[] = process.argv.slice(2).map((file) => documentOf(readFileSync(file, 'utf8')))
if (read.length === 0) throw new Error('node bench/report.ts FILE...')

/** A median of times that were mostly somebody else's is still that. */
const BUSY = [
  '**The machine was busy**: more was running than it has cores. Targets in milliseconds or per second were then held against',
  'what was left of it, and ratios have a wide spread: measure again on an idle one before a line is believed to have changed.',
  '',
]

/** Each benchmark once: as it was measured last. */
const documents = read.map((document, n): Document => {
  const later = new Set(read.slice(n + 1).flatMap(({ sections }) => sections.map(({ benchmark }) => benchmark)))
  return { ...document, sections: document.sections.filter(({ benchmark }) => !later.has(benchmark)) }
})
const sections = documents.flatMap((document) => document.sections)
const plots = plotsOf(sections)

mkdirSync(join(folder, PLOTS), { recursive: true })
for (const { file, svg } of plots) writeFileSync(join(folder, PLOTS, file), svg)
writeFileSync(join(folder, 'RESULTS.md'), `${report().join('\n').trimEnd()}\n`)
updateReadme()

function report(): string[] {
  const of = (work: (document: Document, section: Section) => string[]): string[] =>
    documents.flatMap((document) => document.sections.flatMap((section) => work(document, section)))
  return [
    '# Results',
    '',
    'Written by `node bench/report.ts`, from what `npm run bench -- --json` measured; no figure is typed in. Figures are',
    'medians of interleaved rounds, with the ratios’ 10th and 90th percentile. Ratios within a run are what to compare: the',
    'absolute times are those of a small shared machine, whose load average is given.',
    '',
    ...(documents.some(({ machine }) => machine.load > machine.cores) ? BUSY : []),
    ...runLines(documents),
    '## Targets',
    '',
    ...targetTable(documents),
    '',
    '## What matters most',
    '',
    ...plots.flatMap(({ file, title }) => [`![${title}](${PLOTS}/${file})`, '']),
    '## Beside the peers',
    '',
    'A ratio is the peer’s figure by meshstore’s of the same round: of a time, above 1 meshstore is faster; of a rate, below 1.',
    '',
    ...of((document, { benchmark, outcomes }) =>
      outcomes.filter(isTable).flatMap((table) => comparisonTable(table, document, benchmark)),
    ),
    '## Beside the raw driver',
    '',
    ...of((_, { benchmark, outcomes }) => rowsOf(benchmark, outcomes)),
  ]
}

function rowsOf(benchmark: string, outcomes: readonly Outcome[]): string[] {
  const results = outcomes.filter((outcome): outcome is Result => !isTable(outcome))
  return results.length === 0 ? [] : [`### ${benchmark}`, '', ...resultTable(results), '']
}
