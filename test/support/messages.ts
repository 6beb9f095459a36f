/** The messages of the errors in src/, read from the source: what is given to constructors, and what tables of meanings hold. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAst } from 'rolldown/parseAst'

export interface Message {
  readonly where: string
  /** The code of a StorageError, where it is written beside the message. */
  readonly code: string | undefined
  /** With `…` for what is known only when it runs. */
  readonly text: string
}

interface Syntax {
  readonly type: string
  readonly start: number
  readonly [property: string]: unknown
}

const root = join(import.meta.dirname, '../..')
/** Functions that make an error of a message, and the code that they give it. */
const MAKERS: Readonly<Record<string, string>> = { misuse: 'MISUSE', config: 'CONFIG', unusable: 'CONFIG' }
const CLASSES = ['StorageError', 'InvalidArgumentError', 'OutputGone']
/** Other classes are invariants of our own code, or a `cause`: an operator reads neither. */

const isSyntax = (value: unknown): value is Syntax =>
  typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
const list = (value: unknown): Syntax[] => (Array.isArray(value) ? value.filter(isSyntax) : [])
const children = (of: Syntax): Syntax[] =>
  Object.values(of).flatMap((value) => (Array.isArray(value) ? list(value) : isSyntax(value) ? [value] : []))
const nameOf = (of: unknown): string | undefined =>
  isSyntax(of) && of.type === 'Identifier' ? String(of.name) : undefined

/** Every text that an expression may have. */
function texts(of: unknown, constants: ReadonlyMap<string, Syntax>, depth = 0): string[] {
  if (!isSyntax(of) || depth > 5) return ['…']
  const inner = (part: unknown): string[] => texts(part, constants, depth + 1)
  if (of.type === 'Literal') return [String(of.value)]
  if (of.type === 'Identifier') return inner(constants.get(String(of.name)))
  if (of.type === 'ConditionalExpression') return [...inner(of.consequent), ...inner(of.alternate)]
  if (of.type === 'BinaryExpression' && of.operator === '+') return joined([inner(of.left), inner(of.right)])
  if (of.type !== 'TemplateLiteral') return ['…']
  const expressions = list(of.expressions)
  return joined(
    list(of.quasis).flatMap(({ value }, index) => [
      [(value as { cooked: string }).cooked],
      ...(expressions[index] === undefined ? [] : [inner(expressions[index])]),
    ]),
  )
}

const joined = (parts: readonly (readonly string[])[]): string[] =>
  parts.reduce<string[]>((all, part) => all.flatMap((begun) => part.map((text) => begun + text)), [''])

function constantsOf(program: Syntax): Map<string, Syntax> {
  const constants = new Map<string, Syntax>()
  const declare = (of: Syntax): void => {
    const name = of.type === 'VariableDeclarator' ? nameOf(of.id) : undefined
    if (name !== undefined && isSyntax(of.init)) constants.set(name, of.init)
    for (const child of children(of)) declare(child)
  }
  declare(program)
  return constants
}

function messagesIn(file: string): Message[] {
  const source = readFileSync(join(root, file), 'utf8')
  const program = parseAst(source, { lang: 'ts' }) as unknown as Syntax
  const constants = constantsOf(program)
  const found: Message[] = []
  const add = (at: Syntax, code: unknown, message: unknown): void => {
    const where = `${file}:${source.slice(0, at.start).split('\n').length}`
    const [only] = texts(code, constants)
    const known = only !== undefined && /^[A-Z_]+$/.test(only) ? only : undefined
    // Without a word of its own it is a message that was made elsewhere.
    for (const text of texts(message, constants)) if (/[a-z]{2} /.test(text)) found.push({ where, code: known, text })
  }
  const collect = (of: Syntax): void => {
    const [first, second] = list(of.arguments)
    const called = nameOf(of.callee)
    const literal = (code: string): Syntax => ({ type: 'Literal', start: 0, value: code })
    if (of.type === 'NewExpression' && called === 'StorageError') add(of, first, second)
    else if (of.type === 'NewExpression' && called !== undefined && CLASSES.includes(called)) add(of, undefined, first)
    else if (of.type === 'NewExpression' && called === 'Error' && file === 'src/drizzle-config.ts')
      add(of, literal('CONFIG'), first)
    else if (of.type === 'CallExpression' && called !== undefined && MAKERS[called] !== undefined)
      add(of, literal(MAKERS[called]), first)
    else if (of.type === 'ObjectExpression') {
      const property = (name: string): unknown => list(of.properties).find(({ key }) => nameOf(key) === name)?.value
      if (property('code') !== undefined && property('message') !== undefined)
        add(of, property('code'), property('message'))
    } else if (of.type === 'ArrayExpression') {
      const [code, message, more] = list(of.elements)
      const isMeaning = more === undefined && code?.type === 'Literal' && /^[A-Z]+_?[A-Z]+$/.test(String(code.value))
      if (isMeaning && message?.type === 'Literal') add(of, code, message)
    }
    for (const child of children(of)) collect(child)
  }
  collect(program)
  return found
}

/** The messages in every file of src/. */
export const messages = (): Message[] =>
  globSync('src/**/*.ts', { cwd: root }).flatMap((file) => messagesIn(file.replaceAll('\\', '/')))

const DESCRIBING = ['description', 'option', 'requiredOption', 'argument', 'addHelpText', 'helpOption', 'version']

/** Help texts of the command line, and the findings of `check` with their advice. */
export function wordsForPeople(): string[] {
  const found: string[] = []
  const collect = (of: Syntax, constants: ReadonlyMap<string, Syntax>): void => {
    const { callee } = of
    const method = isSyntax(callee) && callee.type === 'MemberExpression' ? nameOf(callee.property) : undefined
    if (method !== undefined && DESCRIBING.includes(method))
      found.push(...list(of.arguments).flatMap((argument) => texts(argument, constants)))
    if (of.type === 'Property' && ['advice', 'message'].includes(nameOf(of.key) ?? ''))
      found.push(...texts(of.value, constants))
    for (const child of children(of)) collect(child, constants)
  }
  for (const file of globSync('src/{cli,check}/**/*.ts', { cwd: root })) {
    const program = parseAst(readFileSync(join(root, file), 'utf8'), { lang: 'ts' }) as unknown as Syntax
    collect(program, constantsOf(program))
  }
  return found.filter((text) => / /.test(text))
}
