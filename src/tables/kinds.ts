/** The kind of a column, told by the twins: by their SQL types, and by what their decoders make of a sample. */
import type { Column } from 'drizzle-orm'
import { KINDS, type KindName } from '../schema/kinds.ts'

/** A custom type tells Drizzle nothing but its SQL type: the sample tells kinds of one SQL type apart. */
interface Sample {
  readonly sqlite: RegExp
  readonly stored: unknown
  readonly is: (decoded: unknown) => boolean
}

const isText = (value: unknown): boolean => typeof value === 'string'
const isTime = (value: unknown): boolean => value instanceof Date && value.getTime() === 1_500
const isNumber = (value: unknown): boolean => typeof value === 'number'

const SAMPLES: Readonly<Record<KindName, Sample>> = {
  text: { sqlite: /^text/, stored: '[]', is: isText },
  list: { sqlite: /^text$/, stored: '[]', is: Array.isArray },
  json: { sqlite: /^text$/, stored: '{}', is: (value) => typeof value === 'object' && !Array.isArray(value) },
  boolean: { sqlite: /^integer$/, stored: 1, is: (value) => value === true },
  integer: { sqlite: /^integer$/, stored: 1, is: isNumber },
  time: { sqlite: /^real$/, stored: 1.5, is: isTime },
  real: { sqlite: /^real$/, stored: 1.5, is: isNumber },
}

function decoded(column: Column, stored: unknown): unknown {
  try {
    return column.mapFromDriverValue(stored)
  } catch {
    return undefined
  }
}

export const kindIn = (column: Column): KindName | undefined =>
  (Object.keys(SAMPLES) as KindName[]).find((kind) => {
    const { sqlite, stored, is } = SAMPLES[kind]
    return sqlite.test(column.getSQLType()) && is(decoded(column, stored))
  })

/** The type that the column needs on PostgreSQL, if it has another one. */
export function postgresProblem(kind: KindName, column: Column): string | undefined {
  const type = kind === 'text' ? 'text COLLATE "C"' : KINDS[kind].postgres
  const { stored, is } = SAMPLES[kind]
  const sample = kind === 'list' ? [] : kind === 'boolean' ? true : stored
  if (column.getSQLType() === type && is(decoded(column, sample))) return undefined
  return `must be ${type} with the values of ${kind}(), as \`${kind}\` of meshstore/tables/postgres makes it`
}
