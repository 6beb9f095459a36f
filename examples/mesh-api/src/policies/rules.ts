/** The content of a policy's text: `rules: [{ id, effect, subject, action, resource, conditions }]` and `default:`. */
import { type Condition, conditionOf } from './conditions.ts'

export interface Rule {
  readonly effect: 'ALLOW' | 'DENY'
  /** `'*'` for all; `undefined` where it cannot be read. */
  readonly subject: string | undefined
  readonly action: string | undefined
  readonly resource: string | undefined
  /** All of them must hold. */
  readonly conditions: readonly Condition[]
}

export interface PolicyRules {
  readonly rules: readonly Rule[]
  /** The decision if no rule matches; `undefined` if the text does not say. */
  readonly default: 'ALLOW' | 'DENY' | undefined
  /** The text's problems, by places like `rules[3].effect`. */
  readonly problems: readonly Problem[]
}

export interface Problem {
  readonly path: string
  readonly message: string
}

/** Parses YAML within the storage's limits: `policyDocuments` of the library. */
export type ParsePolicy = (text: string) => Promise<readonly unknown[]>

/** A text that `parse` refuses denies everything. */
export const rulesOf = async (text: string, parse: ParsePolicy): Promise<PolicyRules> =>
  readRules(await parse(text).catch(() => undefined))

/** Never throws. The stricter reading is taken for everything that is malformed; `problems` names it. */
export function readRules(documents: readonly unknown[] | undefined): PolicyRules {
  const reading = new Reading()
  if (documents === undefined) reading.refuse('', 'is not valid YAML')
  for (const document of documents ?? []) reading.document(document)
  const { rules, defaults, problems } = reading
  const default_ = defaults.includes('DENY') ? 'DENY' : defaults[0]
  return { rules, default: problems.some(({ path }) => path === '') ? 'DENY' : default_, problems }
}

class Reading {
  readonly rules: Rule[] = []
  readonly defaults: ('ALLOW' | 'DENY')[] = []
  readonly problems: Problem[] = []

  refuse(path: string, message: string): void {
    this.problems.push({ path, message })
  }

  /** A text of another kind, a Kubernetes NetworkPolicy say, has no `rules` and decides nothing here. */
  document(document: unknown): void {
    const members = membersOf(document)
    if (members === undefined) return
    const { default: default_, rules } = members
    if (default_ !== undefined) this.defaults.push(this.#effect(default_, 'default'))
    if (rules === undefined || rules === null) return
    if (Array.isArray(rules)) for (const [index, rule] of rules.entries()) this.#rule(rule, `rules[${index}]`)
    else {
      this.refuse('rules', 'must be a list')
      this.rules.push(NOT_UNDERSTOOD)
    }
  }

  #rule(rule: unknown, path: string): void {
    const members = membersOf(rule)
    if (members === undefined) {
      this.refuse(path, 'must have effect, subject and action')
      this.rules.push(NOT_UNDERSTOOD)
      return
    }
    const { id, effect, subject, action, resource = '*', conditions = [] } = members
    this.#text(id, `${path}.id`)
    this.rules.push({
      effect: this.#effect(effect, `${path}.effect`),
      subject: this.#text(subject, `${path}.subject`),
      action: this.#text(action, `${path}.action`),
      resource: this.#text(resource, `${path}.resource`),
      conditions: this.#conditions(conditions, `${path}.conditions`),
    })
  }

  #text(value: unknown, path: string): string | undefined {
    if (typeof value === 'string' && value !== '') return value
    this.refuse(path, 'must be a text')
    return undefined
  }

  #effect(value: unknown, path: string): 'ALLOW' | 'DENY' {
    const effect = typeof value === 'string' ? value.toUpperCase() : undefined
    if (effect === 'ALLOW' || effect === 'DENY') return effect
    this.refuse(path, 'must be ALLOW or DENY')
    return 'DENY'
  }

  #conditions(value: unknown, path: string): Condition[] {
    if (Array.isArray(value)) return value.map(conditionOf)
    this.refuse(path, 'must be a list')
    return [conditionOf(value)]
  }
}

const NOT_UNDERSTOOD: Rule = {
  effect: 'DENY',
  subject: undefined,
  action: undefined,
  resource: undefined,
  conditions: [],
}

const membersOf = (value: unknown): Readonly<Record<string, unknown>> | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined
