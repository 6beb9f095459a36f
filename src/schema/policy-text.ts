/** Reads policies' YAML. Loaded at the first write of a policy: the parser is not needed before. */
import {
  Composer,
  type Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isPair,
  isScalar,
  Lexer,
  LineCounter,
  type ParsedNode,
  Parser,
  type YAMLError,
  type YAMLMap,
} from 'yaml'
import { misuse, propertyOf, type ValidationIssue, validationError } from '../errors.ts'
import { isInteger, MAX_DEPTH, MAX_INTEGER } from './rules.ts'

export type RulesIn = typeof rulesIn
export type CountRules = (documents: readonly unknown[]) => number

/** Most issues that are reported for a document. */
const MAX_ISSUES = 100

/** Thrown during parsing: at a greater depth the parser itself would run out of stack. */
class TooDeep extends Error {}

/** Thrown during parsing: an error object for each character of a long text would take seconds. */
class TooManyErrors extends Error {
  readonly offsets: readonly number[]

  constructor(offsets: readonly number[]) {
    super()
    this.offsets = offsets
  }
}

/**
 * Counts a policy's rules. Throws VALIDATION, with line and column, if the text is not YAML, is nested more than 100 levels
 * deep, or expands too far through aliases. No message quotes the text.
 */
export function rulesIn(text: string, path: string, countRules: CountRules = countUsualRules): number {
  const documents = parsedPolicy(text, path)
  const count = countRules(documents)
  const problem = isInteger(0, MAX_INTEGER)(count)
  if (problem !== undefined)
    throw misuse(`The value that countRules returned ${problem}. Nothing was written. Correct the function.`)
  return count
}

/** The documents of a YAML text as plain values. Throws VALIDATION as `rulesIn` does. */
export function parsedPolicy(text: string, path: string): unknown[] {
  const lines = new LineCounter()
  try {
    const documents = composed(text, lines)
    const issues = documents.flatMap((document) => [
      ...document.errors
        .slice(0, MAX_ISSUES)
        .map((error) => issueAt(path, lines, error.pos[0], `is not valid YAML: ${reasonOf(error)}`)),
      ...unusable(document, (offset, message) => issueAt(path, lines, offset, message)),
    ])
    if (issues.length > 0) throw validationError('The policy', issues)
    return documents.map((document) => document.toJS())
  } catch (error) {
    if (error instanceof TooDeep || error instanceof RangeError) {
      throw refused(path, `must not be nested more than ${MAX_DEPTH} levels deep`)
    }
    if (error instanceof TooManyErrors) {
      throw validationError(
        'The policy',
        error.offsets.map((offset) => issueAt(path, lines, offset, 'is not valid YAML: unexpected token')),
      )
    }
    // yaml throws this error if aliases would expand more than a hundredfold.
    if (error instanceof ReferenceError) throw refused(path, 'must not expand to so much through its aliases')
    throw error
  }
}

function composed(text: string, lines: LineCounter): Document.Parsed<ParsedNode>[] {
  const parser = new Parser(lines.addNewLine)
  lines.addNewLine(0)
  const unexpected: number[] = []
  function* tokens() {
    for (const lexeme of new Lexer().lex(text)) {
      for (const token of parser.next(lexeme)) {
        if (token.type === 'error' && unexpected.push(token.offset) === MAX_ISSUES) throw new TooManyErrors(unexpected)
        yield token
      }
      if (parser.stack.length > MAX_DEPTH && depthOf(parser.stack) > MAX_DEPTH) throw new TooDeep()
    }
    yield* parser.end()
  }
  const documents: Document.Parsed<ParsedNode>[] = []
  for (const document of new Composer({ uniqueKeys: false }).compose(tokens()))
    documents.push(document as Document.Parsed<ParsedNode>)
  return documents
}

const COLLECTIONS: ReadonlySet<string> = new Set(['block-map', 'block-seq', 'flow-collection'])
const depthOf = (stack: Parser['stack']): number => stack.filter(({ type }) => COLLECTIONS.has(type)).length

function issueAt(path: string, lines: LineCounter, offset: number, message: string): ValidationIssue {
  const { line, col } = lines.linePos(offset)
  return { path, message: `${message} at line ${line}, column ${col}` }
}

/** Uses the parser's code (DUPLICATE_KEY, BAD_INDENT, …) and not its message, which may quote the text. */
const reasonOf = ({ code }: YAMLError): string => code.toLowerCase().replaceAll('_', ' ')

/** Limit of anchors: the parser searches the whole text for each anchor. */
const MAX_REFERENCES = 1_000

/** Keys that YAML allows and no object can hold: the parser would throw, or invent keys and print a warning. */
function unusable(
  document: Document.Parsed<ParsedNode>,
  issue: (offset: number, message: string) => ValidationIssue,
): ValidationIssue[] {
  const issues: ValidationIssue[] = []
  const anchors = new Map<string, unknown>()
  let references = 0
  const add = (node: unknown, message: string): void => {
    if (issues.length < MAX_ISSUES) issues.push(issue(offsetOf(node), message))
  }
  const checkKeys = (map: YAMLMap): void => {
    const keys = new Set<unknown>()
    for (const { key } of map.items) {
      const named = isAlias(key) ? anchors.get(key.source) : key
      if (isCollection(named)) add(key, 'has a key that is no text')
      const name = isScalar(named) ? String(named.value) : named
      if (keys.has(name)) add(key, 'has a key twice')
      keys.add(name)
    }
  }
  // By hand: the parser's own visit() makes a list of the path for each node. It is at most 100 levels deep.
  const walk = (node: unknown): void => {
    if (isPair(node)) {
      walk(node.key)
      walk(node.value)
    } else if (isAlias(node)) {
      references++
      if (!anchors.has(node.source)) add(node, 'has an alias without an anchor')
    } else if (isScalar(node) || isCollection(node)) {
      if (node.anchor !== undefined) {
        references++
        anchors.set(node.anchor, node)
      }
      if (isMap(node)) checkKeys(node)
      if (isCollection(node)) node.items.forEach(walk)
    }
  }
  walk(document.contents)
  if (references > MAX_REFERENCES) add(undefined, `has more than ${MAX_REFERENCES} anchors and aliases, counted`)
  return issues
}

const offsetOf = (node: unknown): number => (isNode(node) ? (node.range?.[0] ?? 0) : 0)

const refused = (path: string, message: string): Error => validationError('The policy', [{ path, message }])

/** The `rules` lists, at the top or under `spec`, plus `spec.ingress` and `spec.egress`, over all documents. */
function countUsualRules(documents: readonly unknown[]): number {
  let rules = 0
  for (const document of documents) {
    const spec = member(document, 'spec')
    for (const list of [
      member(document, 'rules'),
      member(spec, 'rules'),
      member(spec, 'ingress'),
      member(spec, 'egress'),
    ]) {
      if (Array.isArray(list)) rules += list.length
    }
  }
  return rules
}

const member = (of: unknown, name: string): unknown =>
  typeof of === 'object' && of !== null && Object.hasOwn(of, name) ? propertyOf(of, name) : undefined
