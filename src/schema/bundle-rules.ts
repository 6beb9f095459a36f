import { propertyOf, type ValidationIssue, validationError } from '../errors.ts'
import { JsonText } from './codecs.ts'
import { isId, isStorableText, MAX_DEPTH, MAX_TEXT_BYTES, shown, within } from './rules.ts'

/** The bundle as JSON: later changes of the object do not affect it. Throws VALIDATION; issue paths begin with `path`. */
export function bundleText(bundle: unknown, path: string): JsonText {
  const { text, issues } = looked(bundle)
  if (text !== undefined) return new JsonText(text)
  throw validationError(
    'The bundle',
    issues.map((issue) => within(path, issue)),
  )
}

/** The issues of an object that a column of JSON shall hold: it must be plain JSON that a read returns unchanged. */
export function jsonProblems(value: unknown): readonly ValidationIssue[] | undefined {
  if (!isObject(value)) return [{ path: '', message: 'must be an object' }]
  try {
    const issue = new JsonLook().problem(value, '', 0)
    if (issue !== undefined) return [issue]
    return Buffer.byteLength(JSON.stringify(value)) > MAX_TEXT_BYTES ? [TOO_LARGE] : undefined
  } catch {
    return [{ path: '', message: 'cannot be read' }]
  }
}

/** The issues of a bundle: it must be plain JSON that a read returns unchanged. */
export const bundleProblems = (bundle: unknown): readonly ValidationIssue[] => looked(bundle).issues

function looked(bundle: unknown): { text?: string; issues: readonly ValidationIssue[] } {
  try {
    const issue = new JsonLook().problem(bundle, '', 0)
    if (issue !== undefined) return { issues: [issue] }
    const text = JSON.stringify(bundle)
    if (Buffer.byteLength(text) > MAX_TEXT_BYTES) return { issues: [TOO_LARGE] }
    // Checks the JSON that will be stored, not the object: a getter may return another value each time.
    const issues = shapeProblems(JSON.parse(text))
    return issues.length === 0 ? { text, issues } : { issues }
  } catch {
    return { issues: [{ path: '', message: 'cannot be read' }] }
  }
}

const TOO_LARGE: ValidationIssue = { path: '', message: `must not be larger than ${MAX_TEXT_BYTES} bytes as JSON` }

function shapeProblems(bundle: unknown): ValidationIssue[] {
  if (!isObject(bundle)) return [{ path: '', message: 'must be an object' }]
  const issues: ValidationIssue[] = []
  for (const end of ['source', 'destination'] as const) {
    const message = isId(bundle[end])
    if (message !== undefined) issues.push({ path: end, message })
  }
  issues.push(...pathProblems('primary', bundle.primary))
  if (bundle.alternatives !== undefined) issues.push(...pathProblems('alternatives', bundle.alternatives))
  return issues
}

function pathProblems(name: string, paths: unknown): ValidationIssue[] {
  if (!Array.isArray(paths)) return [{ path: name, message: 'must be a list of paths' }]
  const issues: ValidationIssue[] = []
  for (const [index, path] of paths.entries()) {
    const at = `${name}[${index}].nodes`
    const nodes: unknown = path?.nodes
    if (!Array.isArray(nodes)) {
      issues.push({ path: at, message: 'must be a list of node ids' })
      continue
    }
    for (const [position, node] of nodes.entries()) {
      const message = isId(node)
      if (message !== undefined) issues.push({ path: `${at}[${position}]`, message })
    }
  }
  return issues
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Walks once through a value that shall be JSON. */
class JsonLook {
  /** JSON repeats a shared object at each reference; each copy takes at least two bytes. */
  #left = MAX_TEXT_BYTES / 2

  /** The first part that JSON would lose, change or refuse. */
  problem(value: unknown, path: string, depth: number): ValidationIssue | undefined {
    if (this.#left-- <= 0) return TOO_LARGE
    if (value === null || typeof value === 'boolean') return undefined
    if (typeof value === 'string') return problemAt(path, isStorableText(value))
    if (typeof value === 'number')
      return problemAt(path, Number.isFinite(value) ? undefined : 'must be a finite number')
    if (typeof value !== 'object') return problemAt(path, 'is nothing that JSON can hold')
    if (depth >= MAX_DEPTH) return problemAt('', `must not be nested more than ${MAX_DEPTH} levels deep`)
    if (!isPlain(value)) return problemAt(path, 'must be a plain object or list')
    return Array.isArray(value) ? this.#listProblem(value, path, depth) : this.#objectProblem(value, path, depth)
  }

  #listProblem(list: readonly unknown[], path: string, depth: number): ValidationIssue | undefined {
    for (let index = 0; index < list.length; index++) {
      const issue = this.problem(list[index], `${path}[${index}]`, depth + 1)
      if (issue !== undefined) return issue
    }
    return undefined
  }

  #objectProblem(value: object, path: string, depth: number): ValidationIssue | undefined {
    for (const [name, member] of Object.entries(value)) {
      // `undefined` means absent, as in JSON.
      if (member === undefined) continue
      const at = path === '' ? shown(name) : `${path}.${shown(name)}`
      const issue = problemAt(at, isStorableText(name)) ?? this.problem(member, at, depth + 1)
      if (issue !== undefined) return issue
    }
    return undefined
  }
}

const problemAt = (path: string, message: string | undefined): ValidationIssue | undefined =>
  message === undefined ? undefined : { path, message }

/** Whether an object is plain: no class, symbols or toJSON(), which JSON would lose. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  const isKnown = prototype === null || prototype === Object.prototype || prototype === Array.prototype
  return (
    isKnown && typeof propertyOf(value, 'toJSON') !== 'function' && Object.getOwnPropertySymbols(value).length === 0
  )
}
