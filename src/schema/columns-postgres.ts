/** The column types on PostgreSQL. The twin is columns-sqlite.ts: same names, same values. */
import { boolean, customType, integer } from 'drizzle-orm/pg-core'
import * as codecs from './codecs.ts'
import { quoted, withDefaults } from './defaults.ts'

export { boolean, integer }

/** COLLATE "C": order and paging by the texts' bytes, as on SQLite. */
export const text = withDefaults(
  customType<{ data: string; driverData: string }>({ dataType: () => 'text COLLATE "C"' }),
  quoted,
)
/** `real` has 4 bytes on PostgreSQL. */
export const real = customType<{ data: number; driverData: number }>({
  dataType: () => 'double precision',
  fromDriver: codecs.decodeReal,
})
/** Seconds since the epoch. `real` would have 4 bytes here, and steps of 128 s. */
export const time = withDefaults(
  customType<{ data: Date; driverData: number | string }>({
    dataType: () => 'double precision',
    toDriver: (time) => {
      const seconds = codecs.encodeTime(time)
      // The driver would write -0 as 0.
      return Object.is(seconds, -0) ? '-0' : seconds
    },
    fromDriver: codecs.decodeTime,
  }),
  (time: Date) => String(codecs.encodeTime(time)),
)
/** jsonb, so that lists can be queried. The driver parses it. */
export const list = withDefaults(
  customType<{ data: string[]; driverData: unknown }>({
    dataType: () => 'jsonb',
    toDriver: codecs.encodeJson,
    fromDriver: codecs.checkStringList,
  }),
  (list: string[]) => `${quoted(codecs.encodeJson(list))}::jsonb`,
)
/** text, not jsonb: an object comes back byte for byte. */
export const json = withDefaults(
  customType<{ data: object; driverData: string }>({
    dataType: () => 'text',
    toDriver: codecs.encodeBundle,
    fromDriver: codecs.decodeBundle,
  }),
  (value: object) => quoted(codecs.encodeBundle(value)),
)
