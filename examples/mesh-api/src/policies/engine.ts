/**
 * Decides what may be used. The first rule that matches wins, over the policies in the order given; if none does, their
 * defaults decide: DENY if one of them says so, else ALLOW.
 *
 * It fails closed. If it cannot be told whether a rule matches (an unknown condition, say), a rule that denies is taken
 * to match, and one that allows is taken not to.
 */
import type { MayUse } from '../pathfinder/filter.ts'
import type { Circumstances, Verdict } from './conditions.ts'
import type { PolicyRules, Rule } from './rules.ts'

export interface Question {
  readonly subject: string
  /** The spellings of one action. */
  readonly actions: readonly string[]
  /** Like `mesh.nodes`: a rule for `mesh` holds for it, too. */
  readonly resource: string
}

export class PolicyEngine {
  readonly #byAction = new Map<string, NumberedRule[]>()
  /** Rules for `*`, `node_use:*` and the like, and those of which the action cannot be read. */
  readonly #forMany: NumberedRule[] = []
  readonly #default: boolean

  constructor(policies: readonly PolicyRules[]) {
    this.#default = !policies.some((policy) => policy.default === 'DENY')
    for (const [number, rule] of policies.flatMap(({ rules }) => rules).entries()) {
      const { action } = rule
      if (action === undefined || action.endsWith('*')) this.#forMany.push({ number, rule })
      else this.#byAction.set(action, [...(this.#byAction.get(action) ?? []), { number, rule }])
    }
  }

  allows({ actions, ...asked }: Question, circumstances: Circumstances): boolean {
    for (const { rule } of this.#rulesFor(actions)) {
      const verdict = matches(rule, asked, circumstances)
      if (verdict ?? rule.effect === 'DENY') return rule.effect === 'ALLOW'
    }
    return this.#default
  }

  /** In their order. Most questions concern no rule: thousands are asked for one path. */
  #rulesFor(actions: readonly string[]): readonly NumberedRule[] {
    let found = NONE
    for (const action of actions) {
      const named = this.#byAction.get(action)
      if (named !== undefined) found = [...found, ...named]
    }
    if (this.#forMany.length > 0) {
      const many = this.#forMany.filter(({ rule }) => actions.some((action) => isOfMany(rule.action, action)))
      found = [...found, ...many]
    }
    return found.length > 1 ? found.toSorted((a, b) => a.number - b.number) : found
  }

  /** The answers for the pathfinder, on behalf of the node where the paths begin. */
  mayUse(subject: string, circumstances: Circumstances): MayUse {
    const ask = (resource: string, ...actions: string[]): boolean =>
      this.allows({ subject, actions, resource }, circumstances)
    return {
      node: (id) => ask('mesh.nodes', `node_use:${id}`),
      // A link works in both directions: either order names it.
      link: (one, other) => ask('mesh.links', `edge_use:${one}:${other}`, `edge_use:${other}:${one}`),
      route: (protocol) => ask('mesh.routes', `route_use:${protocol}`),
    }
  }
}

interface NumberedRule {
  readonly number: number
  readonly rule: Rule
}

const NONE: readonly NumberedRule[] = []

const isOfMany = (pattern: string | undefined, action: string): boolean =>
  pattern === undefined || action.startsWith(pattern.slice(0, -1))

function matches(rule: Rule, asked: Omit<Question, 'actions'>, circumstances: Circumstances): Verdict {
  const verdicts = [
    rule.action === undefined ? undefined : true,
    rule.subject === undefined ? undefined : rule.subject === '*' || rule.subject === asked.subject,
    covers(rule, asked.resource),
    ...rule.conditions.map((condition) => condition(circumstances)),
  ]
  if (verdicts.includes(false)) return false
  return verdicts.includes(undefined) ? undefined : true
}

/** An action of the mesh's own says nothing of a resource that is none of the mesh's. */
function covers({ action, resource }: Rule, asked: string): Verdict {
  if (resource === undefined) return undefined
  if (resource === '*' || asked === resource || asked.startsWith(`${resource}.`)) return true
  return action !== undefined && /^(node|edge|route)_use:/.test(action) ? undefined : false
}
