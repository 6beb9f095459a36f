import type { z } from 'zod'
import { type ValidationIssue, validationError } from '../errors.ts'
import { shown } from '../schema/rules.ts'

type Validators = typeof import('../schema/validators.ts')
let loaded: Validators | undefined

/** The validators, loaded when they are first needed. */
export async function validators(): Promise<Validators> {
  loaded ??= await import('../schema/validators.ts')
  return loaded
}

type PolicyText = typeof import('../schema/policy-text.ts')
let policyTextLoaded: PolicyText | undefined

export async function policyText(): Promise<PolicyText> {
  policyTextLoaded ??= await import('../schema/policy-text.ts')
  return policyTextLoaded
}

/** What the schema makes of the value: a copy. Throws VALIDATION; `what` begins the message, `path` each issue's path. */
export function checked<S extends z.ZodType>(schema: S, what: string, value: unknown, path = ''): z.output<S> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw validationError(
    what,
    result.error.issues.flatMap((issue) => issuesOf(issue, path)),
  )
}

function issuesOf(issue: z.core.$ZodIssue, prefix: string): ValidationIssue[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: pathOf(prefix, [...issue.path, key]), message: 'is not a known property' }))
  }
  return [{ path: pathOf(prefix, issue.path), message: issue.message }]
}

function pathOf(prefix: string, parts: readonly PropertyKey[]): string {
  let path = prefix
  for (const part of parts) {
    if (typeof part === 'number') path += `[${part}]`
    else path += path === '' ? shown(String(part)) : `.${shown(String(part))}`
  }
  return path
}

/** Values checked at once before the event loop runs on. */
const SLICE = 1_000

/** Checks a list, `[3].interfaces[1]` by `[3].interfaces[1]`, in slices. */
export async function checkedAll<T>(
  what: string,
  values: readonly unknown[],
  check: (value: unknown, path: string) => T,
): Promise<T[]> {
  if (!Array.isArray(values)) throw validationError(what, [{ path: '', message: 'must be a list' }])
  const copy: readonly unknown[] = [...values]
  const all: T[] = []
  for (const [index, value] of copy.entries()) {
    if (index > 0 && index % SLICE === 0) await new Promise((resolve) => setImmediate(resolve))
    all.push(check(value, `[${index}]`))
  }
  return all
}
