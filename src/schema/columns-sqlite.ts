/**
 * The column types on SQLite, one for each kind of `kinds.ts`. The twin is columns-postgres.ts: same names, same values.
 */
import { customType } from 'drizzle-orm/sqlite-core'
import * as codecs from './codecs.ts'

export const text = customType<{ data: string; driverData: string }>({
  dataType: () => 'text',
  fromDriver: codecs.decodeText,
})
export const integer = customType<{ data: number; driverData: number }>({
  dataType: () => 'integer',
  fromDriver: codecs.decodeInteger,
})
export const real = customType<{ data: number; driverData: number }>({
  dataType: () => 'real',
  fromDriver: codecs.decodeReal,
})
export const boolean = customType<{ data: boolean; driverData: number }>({
  dataType: () => 'integer',
  toDriver: codecs.encodeFlag,
  fromDriver: codecs.decodeFlag,
})
/** Seconds since the epoch: a `Date` in TypeScript. */
export const time = customType<{ data: Date; driverData: number }>({
  dataType: () => 'real',
  toDriver: codecs.encodeTime,
  fromDriver: codecs.decodeTime,
})
/** A list of texts, as JSON. */
export const list = customType<{ data: string[]; driverData: string }>({
  dataType: () => 'text',
  toDriver: codecs.encodeJson,
  fromDriver: codecs.decodeStringList,
})
/** An object as JSON text, kept byte for byte. `.$type<T>()` says which object. */
export const json = customType<{ data: object; driverData: string }>({
  dataType: () => 'text',
  toDriver: codecs.encodeBundle,
  fromDriver: codecs.decodeBundle,
})
