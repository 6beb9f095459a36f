/**
 * The column types on SQLite, one for each kind of `kinds.ts`. The twin is columns-postgres.ts: same names, same values.
 */
import { customType } from 'drizzle-orm/sqlite-core'
import * as codecs from './codecs.ts'
import { quoted, withDefaults } from './defaults.ts'

export const text = withDefaults(
  customType<{ data: string; driverData: string }>({
    dataType: () => 'text',
    fromDriver: codecs.decodeText,
  }),
  quoted,
)
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
export const time = withDefaults(
  customType<{ data: Date; driverData: number }>({
    dataType: () => 'real',
    toDriver: codecs.encodeTime,
    fromDriver: codecs.decodeTime,
  }),
  (time: Date) => String(codecs.encodeTime(time)),
)
/** A list of texts, as JSON. */
export const list = withDefaults(
  customType<{ data: string[]; driverData: string }>({
    dataType: () => 'text',
    toDriver: codecs.encodeJson,
    fromDriver: codecs.decodeStringList,
  }),
  (list: string[]) => quoted(codecs.encodeJson(list)),
)
/** An object as JSON text, kept byte for byte. `.$type<T>()` says which object. */
export const json = withDefaults(
  customType<{ data: object; driverData: string }>({
    dataType: () => 'text',
    toDriver: codecs.encodeBundle,
    fromDriver: codecs.decodeBundle,
  }),
  (value: object) => quoted(codecs.encodeBundle(value)),
)
