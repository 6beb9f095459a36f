import { inspect } from 'node:util'

/** Values that must not be seen. Ids may hold them. */
export const PASSWORD = 'password-canary-5d1e'
export const VALUE = 'value-canary-9b2c'

const bytesOf = (text: string): string => Buffer.from(text).toString('hex')
const spaced = (text: string): string => bytesOf(text).replace(/(..)(?=.)/g, '$1 ')
const FORMS = [PASSWORD, VALUE].flatMap((secret) => [
  secret,
  bytesOf(secret),
  spaced(secret),
  Buffer.from(secret).toString('base64').slice(0, -4),
])

/** Everything that anybody might print of it. */
function textsOf(value: unknown): string[] {
  const texts = [
    inspect(value, { depth: 20, showHidden: true, maxArrayLength: null, maxStringLength: null }),
    inspect(value, { depth: 20, showProxy: true }),
    String(value instanceof Object ? Object.prototype.toString.call(value) : value),
  ]
  try {
    texts.push(JSON.stringify(value) ?? '')
  } catch {
    // Something that JSON cannot hold shows nothing that way.
  }
  for (let error = value, depth = 0; error instanceof Error && depth < 20; error = error.cause, depth++) {
    texts.push(
      String(error),
      error.message,
      error.stack ?? '',
      JSON.stringify(error, Object.getOwnPropertyNames(error)),
    )
  }
  return texts
}

/** The canaries that can be seen in it. */
export function canariesIn(value: unknown): string[] {
  const texts = typeof value === 'string' ? [value] : textsOf(value)
  return FORMS.filter((form) => texts.some((text) => text.includes(form)))
}
