/** Every target once more, in one place, with the command that measures it. */
import { isTable } from './comparison-table.ts'
import { commandOf, type Section } from './document.ts'
import type { Result, Target } from './result.ts'
import { figure } from './table.ts'

export interface Verdict {
  readonly row: string
  /** None where it was not measured. */
  readonly target: Target | undefined
  readonly ratio: string
  readonly command: string
}

export function verdictsOf(options: readonly string[], sections: readonly Section[]): Verdict[] {
  return sections.flatMap(({ benchmark, outcomes }) => {
    const command = commandOf(options, benchmark)
    return outcomes
      .filter((outcome): outcome is Result => !isTable(outcome))
      .flatMap((result): Verdict[] => {
        const { name: row, targets, ratio, notes = [] } = result
        const against = ratio === undefined ? '' : `${ratio.p50.toFixed(2)} ×`
        const missing = targets.length === 0 && notes.some((note) => note.startsWith('NOT MEASURED'))
        if (missing) return [{ row, target: undefined, ratio: against, command }]
        return targets.map((target) => ({ row, target, ratio: against, command }))
      })
  })
}

export const saidOf = ({ target }: Verdict): string => {
  if (target === undefined) return 'NOT MEASURED'
  return target.met ? 'met' : 'NOT MET'
}

export const foundOf = ({ target }: Verdict): string =>
  target === undefined ? '' : target.unit === '' ? String(target.value) : figure(target.value, target.unit)

export function targetLines(options: readonly string[], sections: readonly Section[]): string {
  const lines = verdictsOf(options, sections).map((verdict) => {
    const { row, target, command } = verdict
    return `  ${saidOf(verdict).padEnd(13)}${row.padEnd(46)}${(target?.text ?? '').padEnd(32)}${foundOf(verdict).padStart(11)}  ${command}`
  })
  return lines.length === 0 ? '' : ['', 'Targets', ...lines].join('\n')
}
