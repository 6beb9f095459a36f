import { type ValidationIssue, validationError } from '../errors.ts'
import { JsonText } from './codecs.ts'
import { isId, isStorableText, MAX_DEPTH, MAX_TEXT_BYTES, shown } from './rules.ts'

/** The bundle as JSON, so that later changes to the object do not reach it. Throws VALIDATION; paths begin with `path`. */
export function bundleText(bundle: unknown, path: string): JsonText {
  const issues = shapeAndContentProblems(bundle)
  if (issues.length === 0) {
    const text = JSON.stringify(bundle)
    const tooLarge = sizeProblem(text)
    if (tooLarge === undefined) return new JsonText(text)
    issues.push(tooLarge)
  }
  throw validationError(
    'The bundle',
    issues.map((issue) => ({ ...issue, path: issue.path === '' ? path : `${path}.${issue.path}` })),
  )
}

/** What is wrong with a bundle: it must be plain JSON that comes back as it was given. */
export function bundleProblems(bundle: unknown): ValidationIssue[] {
  const issues = shapeAndContentProblems(bundle)
  const tooLarge = issues.length > 0 ? undefined : sizeProblem(JSON.stringify(bundle))
  return tooLarge === undefined ? issues : [tooLarge]
}

function sizeProblem(text: string): ValidationIssue | undefined {
  if (Buffer.byteLength(text) <= MAX_TEXT_BYTES) return undefined
  return { path: '', message: `must not be larger than ${MAX_TEXT_BYTES} bytes as JSON` }
}

function shapeAndContentProblems(bundle: unknown): ValidationIssue[] {
  const issue = jsonProblem(bundle, '', 0)
  if (issue !== undefined) return [issue]
  if (typeof bundle !== 'object' || bundle === null || Array.isArray(bundle)) {
    return [{ path: '', message: 'must be an object' }]
  }
  return shapeProblems(bundle as Readonly<Record<string, unknown>>)
}

function shapeProblems(bundle: Readonly<Record<string, unknown>>): ValidationIssue[] {
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

/** The first thing that JSON would lose, change or refuse. */
function jsonProblem(value: unknown, path: string, depth: number): ValidationIssue | undefined {
  if (value === null || typeof value === 'boolean') return undefined
  if (typeof value === 'string') return problemAt(path, isStorableText(value))
  if (typeof value === 'number') return problemAt(path, Number.isFinite(value) ? undefined : 'must be a finite number')
  if (typeof value !== 'object') return problemAt(path, 'is nothing that JSON can hold')
  if (depth >= MAX_DEPTH) return problemAt('', `must not be nested more than ${MAX_DEPTH} levels deep`)
  return Array.isArray(value) ? listProblem(value, path, depth) : objectProblem(value, path, depth)
}

const problemAt = (path: string, message: string | undefined): ValidationIssue | undefined =>
  message === undefined ? undefined : { path, message }

function listProblem(list: readonly unknown[], path: string, depth: number): ValidationIssue | undefined {
  for (let index = 0; index < list.length; index++) {
    const issue = jsonProblem(list[index], `${path}[${index}]`, depth + 1)
    if (issue !== undefined) return issue
  }
  return undefined
}

function objectProblem(value: object, path: string, depth: number): ValidationIssue | undefined {
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return problemAt(path, 'must be a plain object')
  for (const [name, member] of Object.entries(value)) {
    // What is undefined is absent, here as in JSON.
    if (member === undefined) continue
    const at = path === '' ? shown(name) : `${path}.${shown(name)}`
    const issue = problemAt(at, isStorableText(name)) ?? jsonProblem(member, at, depth + 1)
    if (issue !== undefined) return issue
  }
  return undefined
}
