import { expect, test } from 'vitest'
import { expectCode } from '../../support/expectations.ts'
import { policy } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'

const TEXTS: readonly (readonly [what: string, yaml: string])[] = [
  ['Windows line ends', 'rules:\r\n  - a\r\n  - b\r\n'],
  ['no line end', 'rules: [a]'],
  ['blanks at the ends', '\n\n  rules: [a]   \n\n \n'],
  ['a byte order mark', '\ufeffrules: [a]\n'],
  ['comments and odd spacing', '# why\nrules:   [ a,b ,c ]   # because\n\n'],
  ['letters of all kinds', 'rules: ["ä", "Привет", "日本", "\u{1f600}", "e\u0301", "\u00e9"]\n'],
  ['escapes, which stay escapes', "rules: [\"\\u00e4\\n\\t\\0\", 'it''s']\n"],
  ['line separators', 'rules: ["\u2028\u2029\u0085"]\n'],
  ['numbers that lose digits', 'a: 12345678901234567890\nb: 1.0\nc: 0x1F\nd: 1e400\n'],
  ['tags and directives', '%YAML 1.2\n---\na: !mine 1\nb: !!binary aGVsbG8=\n'],
  ['block scalars', 'text: |+\n  two\n\n  lines  \n\nfolded: >-\n  a\n  b\n'],
  ['apostrophes', 'rules: ["\'); DROP TABLE policies; --"]\n'],
]

interface Broken {
  readonly what: string
  readonly yaml: string
  readonly line: number
  readonly column: number
}
const BROKEN: readonly Broken[] = [
  { what: 'a key that comes twice', yaml: 'secret-a: 1\nsecret-b: 2\nsecret-a: secret-c\n', line: 3, column: 1 },
  { what: 'the same, in a list', yaml: 'rules:\n  - id: secret\n    id: secret-2\n', line: 3, column: 5 },
  { what: 'a list that is not closed', yaml: 'rules: [secret, secret-2', line: 1, column: 25 },
  { what: 'a text that is not closed', yaml: 'a: 1\nb: "secret\n', line: 3, column: 1 },
  { what: 'a tab as indentation', yaml: 'rules:\n\t- secret\n', line: 2, column: 1 },
  { what: 'an alias without an anchor', yaml: 'rules:\n  - *secret\n', line: 2, column: 5 },
  { what: 'a mapping in a scalar', yaml: 'secret: secret-2: secret-3\n', line: 1, column: 9 },
  { what: 'the second document', yaml: 'a: 1\n---\nb: 1\nsecret: {\n', line: 5, column: 1 },
  { what: 'a key that is a list', yaml: 'a: 1\nb:\n  ? [secret, b]\n  : c\n', line: 3, column: 5 },
  {
    what: 'a key that is a mapping, as in a template',
    yaml: 'a: 1\nport: {{ index .Secret 0 }}\n',
    line: 2,
    column: 8,
  },
  { what: 'a text behind Windows line ends', yaml: 'a: 1\r\nb: 2\r\na: secret\r\n', line: 3, column: 1 },
]

export function texts({ run }: Setting): void {
  test.each(TEXTS)('a text comes back byte for byte: %s', (_, yaml) =>
    run(
      async ({ policies }) => {
        await policies.create(policy('created', yaml))
        await policies.create(policy('updated'))
        await policies.update('updated', { yamlContent: yaml })
        await policies.save(policy('saved', yaml))
        for (const id of ['created', 'updated', 'saved']) {
          expect((await policies.get(id))?.yamlContent).toBe(yaml)
        }
      },
      {
        after: async ({ other }) => expect((await other.row('policies', 'created'))?.yaml_content).toBe(yaml),
      },
    ),
  )

  test.each(BROKEN)('what is no YAML is refused with line $line and column $column: $what', ({ yaml, line, column }) =>
    run(async ({ policies }) => {
      const error = await expectCode(policies.create(policy('a', yaml)), 'VALIDATION')
      expect(error.issues[0]?.path).toBe('yamlContent')
      expect(error.issues[0]?.message).toMatch(new RegExp(`at line ${line}, column ${column}$`))
      expect(JSON.stringify([error.issues, error.message, error.stack])).not.toMatch(/secret/i)
      expect(await policies.count()).toBe(0)
    }),
  )

  test('nothing of a text reaches the warnings of the process', () =>
    run(async ({ policies }) => {
      const warnings: Error[] = []
      const listener = (warning: Error): void => void warnings.push(warning)
      process.on('warning', listener)
      try {
        for (const [index, [, yaml]] of TEXTS.entries()) await policies.create(policy(`sound-${index}`, yaml))
        for (const { yaml } of BROKEN) await policies.save(policy('broken', yaml)).catch(() => {})
        // Warnings are handed out in a turn of their own.
        await new Promise((resolve) => setImmediate(resolve))
        expect(warnings).toEqual([])
      } finally {
        process.off('warning', listener)
      }
    }))

  test('every problem of a text is an issue; the message holds the first of them', () =>
    run(async ({ policies }) => {
      const yaml = Array.from({ length: 10 }, (_, index) => `d${index}: { a: 1, a: 2 }\n`).join('')
      const error = await expectCode(policies.create(policy('a', yaml)), 'VALIDATION')
      expect(error.issues).toHaveLength(10)
      expect(error.message.length).toBeLessThan(400)
    }))
}
